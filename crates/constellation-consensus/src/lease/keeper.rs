//! The keeper: one per node and lease. It wants, asks, holds and lets go.
//!
//! Three rules carry the promise. A grant is counted from when its question was *sent*, so that it ends before the
//! leader, who saw it later, can end it. Who lets go stops acting *before* it says so. And a reader compares `until`
//! with its own now, so that a keeper which was stopped cannot keep a lease alive by its silence.

use std::{collections::VecDeque, time::Duration};

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, LeaseStatus, NodeName};

use super::{
    command::{AskId, Command, Outcome, Refusal},
    config::LeaseConfig,
    table::{Record, Tenure},
};
use crate::{
    clock::HolderMoment,
    mutation::{Broken, Mutation},
};

/// Questions that may be unanswered at once. With the default patience they cover the time of one TTL.
const OPEN_BOUND: usize = 12;

/// How often the wait for an answer to an [`Command::Acquire`] doubles. A node that hears its answers too late to use them
/// would otherwise hold the lease by name for ever, and act never.
const DOUBLINGS_BOUND: u32 = 6;

/// Whether this node would hold the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It would not: it drains, is cordoned, or has lost sight of most peers. What it holds, it lets go.
    No,
    /// It would.
    Yes {
        /// How long it lets better nodes go first, once it saw the lease free: none for the best node there is.
        patience: Duration,
        /// A node that is there, wants the lease too, and is better.
        better: Option<NodeName>,
    },
}

/// The answer to one of this keeper's questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub ask: AskId,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a keeper is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperEvent {
    /// What its node wants, whenever that changes.
    Wish(Wish),
    /// The lease as this node's replica has it now, and the answer, if the entry that was applied was its own question.
    Applied(Record, Option<Answer>),
    /// A leader is known who was not before: what was asked of the last one may be lost, and asking is worth while again.
    Leader,
    /// Time has passed.
    Tick,
}

