//! Two machines with one name: who stays, and who gives way.
//!
//! At its start a node looks whether somebody alive has its name already; then it does not start. Where two met only later,
//! because a partition healed, the younger run withdraws what it published until the other is gone: one name must not
//! mean two machines, and the older one is the one that everybody knows.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use constellation_core::Moment;

/// How long to look for company at the start, where there are seeds to ask.
const COMPANY: Duration = Duration::from_millis(1500);
/// For so long after it was first heard of, a rising heartbeat may be an echo that travels from peer to peer: a node that
/// crashed a moment ago looks like that, and it may well be the run of ours before this one.
const ECHO: Duration = Duration::from_millis(1500);
/// A rival whose heartbeat has not risen for so long is gone.
const SILENCE: Duration = Duration::from_millis(1200);

/// Which of two runs with one name is older. Generations come from two calendars, so "older" is a rule, not a truth;
/// what matters is that both machines find the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seniority {
    pub(crate) generation: u64,
    pub(crate) address: SocketAddr,
}

/// Somebody else with our name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rival {
    pub(crate) seniority: Seniority,
    pub(crate) heartbeat: u64,
    /// Whether it has told anything. One that has not is starting, like us, or has withdrawn.
    pub(crate) published: bool,
    pub(crate) live: bool,
}

/// To whom we give way, if to anybody.
pub(crate) fn elder(me: Seniority, rivals: &[Rival]) -> Option<SocketAddr> {
    let older = rivals.iter().filter(|rival| rival.live && rival.seniority < me);
    older.map(|rival| rival.seniority.address).min()
}

/// Whether the name is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wait,
    Free,
    Taken(SocketAddr),
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    first: Moment,
    rose: Moment,
    heartbeat: u64,
}

/// The look around at the start.
#[derive(Debug)]
pub(crate) struct NameCheck {
    me: Seniority,
    begun: Moment,
    watched: BTreeMap<Seniority, Watched>,
}

impl NameCheck {
    pub(crate) const fn new(me: Seniority, begun: Moment) -> Self {
        Self { me, begun, watched: BTreeMap::new() }
    }

    /// Looks at the rivals. `alone`: there is nobody to ask. `company`: somebody has answered.
    pub(crate) fn step(&mut self, rivals: &[Rival], alone: bool, company: bool, now: Moment) -> Verdict {
        let mut waiting = !alone && !company && now.since(self.begun) < COMPANY;
        for rival in rivals.iter().filter(|rival| rival.published || rival.seniority < self.me) {
            let heartbeat = rival.heartbeat;
            let watched =
                self.watched.entry(rival.seniority).or_insert(Watched { first: now, rose: now, heartbeat });
            if heartbeat > watched.heartbeat {
                *watched = Watched { rose: now, heartbeat, ..*watched };
            }
            if watched.rose.since(watched.first) > ECHO {
                return Verdict::Taken(rival.seniority.address);
            }
            waiting |= now.since(watched.rose) < SILENCE;
        }
        if waiting { Verdict::Wait } else { Verdict::Free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(generation: u64, port: u16) -> Seniority {
        Seniority { generation, address: ([127, 0, 0, 1], port).into() }
    }

    fn rival(generation: u64, heartbeat: u64) -> Rival {
        Rival { seniority: run(generation, 1), heartbeat, published: true, live: true }
    }

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    /// The first verdict that is not "wait", and when.
    fn verdict(rivals: impl Fn(u64) -> Vec<Rival>, alone: bool, company: bool) -> (u64, Verdict) {
        let mut check = NameCheck::new(run(50, 2), at(0));
        (0..100)
            .map(|tick| (tick * 100, check.step(&rivals(tick), alone, company, at(tick * 100))))
            .find(|(_, verdict)| *verdict != Verdict::Wait)
            .unwrap()
    }

    #[test]
    fn the_first_node_of_a_cluster_does_not_wait() {
        assert_eq!(verdict(|_| vec![], true, false), (0, Verdict::Free));
    }

    #[test]
    fn with_seeds_that_do_not_answer_the_wait_is_bounded() {
        assert_eq!(verdict(|_| vec![], false, false), (1500, Verdict::Free));
    }

    #[test]
    fn a_living_node_of_our_name_is_found() {
        let (when, verdict) = verdict(|tick| vec![rival(10, tick)], false, true);
        assert_eq!(verdict, Verdict::Taken(([127, 0, 0, 1], 1).into()));
        assert!(when <= 2000);
    }

    #[test]
    fn a_younger_one_that_told_its_facts_has_the_name_as_well() {
        assert!(matches!(verdict(|tick| vec![rival(99, tick)], false, true).1, Verdict::Taken(_)));
    }

    #[test]
    fn a_run_of_ours_that_crashed_a_moment_ago_does_not_keep_us_out() {
        let (when, verdict) = verdict(|tick| vec![rival(10, tick.min(8))], false, true);
        assert_eq!(verdict, Verdict::Free);
        assert!(when <= 3000);
    }

    #[test]
    fn of_two_that_start_together_the_older_goes_on() {
        let starting = |generation, tick| Rival { published: false, ..rival(generation, tick) };
        assert_eq!(verdict(|tick| vec![starting(51, tick)], false, true), (0, Verdict::Free));
        assert!(matches!(verdict(|tick| vec![starting(49, tick)], false, true).1, Verdict::Taken(_)));
    }

    #[test]
    fn of_two_runs_exactly_one_gives_way() {
        let (a, b) = (run(1, 9), run(2, 1));
        let seen = |seniority| [Rival { seniority, heartbeat: 1, published: true, live: true }];
        assert_eq!(elder(a, &seen(b)), None);
        assert_eq!(elder(b, &seen(a)), Some(a.address));
        assert_eq!(elder(b, &[Rival { live: false, ..seen(a)[0] }]), None, "a dead one keeps no name");
    }
}
