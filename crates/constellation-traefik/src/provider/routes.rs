//! Renders when the view changes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use constellation_core::{Clock, ClusterView};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{Served, Turn, status::RoutesState};
use crate::{
    document::{DynamicConfig, TlsSection},
    hold_back::{Held, HoldBack},
    render::{Renderer, RouteProblem},
};

/// Between two renderings. The first change of a burst is served at once; Traefik would not see more of them anyway.
const PACE: Duration = Duration::from_millis(20);

/// The task that owns what is served.
pub(super) struct Routes {
    pub(super) renderer: Renderer,
    pub(super) hold_back: HoldBack,
    pub(super) view: watch::Receiver<Arc<ClusterView>>,
    pub(super) certificates: watch::Receiver<Arc<TlsSection>>,
    pub(super) served: watch::Sender<Arc<Served>>,
    pub(super) turns: watch::Sender<Turn>,
    pub(super) state: watch::Sender<Arc<RoutesState>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether what was rendered last was found to be what Traefik takes.
    pub(super) sound: bool,
}

impl Routes {
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut said = Said::default();
        let mut seen: Option<Arc<ClusterView>> = None;
        let mut woken = false;
        loop {
            let view = Arc::clone(&self.view.borrow_and_update());
            // A view that says the same is rendered to the same, unless time has passed what it depends on.
            if woken || !seen.as_ref().is_some_and(|seen| seen.same_as(&view)) {
                self.turn(&view, &mut said);
            }
            seen = Some(view);
            let now = self.clock.now();
            let wake = self.hold_back.wake(now).map(|moment| moment.since(now));
            woken = tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.view.changed() => {
                    if changed.is_err() {
                        // Whoever made views is gone, so the process is on its way out: the last view stays.
                        shutdown.cancelled().await;
                        return;
                    }
                    false
                }
                Ok(()) = self.certificates.changed() => {
                    // Of the same routes there is a new body.
                    let document = self.served.borrow().document.clone();
                    self.serve(document);
                    false
                }
                () = after(wake) => true,
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }

    fn turn(&mut self, view: &Arc<ClusterView>, said: &mut Said) {
        let rendered = self.renderer.render(view);
        said.problems(&rendered.problems);
        let settled = self.hold_back.settle(view, Arc::clone(&rendered.document), self.clock.now());
        let sound = match &settled.document {
            None => Ok(()),
            // Then it is the last one that was rendered and found sound, but for these parts.
            Some(document) => match &rendered.changed {
                Some(parts) if self.sound && Arc::ptr_eq(document, &rendered.document) => {
                    document.validate_parts(parts)
                }
                _ => document.validate(),
            },
        };
        let rendered_is_settled =
            settled.document.as_ref().is_some_and(|document| Arc::ptr_eq(document, &rendered.document));
        self.sound = sound.is_ok() && rendered_is_settled;
        let document = match sound {
            Ok(()) => settled.document,
            Err(invalid) => {
                // Traefik would refuse it as a whole and keep what it has; so do we, and say it.
                error!(%invalid, "the routes were rendered to what Traefik would refuse; the last ones stay");
                self.served.borrow().document.clone()
            }
        };
        let held = settled.held;
        said.held(held.as_ref());
        let changed = self.publish(document.clone());
        self.turns.send_replace(Turn { view: Arc::clone(view), document });
        self.state.send_modify(|state| {
            *state = Arc::new(RoutesState {
                changed: if changed { Some(self.clock.wall()) } else { state.changed },
                view: view.version(),
                problems: rendered.problems,
                held,
            });
        });
    }

    /// Publishes a document where it differs from the last.
    fn publish(&self, document: Option<Arc<DynamicConfig>>) -> bool {
        if self.served.borrow().document == document {
            return false;
        }
        self.serve(document);
        true
    }

    fn serve(&self, document: Option<Arc<DynamicConfig>>) {
        let tls = Arc::clone(&self.certificates.borrow());
        let served = Served::new(document, &tls);
        debug!(bytes = served.body.len(), "what Traefik is told changed");
        self.served.send_replace(Arc::new(served));
    }
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// What the log was told, so that it is told once.
#[derive(Default)]
struct Said {
    problems: BTreeSet<RouteProblem>,
    held: Option<Held>,
}

impl Said {
    fn problems(&mut self, problems: &[RouteProblem]) {
        let now: BTreeSet<RouteProblem> = problems.iter().cloned().collect();
        for problem in now.difference(&self.problems) {
            warn!(service = %problem.service, about = problem.about, "{}", problem.text);
        }
        for problem in self.problems.difference(&now) {
            info!(service = %problem.service, about = problem.about, "no longer: {}", problem.text);
        }
        self.problems = now;
    }

    fn held(&mut self, held: Option<&Held>) {
        if self.held.as_ref() == held {
            return;
        }
        match held {
            Some(held) => {
                warn!(routers = held.routers, reason = ?held.reason, "routes to servers out of sight are kept");
            }
            None => info!("no routes are held back any more"),
        }
        self.held = held.cloned();
    }
}
