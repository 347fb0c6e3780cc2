//! How the driver goes on when chitchat ended.

use std::time::Duration;

use constellation_core::{Generation, error_chain};
use constellation_tasks::Schedule;
use tracing::{error, warn};

use super::{ASK_PEERS, Driver};
use crate::{engine::Engine, error::GossipError};

/// How long to wait before chitchat is started again.
pub(super) const RESTART: Schedule = Schedule::new(Duration::from_millis(100), Duration::from_secs(5));
/// A run of this length was no failed start: the next wait is short again.
const STEADY: Duration = Duration::from_secs(60);

impl Driver {
    /// Starts chitchat again as a new generation, and tells everything anew.
    pub(super) async fn start_again(&mut self, why: String) {
        error!(why, "gossip ended and is started again");
        if self.now().since(self.started) > STEADY {
            self.restart.succeeded();
        }
        let mut peers = self.live.clone();
        self.outputs.condition.send_modify(|condition| {
            condition.restarts += 1;
            condition.last_restart = Some(why);
        });
        loop {
            tokio::time::sleep(self.restart.failed()).await;
            match self.new_engine().await {
                Ok(engine) => {
                    self.engine = engine;
                    break;
                }
                Err(error) => {
                    error!(error = %error_chain(&error), "gossip could not be started again; trying on");
                }
            }
        }
        let generation = Generation(self.engine.id.generation_id);
        self.outputs.condition.send_modify(|condition| condition.generation = generation);
        self.started = self.now();
        self.ledger.forget();
        self.own_heartbeat = 0;
        peers.extend(self.inputs.seeds.borrow().iter().copied().take(ASK_PEERS));
        peers.remove(&self.advertise);
        self.engine.ask(peers, 0);
        self.tell().await;
    }

    async fn new_engine(&mut self) -> Result<Engine, GossipError> {
        let bind = |source| GossipError::Bind { address: self.listen, source };
        let socket = self.network.bind(self.listen).await.map_err(bind)?;
        let (generations, generation, kept) =
            self.generations.clone().next_blocking(self.around.clock.wall()).await?;
        self.generations = generations;
        if let Err(error) = kept {
            // The number has risen all the same: only a restart of the whole process could repeat it.
            warn!(error = %error_chain(&error), "going on with a generation that is not kept");
        }
        Engine::start(&self.around, socket, generation, self.advertise).await
    }
}
