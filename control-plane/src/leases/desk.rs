//! Who waits for money, and what is done about it: pure. Asks come in; what to decide, whom to ask back and what to tell comes out.
//!
//! A turn of whoever runs it: [`Desk::questions`] go to the database in one transaction, its answers to [`Desk::decided`]; the accounts of
//! [`Desk::to_recall`] are asked back, and [`Desk::recalled`] hears under which number. Between these calls nothing else is said to the
//! desk. Times are counted from any moment that stays the same.
//!
//! An account is told as exhausted by whoever decides (`rules.rs`); here it is only remembered, and believed as long as no money moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sluice_domain::{AccountId, Quota};

use super::{Answer, Ask, Pending, Refused};
use crate::publish::log::MAX_CHANGES;
use crate::publish::{News, Revoked};

/// Requests that wait for what relays give back; beyond it they are told at once that nobody knows.
const MOST_WAITING: usize = 10_000;
/// How often those who wait are looked at: relays of other replicas give back, too.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Who waits for what relays give back waits at least for so many decisions: a recall takes the database about half as many turns.
const TURNS: u32 = 8;
/// But no longer than this: relays give up after 5 s.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// Accounts known to be exhausted; beyond it all are forgotten, and asked back once more.
const MOST_VERDICTS: usize = 10_000;
/// How long one is known to be. Relays go on giving back what they were asked for, so this only bounds what nobody foresaw.
const VERDICT_LIFE: Duration = Duration::from_mins(1);

/// What somebody who asked is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<To> {
    /// Where the ask came from.
    pub to: To,
    /// The ask.
    pub ask: Ask,
    /// The answer.
    pub reply: Reply,
}

/// The end of an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It was decided. Never [`Answer::Waits`].
    Decided(Answer),
    /// A larger ask of the same relay for the same account took its place.
    Superseded,
}

/// An ask without an answer.
#[derive(Debug)]
struct Entry<To> {
    pending: Pending,
    to: To,
    since: Duration,
    /// It is decided as if every relay had answered, because the account was exhausted at this revision.
    presumed: Option<i64>,
}

impl<To> Entry<To> {
    /// Whether it is said again, or overtaken by a larger one of the same relay.
    fn is_replaced_by(&self, ask: &Ask) -> bool {
        let own = &self.pending.ask;
        own.life == ask.life && own.account == ask.account && (own.grant_seq == ask.grant_seq || own.need <= ask.need)
    }

    /// Looks at what is known of the account. Whoever asks for what is known to be too much waits for nobody.
    fn presume(&mut self, verdicts: &HashMap<AccountId, Exhausted>, now: Duration) {
        let ask = &self.pending.ask;
        let goal = if ask.up_to_want { ask.want } else { ask.need };
        let is_said = |known: &&Exhausted| now.saturating_sub(known.since) < VERDICT_LIFE && goal >= known.need;
        self.presumed = None;
        if let Some(known) = verdicts.get(&ask.account).filter(is_said)
            && self.pending.recall_seq.is_none()
        {
            (self.pending.recall_seq, self.presumed) = (Some(0), Some(known.rev));
        }
    }
}

/// What is known of an exhausted account: at this revision it cannot pay this much, whatever relays hold.
#[derive(Debug, Clone, Copy)]
struct Exhausted {
    rev: i64,
    need: Quota,
    since: Duration,
}

/// Everybody who waits at one replica. `To` is where an answer goes.
#[derive(Debug)]
pub struct Desk<To> {
    /// How long somebody waits for what relays give back while the database is quick.
    usual_wait: Duration,
    waiting: Vec<Entry<To>>,
    verdicts: HashMap<AccountId, Exhausted>,
    /// The newest recall of each account, and when it went out.
    recalls: HashMap<AccountId, (i64, Duration)>,
    /// How long the database takes for a decision, as of late.
    pace: Duration,
}

impl<To: Clone> Desk<To> {
    /// One at which nobody waits.
    #[must_use]
    pub fn new(usual_wait: Duration) -> Self {
        Self { usual_wait, waiting: Vec::new(), verdicts: HashMap::new(), recalls: HashMap::new(), pace: Duration::ZERO }
    }

    /// After which time those who wait are to be decided again though nothing was heard; `None`: nobody waits.
    #[must_use]
    pub fn looks_again_after(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(LOOK_AGAIN)
    }

    /// Puts asks behind those that wait. Answers whom they overtake.
    #[must_use = "whoever is overtaken has to be told"]
    pub fn take_in(&mut self, asks: impl IntoIterator<Item = (Ask, To)>, now: Duration) -> Vec<Told<To>> {
        let (waited, mut overtaken) = (self.waiting.len(), BTreeMap::new());
        for (ask, to) in asks {
            for (place, entry) in self.waiting.iter().enumerate().take(waited) {
                if entry.is_replaced_by(&ask) {
                    let by = overtaken.entry(place).or_insert(ask.grant_seq);
                    *by = ask.grant_seq.min(*by);
                }
            }
            let is_over = self.waiting.len() >= MOST_WAITING;
            let pending = Pending { is_over, ..Pending::new(ask) };
            self.waiting.push(Entry { pending, to, since: now, presumed: None });
        }
        let mut told = Vec::new();
        for (place, by) in overtaken.into_iter().rev() {
            let Entry { pending, to, .. } = self.waiting.remove(place);
            if pending.ask.grant_seq != by {
                told.push(Told { to, ask: pending.ask, reply: Reply::Superseded });
            }
        }
        told
    }

