//! Ctrl-C and SIGTERM become a flag that every wait looks at, so that guards clean up on the way out.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// How many clean-ups are under way.
static CLEANING: AtomicUsize = AtomicUsize::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn listen() -> Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("could not listen for signals")?;
    }
    Ok(())
}

/// While this lives, waits do not give up: whoever asked us to stop wants the clean-up to happen.
pub(crate) struct Cleaning(());

impl Cleaning {
    /// Every step of a clean-up has a limit of its own, so this cannot last.
    pub(crate) fn begin() -> Self {
        CLEANING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Cleaning {
    fn drop(&mut self) {
        CLEANING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether somebody asked us to stop, and we have not begun to.
pub(crate) fn asked() -> bool {
    CLEANING.load(Ordering::SeqCst) == 0 && FLAG.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}

/// # Errors
/// When somebody asked us to stop.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("interrupted");
    }
    Ok(())
}
