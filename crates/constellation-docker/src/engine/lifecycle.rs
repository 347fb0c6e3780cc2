//! What docker-api does right: starting, stopping, restarting, signalling and removing.

use std::time::Duration;

use docker_api::opts::{ContainerRemoveOpts, ContainerRestartOpts, ContainerStopOpts};

use super::{
    fault::{self, Failure},
    limits::Limits,
    link::{Link, Session},
};

/// A change to one container, as data, so that it can be asked for again when the daemon was exchanged.
#[derive(Clone, Debug)]
pub(super) enum Change<'a> {
    Start,
    Stop { grace: Duration },
    Restart { grace: Duration },
    Kill { signal: &'a str },
    Remove { force: bool },
}

/// Whether the daemon did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Done,
    /// It was so already: status 304, which docker-api takes for an error.
    AlreadySo,
}

impl Change<'_> {
    /// What is asked, for error messages.
    pub(super) fn deed(&self, id: &str) -> String {
        let id = id.get(..12).unwrap_or(id);
        match self {
            Self::Start => format!("start container `{id}`"),
            Self::Stop { .. } => format!("stop container `{id}`"),
            Self::Restart { .. } => format!("restart container `{id}`"),
            Self::Kill { signal } => format!("send {signal} to container `{id}`"),
            Self::Remove { .. } => format!("remove container `{id}`"),
        }
    }

    fn limit(&self, limits: &Limits) -> Duration {
        match self {
            Self::Stop { grace } => whole_seconds(*grace) + limits.stop_margin,
            Self::Restart { grace } => whole_seconds(*grace) + limits.stop_margin + limits.change,
            Self::Start | Self::Kill { .. } | Self::Remove { .. } => limits.change,
        }
    }

    async fn ask(&self, session: &Session, id: &str) -> docker_api::Result<()> {
        let container = session.docker.containers().get(id);
        match self {
            Self::Start => container.start().await,
            Self::Stop { grace } => {
                container.stop(&ContainerStopOpts::builder().wait(whole_seconds(*grace)).build()).await
            }
            Self::Restart { grace } => {
                container.restart(&ContainerRestartOpts::builder().wait(whole_seconds(*grace)).build()).await
            }
            Self::Kill { signal } => container.kill(Some(signal)).await,
            Self::Remove { force } => {
                let options = ContainerRemoveOpts::builder().force(*force).volumes(true).build();
                container.remove(&options).await.map(|_| ())
            }
        }
    }
}

/// The daemon counts graces in seconds; a shorter one must not become none.
pub(super) fn whole_seconds(grace: Duration) -> Duration {
    let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
    Duration::from_secs(seconds)
}

/// Performs a change. The caller has made sure that `id` may stand in a path.
pub(super) async fn perform(link: &Link, id: &str, change: Change<'_>) -> Result<Effect, Failure> {
    let deed = change.deed(id);
    let once = || async {
        let session = link.session().await?;
        match change.ask(&session, id).await {
            Ok(()) => Ok(Effect::Done),
            Err(docker_api::Error::Fault { code, .. }) if code.as_u16() == 304 => Ok(Effect::AlreadySo),
            Err(error) => Err(fault::docker_api(link.endpoint(), &deed, error)),
        }
    };
    let work = async {
        match once().await {
            Err(failure) if failure.is_version_refusal() => {
                link.forget();
                once().await
            }
            outcome => outcome,
        }
    };
    link.within(&deed, change.limit(&link.limits), work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_of_part_of_a_second_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), Duration::ZERO);
        assert_eq!(whole_seconds(Duration::from_millis(1)), Duration::from_secs(1));
        assert_eq!(whole_seconds(Duration::from_millis(1500)), Duration::from_secs(2));
        assert_eq!(whole_seconds(Duration::from_secs(3)), Duration::from_secs(3));
    }
}