    /// Hears what happened. `true`: money came in for somebody who waits, so they are to be decided again.
    pub fn hears(&mut self, told: &News) -> bool {
        let urgent: &[Revoked] = match told {
            News::Change(change) => &change.urgent,
            News::Urgent(urgent) => urgent,
            News::Reload => {
                // in another history revisions and recalls are counted anew
                self.verdicts.clear();
                self.recalls.clear();
                return true;
            }
        };
        let is_waited_for = |account| self.waiting.iter().any(|entry| entry.pending.ask.account == account);
        urgent.iter().any(|told| matches!(told, Revoked::Credit(account, _) if is_waited_for(*account)))
    }

    /// What is to be decided, in this order. [`Self::decided`] follows.
    #[must_use = "they have to be decided"]
    pub fn questions(&mut self, now: Duration) -> Vec<Pending> {
        let wait = self.recall_wait();
        for entry in &mut self.waiting {
            entry.pending.is_over |= now.saturating_sub(entry.since) >= wait;
            entry.presume(&self.verdicts, now);
        }
        self.waiting.iter().map(|entry| entry.pending.clone()).collect()
    }

    /// The answers to [`Self::questions`], which took so long; `None` for an earlier life, which is not listened to. When the database could
    /// not say: [`Answer::Unknown`] for each. Answers what is to be told; the rest goes on waiting.
    #[must_use = "those who asked have to be told"]
    pub fn decided(&mut self, answers: Vec<Option<Answer>>, took: Duration, now: Duration) -> Vec<Told<To>> {
        self.pace = (self.pace * 3 + took) / 4;
        let mut told = Vec::new();
        for (mut entry, answer) in std::mem::take(&mut self.waiting).into_iter().zip(answers) {
            match answer {
                Some(Answer::Waits { .. }) => self.waiting.push(entry),
                Some(Answer::Refused(Refused::Exhausted { rev, .. })) if entry.presumed.is_some_and(|known| known != rev) => {
                    // money moved since: relays are asked after all
                    entry.pending.recall_seq = None;
                    self.waiting.push(entry);
                }
                Some(answer) => {
                    self.remember(entry.pending.ask.account, answer, now);
                    told.push(Told { to: entry.to, ask: entry.pending.ask, reply: Reply::Decided(answer) });
                }
                None => {}
            }
        }
        told
    }

    /// The accounts that relays are to be asked back for: of those who wait for nothing yet. One recall within the time of a wait serves all
    /// who come meanwhile. [`Self::recalled`] follows, also when there are none.
    #[must_use = "they have to be asked back"]
    pub fn to_recall(&mut self, now: Duration) -> BTreeSet<AccountId> {
        let wait = self.recall_wait();
        self.recalls.retain(|_, (_, at)| now.saturating_sub(*at) < wait);
        let fresh = self.waiting.iter().filter(|entry| entry.pending.recall_seq.is_none());
        let wanted: BTreeSet<AccountId> = fresh.map(|entry| entry.pending.ask.account).collect();
        wanted.into_iter().filter(|account| !self.recalls.contains_key(account)).take(MAX_CHANGES).collect()
    }

    /// These were asked back, under a number; `None`: that failed, and is tried again at the next look, while there is time.
    pub fn recalled(&mut self, accounts: BTreeSet<AccountId>, recall_seq: Option<i64>, now: Duration) {
        if let Some(recall_seq) = recall_seq {
            self.recalls.extend(accounts.into_iter().map(|account| (account, (recall_seq, now))));
        }
        for entry in self.waiting.iter_mut().filter(|entry| entry.pending.recall_seq.is_none()) {
            entry.pending.recall_seq = self.recalls.get(&entry.pending.ask.account).map(|(recall_seq, _)| *recall_seq);
        }
    }

    /// How long somebody waits for what relays give back: a database that is slow is no reason to know nothing for ever.
    fn recall_wait(&self) -> Duration {
        self.usual_wait.max((self.pace * TURNS).min(LONGEST_WAIT))
    }

    fn remember(&mut self, account: AccountId, answer: Answer, now: Duration) {
        if matches!(answer, Answer::Granted(granted) if !granted.low) {
            // there is enough again, whatever was known before
            self.verdicts.remove(&account);
        }
        let Answer::Refused(Refused::Exhausted { need, rev }) = answer else { return };
        if need.is_zero() {
            return;
        }
        if self.verdicts.len() >= MOST_VERDICTS {
            self.verdicts.clear();
        }
        let known = self.verdicts.get(&account).filter(|known| known.rev == rev && known.need < need).copied();
        self.verdicts.insert(account, known.unwrap_or(Exhausted { rev, need, since: now }));
    }
}

#[cfg(test)]
mod tests;
