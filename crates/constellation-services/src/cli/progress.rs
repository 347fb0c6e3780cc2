//! What happens, as it happens: moving bars on a terminal, lines elsewhere.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::out::Out;
use crate::{
    apply::{Happening, Watcher},
    plan::{Deed, Paint},
    store::Outcome,
};

/// Shows what happens.
pub(super) struct Show {
    out: Out,
    bars: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: BTreeMap<String, ProgressBar>,
    images: BTreeMap<String, ImageBar>,
}

struct ImageBar {
    bar: ProgressBar,
    layers: BTreeMap<String, (u64, u64)>,
}

impl Show {
    pub(super) fn new(out: Out) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bars = (terminal && !out.json).then(MultiProgress::new);
        Self { out, bars, state: Mutex::default() }
    }

    /// Says something beside what happens.
    pub(super) fn say(&self, text: &str) {
        self.line(text);
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // Above the bars; what cannot be printed there is nowhere else to be printed.
            Some(bars) => drop(bars.println(text)),
            None => self.out.note(text),
        }
    }

    fn spinner(&self, text: String) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }

    fn image(&self, reference: &str, progress: &constellation_docker::TransferProgress) {
        let Some(bars) = &self.bars else { return };
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let image = state.images.entry(reference.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(0));
            // A constant template either parses always or never; without it the default one stands.
            if let Ok(style) =
                ProgressStyle::with_template("{bar:24.cyan} {bytes:>10}/{total_bytes:<10} {msg}")
            {
                bar.set_style(style);
            }
            bar.set_message(reference.to_owned());
            ImageBar { bar, layers: BTreeMap::new() }
        });
        if let (Some(layer), Some(current), Some(total)) = (&progress.layer, progress.current, progress.total)
            && progress.status == "Downloading"
        {
            image.layers.insert(layer.clone(), (current, total));
            image.bar.set_length(image.layers.values().map(|(_, total)| total).sum());
            image.bar.set_position(image.layers.values().map(|(current, _)| current).sum());
        }
    }
}

impl Watcher for Show {
    fn tell(&self, happening: Happening) {
        let paint = self.out.paint_errors;
        match happening {
            Happening::Image { reference, progress } => self.image(&reference, &progress),
            Happening::ImageReady { reference } => {
                let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(image) = state.images.remove(&reference) {
                    image.bar.finish_and_clear();
                }
                drop(state);
                self.line(&format!("  image {reference} is here"));
            }
            Happening::Trouble { what } => self.line(&format!("  {} {what}", paint.colour("33", "!"))),
            Happening::Made { what } => self.line(&format!("  {what} made")),
            Happening::Began { service, deed } => {
                if let Some(bar) = self.spinner(format!("{service}: {}", word(deed))) {
                    let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    state.steps.insert(service.to_string(), bar);
                }
            }
            Happening::Stage { service, stage } => {
                let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(bar) = state.steps.get(&service.to_string()) {
                    bar.set_message(format!("{service}: {stage}"));
                }
            }
            Happening::Ended { service, deed, outcome, took, log } => {
                let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(bar) = state.steps.remove(&service.to_string()) {
                    bar.finish_and_clear();
                }
                drop(state);
                self.line(&ended(paint, &service.to_string(), deed, &outcome, took));
                for line in &log {
                    self.line(&format!("      {} {}", paint.colour("2", "|"), line.escape_debug()));
                }
            }
        }
    }
}

fn word(deed: Deed) -> &'static str {
    match deed {
        Deed::Create => "create",
        Deed::Recreate => "recreate",
        Deed::Change => "change",
        Deed::Finish => "finish",
        Deed::Remove => "remove",
    }
}

fn ended(paint: Paint, service: &str, deed: Deed, outcome: &Outcome, took: Duration) -> String {
    let took = format!("{:.1} s", took.as_secs_f64());
    match outcome {
        Outcome::Done => format!("  {} {service} {}, {took}", paint.colour("32", "✓"), done(deed)),
        Outcome::RolledBack(why) => {
            format!("  {} {service} was put back to what ran before: {why}", paint.colour("33", "↩"))
        }
        Outcome::Failed(why) => format!("  {} {service} failed: {why}", paint.colour("31", "✗")),
        Outcome::Skipped(why) => format!("  {} {service} was left out: {why}", paint.colour("33", "-")),
    }
}

fn done(deed: Deed) -> &'static str {
    match deed {
        Deed::Create => "created",
        Deed::Recreate => "recreated",
        Deed::Change => "changed",
        Deed::Finish => "finished",
        Deed::Remove => "removed",
    }
}