/// What a keeper wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperEffect {
    /// Tell everybody on this node. Performed before any later effect.
    Publish(LeaseStatus),
    /// Put a command to the cluster. It may vanish; the keeper asks again by itself.
    Propose(Command),
    /// The cluster holds this process for dead. It must end and come back as a new one.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    ask: AskId,
    sent: HolderMoment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding {
    token: FencingToken,
    until: HolderMoment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaving {
    token: FencingToken,
    heir: Option<NodeName>,
}

/// Keeps one lease for one process.
#[derive(Clone, Debug)]
pub struct LeaseKeeper {
    kind: LeaseKind,
    me: LeaseHolder,
    config: LeaseConfig,
    wish: Wish,
    record: Record,
    holding: Option<Holding>,
    leaving: Option<Leaving>,
    open: VecDeque<Open>,
    next_ask: AskId,
    /// When the last command went out, whatever it was.
    said: Option<HolderMoment>,
    /// How many questions for the lease went out since an answer came in time.
    in_vain: u32,
    free_since: Option<HolderMoment>,
    better_since: Option<(NodeName, HolderMoment)>,
    published: LeaseStatus,
    dead: bool,
    broken: Broken,
}

impl LeaseKeeper {
    /// A keeper that wants nothing yet. `first_ask` is above every question that an earlier process with the same boot id
    /// can have sent: nanoseconds of a clock that only rises will do.
    pub fn new(kind: LeaseKind, me: LeaseHolder, first_ask: AskId, config: LeaseConfig) -> Self {
        Self::with(kind, me, first_ask, config, Broken::default())
    }

    pub(crate) fn with(
        kind: LeaseKind,
        me: LeaseHolder,
        first_ask: AskId,
        config: LeaseConfig,
        broken: Broken,
    ) -> Self {
        Self {
            kind,
            me,
            config,
            wish: Wish::No,
            record: Record::default(),
            holding: None,
            leaving: None,
            open: VecDeque::new(),
            next_ask: first_ask,
            said: None,
            in_vain: 0,
            free_since: None,
            better_since: None,
            published: LeaseStatus::Unheld,
            dead: false,
            broken,
        }
    }

    /// The lease that it keeps.
    pub fn kind(&self) -> LeaseKind {
        self.kind
    }

    /// What it published last.
    pub fn status(&self) -> &LeaseStatus {
        &self.published
    }

    /// Takes in what happened, and says what is to be done, in this order.
    pub fn step(&mut self, event: KeeperEvent, now: HolderMoment) -> Vec<KeeperEffect> {
        let mut effects = Vec::new();
        match event {
            KeeperEvent::Tick => {}
            KeeperEvent::Leader => {
                self.in_vain = 0;
                self.said = None;
            }
            KeeperEvent::Wish(wish) => self.wish = wish,
            KeeperEvent::Applied(record, answer) => {
                let news = record.changed != self.record.changed;
                if news || record.tenure != Tenure::Free {
                    self.free_since = None;
                }
                if news && matches!(&record.tenure, Tenure::Reserved(heir) if *heir == self.me.node) {
                    // Somebody waits for this node to take it: what it asked in vain before is no reason to let it lapse.
                    self.in_vain = 0;
                }
                self.record = record;
                if let Some(answer) = answer {
                    self.take(&answer, now, &mut effects);
                }
            }
        }
        self.face_facts(now);
        let mut commands = Vec::new();
        self.decide(now, &mut commands);
        self.publish(&mut effects);
        effects.extend(commands.into_iter().map(KeeperEffect::Propose));
        effects
    }

    fn take(&mut self, answer: &Answer, now: HolderMoment, effects: &mut Vec<KeeperEffect>) {
        let asked = if self.broken.is(Mutation::AnyAnswerIsTheLatest) {
            self.open.back().copied()
        } else {
            self.open.iter().find(|open| open.ask == answer.ask).copied()
        };
        if asked.is_some_and(|asked| now.since(asked.sent) < self.config.usable()) {
            self.in_vain = 0;
        }
        match &answer.outcome {
            Outcome::Granted { token } | Outcome::Renewed { token } => {
                let Some(asked) = asked else { return };
                // Later questions stay open: each counts from its own moment.
                self.open.retain(|open| open.ask > asked.ask);
                self.hold(*token, asked.sent, now);
            }
            Outcome::Refused(Refusal::Dead) if !self.dead => {
                self.dead = true;
                effects.push(KeeperEffect::Dead);
            }
            Outcome::Refused(_) | Outcome::Done => self.open.retain(|open| open.ask != answer.ask),
        }
    }

    fn hold(&mut self, token: FencingToken, sent: HolderMoment, now: HolderMoment) {
        let from = if self.broken.is(Mutation::CountsFromAnswer) { now } else { sent };
        let usable =
            if self.broken.is(Mutation::NoDriftMargin) { self.config.ttl } else { self.config.usable() };
        let until = from + usable;
        match &mut self.holding {
            Some(holding) if holding.token == token => holding.until = holding.until.max(until),
            _ => {
                self.holding = Some(Holding { token, until });
                // The wait for a better node begins with the tenure.
                self.better_since = None;
            }
        }
    }

    /// Drops what the table or the clock has taken away.
    fn face_facts(&mut self, now: HolderMoment) {
        let (record, me) = (&self.record, &self.me);
        let mine = |token: FencingToken| record.token == token && record.holder() == Some(me);
        let in_time = |holding: &Holding| now < holding.until || self.broken.is(Mutation::HoldsUntilTold);
        self.holding = self.holding.filter(|holding| mine(holding.token) && in_time(holding));
        self.leaving = self.leaving.take().filter(|leaving| mine(leaving.token));
    }

    fn decide(&mut self, now: HolderMoment, commands: &mut Vec<Command>) {
        if self.dead {
            self.holding = None;
            return;
        }
        let (patience, better) = match &self.wish {
            Wish::No => {
                self.let_go(None, now, commands);
                return;
            }
            Wish::Yes { patience, better } => (*patience, better.clone()),
        };
        if self.broken.is(Mutation::TakesBackAfterRelease) {
            self.leaving = None;
        }
        if self.leaving.is_some() {
            self.let_go(None, now, commands);
        } else if let Some(holding) = self.holding {
            match self.successor(better, now) {
                Some(heir) => self.let_go(Some(heir), now, commands),
                None => self.renew(holding, now, commands),
            }
        } else {
            self.pursue(patience, now, commands);
        }
    }

    /// Stops acting under what the table has in this process's name, and says so until the table agrees.
    fn let_go(&mut self, heir: Option<NodeName>, now: HolderMoment, commands: &mut Vec<Command>) {
        if !self.broken.is(Mutation::ReleasesBeforeStopping) {
            self.holding = None;
        }
        // An answer that is still on its way must not bring it back.
        if !self.broken.is(Mutation::TakesBackAfterRelease) {
            self.open.clear();
        }
        self.free_since = None;
        self.better_since = None;
        if self.record.holder() != Some(&self.me) {
            return;
        }
        let token = self.record.token;
        let first = self.leaving.as_ref().is_none_or(|leaving| leaving.token != token);
        if first {
            self.leaving = Some(Leaving { token, heir });
        }
        if first || self.patience_is_over(now) {
            self.said = Some(now);
            let heir = self.leaving.as_ref().and_then(|leaving| leaving.heir.clone());
            commands.push(Command::Release { kind: self.kind, holder: self.me.clone(), token, heir });
        }
    }

    /// The better node, once it was there for long enough.
    fn successor(&mut self, better: Option<NodeName>, now: HolderMoment) -> Option<NodeName> {
        let Some(better) = better else {
            self.better_since = None;
            return None;
        };
        match &self.better_since {
            Some((known, since)) if *known == better => {
                (now.since(*since) >= self.config.takeover_after).then_some(better)
            }
            _ => {
                self.better_since = Some((better, now));
                None
            }
        }
    }

    fn renew(&mut self, holding: Holding, now: HolderMoment, commands: &mut Vec<Command>) {
        let due = match self.open.back() {
            Some(_) => self.patience_is_over(now),
            None => self.said.is_none_or(|said| now.since(said) >= self.config.renew_after()),
        };
        if due {
            let ask = self.ask(now);
            let (kind, holder, token) = (self.kind, self.me.clone(), holding.token);
            commands.push(Command::Renew { kind, holder, ask, token });
        }
    }

    fn pursue(&mut self, patience: Duration, now: HolderMoment, commands: &mut Vec<Command>) {
        let wanted = match &self.record.tenure {
            Tenure::Free => {
                let since = *self.free_since.get_or_insert(now);
                now.since(since) >= patience
            }
            // It is ours by name and we do not act: a grant that came too late, or a tenure that ran out here.
            Tenure::Held { holder, .. } => *holder == self.me,
            Tenure::Reserved(heir) => *heir == self.me.node,
        };
        if !wanted {
            return;
        }
        let wait = self.config.ask_again * 2_u32.pow(self.in_vain.saturating_sub(1).min(DOUBLINGS_BOUND));
        if self.in_vain == 0 || self.said.is_none_or(|said| now.since(said) >= wait) {
            self.in_vain = self.in_vain.saturating_add(1);
            let ask = self.ask(now);
            commands.push(Command::Acquire { kind: self.kind, holder: self.me.clone(), ask });
        }
    }

    fn ask(&mut self, now: HolderMoment) -> AskId {
        let ask = self.next_ask;
        self.next_ask = AskId(ask.0.saturating_add(1));
        if self.open.len() == OPEN_BOUND {
            self.open.pop_front();
        }
        self.open.push_back(Open { ask, sent: now });
        self.said = Some(now);
        ask
    }

    fn patience_is_over(&self, now: HolderMoment) -> bool {
        self.said.is_none_or(|said| now.since(said) >= self.config.ask_again)
    }

    fn publish(&mut self, effects: &mut Vec<KeeperEffect>) {
        let status = match (&self.holding, self.record.holder()) {
            (Some(Holding { token, until }), _) => {
                let until = if self.broken.is(Mutation::HoldsUntilTold) {
                    *until + Duration::from_secs(1_000_000)
                } else {
                    *until
                };
                LeaseStatus::Held { token: *token, until: until.0 }
            }
            (None, Some(holder)) if *holder != self.me => {
                LeaseStatus::HeldBy { holder: holder.clone(), token: self.record.token }
            }
            (None, _) => LeaseStatus::Unheld,
        };
        if status != self.published {
            self.published = status.clone();
            effects.push(KeeperEffect::Publish(status));
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
