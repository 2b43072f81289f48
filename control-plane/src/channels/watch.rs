//! Watches what relays tell of channels, and has those switched off that are no good.
//!
//! A relay talks to one replica at a time, and what it tells counts together with what other relays told other replicas: words that came
//! once or twice and the last results are remembered in the database. Results are gathered for a second, so that they cost one
//! transaction a second however many relays there are. What is lost on the way is only counted anew.

mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::DbErr;
use sluice_domain::{ChannelId, ChannelKeyId, UnixMillis};
use sluice_telemetry::drain::Drain;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use self::store::WHOLE;
use super::change::switch_off;
use super::store::find;
use super::verdict::{DisableRules, Ground, Observed};
use crate::app::App;
use crate::db::{Urgency, retried};
use crate::http::ApiError;
use crate::settings;

/// Times a word has to come.
const KEYWORD_HITS: usize = 3;
/// Within this many milliseconds.
const KEYWORD_WINDOW_MILLIS: i64 = 300_000;
/// How often results are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Channels whose results are gathered between two counts; of more, nothing is counted.
const MOST_GATHERED: usize = 10_000;
/// Results of one telling that are counted: more than a relay can have in a second.
const MOST_RESULTS: u64 = 1 << 32;
/// Channels counted in one transaction.
const COUNTED_AT_ONCE: usize = 500;
/// The reason of a channel whose success rate is too low.
const SUCCESS_RATE: &str = "success_rate";
/// Results as they are remembered, one letter each, the oldest first.
const GOOD: char = '+';
const BAD: char = '-';

/// When a channel's success rate is too low.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRate {
    /// Results that are looked at.
    pub window: usize,
    /// The least share of good ones, 0 to 1.
    pub threshold: f64,
}

/// Results of a channel that were told together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Results {
    good: u64,
    bad: u64,
}

/// Watches over channels. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    success_rate: Option<SuccessRate>,
    /// What came since the last count.
    gathered: Mutex<BTreeMap<ChannelId, Results>>,
}

impl Watch {
    /// Nothing was told yet. `success_rate` says when a channel fails too often; `None`: never.
    #[must_use]
    pub fn new(success_rate: Option<SuccessRate>) -> Self {
        Self(Arc::new(Inner { success_rate, ..Inner::default() }))
    }

    /// Counts what was told, again and again, until the process closes.
    pub(crate) async fn run(self, app: App, drain: Drain) {
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => break,
                _ = ticks.tick() => self.count(&app).await,
            }
        }
    }

    /// Takes in what a relay saw of one key of a channel. What cannot be done now is done when it is seen again.
    pub async fn observe(&self, app: &App, observed: Observed) {
        self.gather(&observed);
        if observed.evidence.is_empty() {
            return;
        }
        if let Err(error) = judge(app, &observed).await {
            warn!(channel.id = %observed.channel, %error, "cannot decide whether channel {} is switched off", observed.channel);
        }
    }

    fn gather(&self, observed: &Observed) {
        if self.0.success_rate.is_none() || observed.attempts == 0 {
            return;
        }
        let mut gathered = self.0.gathered.lock();
        if gathered.len() >= MOST_GATHERED && !gathered.contains_key(&observed.channel) {
            return;
        }
        let results = gathered.entry(observed.channel).or_default();
        let attempts = observed.attempts.min(MOST_RESULTS);
        let good = observed.successes.min(attempts);
        results.good = results.good.saturating_add(good);
        results.bad = results.bad.saturating_add(attempts - good);
    }

    /// Counts what was told since the last count, together with what all replicas remember, and has channels switched off that fail too
    /// often.
    pub async fn count(&self, app: &App) {
        let gathered: Vec<_> = std::mem::take(&mut *self.0.gathered.lock()).into_iter().collect();
        let Some(rate) = self.0.success_rate.filter(|_| !gathered.is_empty()) else { return };
        for some in gathered.chunks(COUNTED_AT_ONCE) {
            if let Err(error) = count(app, rate, some).await {
                warn!(%error, "cannot count how channels do");
            }
        }
    }
}

async fn count(app: &App, rate: SuccessRate, gathered: &[(ChannelId, Results)]) -> Result<(), ApiError> {
    if !DisableRules::of(&settings::site(app).await?).is_on {
        return Ok(());
    }
    let now = app.clock.wall();
    for channel in retried(|| remember_results(app, rate, gathered, now)).await? {
        switch_off(app, channel, None, SUCCESS_RATE).await?;
        retried(|| forget(app, channel, WHOLE, now)).await?;
    }
    Ok(())
}

/// Remembers results beside those before. Answers the channels of which too few are good by now.
async fn remember_results(
    app: &App,
    rate: SuccessRate,
    gathered: &[(ChannelId, Results)],
    now: UnixMillis,
) -> Result<Vec<ChannelId>, DbErr> {
    let channels: Vec<ChannelId> = gathered.iter().map(|(channel, _)| *channel).collect();
    let tx = app.db.begin_as(Urgency::Job).await?;
    // both are in the order of the ids
    let before = store::lock(&tx, &channels, WHOLE, now).await?;
    let last = before.into_iter().zip(gathered);
    let last: Vec<_> = last.map(|((channel, last), (_, results))| (channel, rate.last(&last, *results))).collect();
    let low = last.iter().filter(|(_, last)| rate.is_low(last)).map(|(channel, _)| *channel).collect();
    store::write(&tx, last, WHOLE, now).await?;
    tx.commit().await?;
    Ok(low)
}

/// Switches the channel or key off where what its upstream said is a ground for that.
///
/// # Errors
/// When the database is away.
pub(crate) async fn judge(app: &App, observed: &Observed) -> Result<(), ApiError> {
    let rules = DisableRules::of(&settings::site(app).await?);
    if !rules.is_on {
        return Ok(());
    }
    let Some(channel) = find(app.db.read(), &app.keyring, observed.channel).await? else { return Ok(()) };
    let (id, key, now) = (channel.id, observed.key, app.clock.wall());
    for said in &observed.evidence {
        match rules.judge(&channel.provider, said) {
            Some(Ground::Plain(reason)) => return switch_off(app, id, Some(key), &reason).await.map(drop),
            Some(Ground::Channel(reason)) => return switch_off(app, id, None, &reason).await.map(drop),
            Some(Ground::Keyword(reason)) if retried(|| came_often(app, id, key, now)).await? => {
                switch_off(app, id, Some(key), &reason).await?;
                return Ok(retried(|| forget(app, id, key, now)).await?);
            }
            Some(Ground::Keyword(_)) | None => {}
        }
    }
    Ok(())
}

/// Remembers that a word came. `true` when it came often enough.
async fn came_often(app: &App, channel: ChannelId, key: ChannelKeyId, now: UnixMillis) -> Result<bool, DbErr> {
    let tx = app.db.begin_as(Urgency::Job).await?;
    let before = store::lock(&tx, &[channel], key, now).await?.pop().map(|(_, before)| before).unwrap_or_default();
    let times = last_times(&before, now);
    let came_often = times.len() >= KEYWORD_HITS;
    let remembered = serde_json::to_string(&times).map_err(|error| DbErr::Custom(error.to_string()))?;
    store::write(&tx, [(channel, remembered)], key, now).await?;
    tx.commit().await?;
    Ok(came_often)
}

/// When a word came that comes at this moment: the last times that matter.
fn last_times(before: &str, now: UnixMillis) -> Vec<i64> {
    let mut times: Vec<i64> = serde_json::from_str(before).unwrap_or_default();
    times.push(now.0);
    times.retain(|at| at.saturating_add(KEYWORD_WINDOW_MILLIS) >= now.0);
    times.split_off(times.len().saturating_sub(KEYWORD_HITS))
}

async fn forget(app: &App, channel: ChannelId, key: ChannelKeyId, now: UnixMillis) -> Result<(), DbErr> {
    let tx = app.db.begin_as(Urgency::Job).await?;
    store::write(&tx, [(channel, String::new())], key, now).await?;
    Ok(tx.commit().await?)
}

impl SuccessRate {
    /// The last results of those there were and those that came. Nobody knows the order of those that came together: the bad ones are
    /// spread evenly, so that of more than are looked at the share stays the same.
    fn last(&self, before: &str, came: Results) -> String {
        let (bad, all) = (u128::from(came.bad), u128::from(came.good) + u128::from(came.bad));
        let window = u128::try_from(self.window).unwrap_or(u128::MAX);
        let mark = |at: u128| if at * bad / all == (at + 1) * bad / all { GOOD } else { BAD };
        let came: String = (all.saturating_sub(window)..all).map(mark).collect();
        let kept = before.len().min(self.window - came.len());
        let kept = before.get(before.len() - kept..).unwrap_or_default();
        format!("{kept}{came}")
    }

    /// Whether too few of the last results are good; only a full window says so.
    fn is_low(&self, last: &str) -> bool {
        let good = last.chars().filter(|mark| *mark == GOOD).count();
        #[expect(clippy::cast_precision_loss, reason = "a window has at most some thousand results")]
        let is_low = (good as f64) < self.threshold * (self.window as f64);
        is_low && self.window > 0 && last.len() == self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SuccessRate = SuccessRate { window: 10, threshold: 0.8 };

    fn last(before: &str, good: u64, bad: u64) -> String {
        RATE.last(before, Results { good, bad })
    }

    fn good(last: &str) -> usize {
        last.matches(GOOD).count()
    }

    #[test]
    fn a_word_has_to_come_three_times_in_five_minutes() {
        let mut before = String::new();
        let mut came = |at: i64| {
            let times = last_times(&before, UnixMillis(at));
            before = serde_json::to_string(&times).unwrap();
            times.len()
        };
        assert_eq!((came(0), came(1_000)), (1, 2));
        assert_eq!(came(KEYWORD_WINDOW_MILLIS + 1), 2, "the first is forgotten");
        assert_eq!((came(KEYWORD_WINDOW_MILLIS + 2), came(KEYWORD_WINDOW_MILLIS + 3)), (3, 3), "no more than matter are kept");
        assert_eq!(last_times("what is no list", UnixMillis(5)), [5]);
    }

    #[test]
    fn only_a_full_window_of_results_can_be_too_bad() {
        assert!(!RATE.is_low(&last("", 0, 9)));
        assert!(RATE.is_low(&last(&last("", 0, 9), 1, 0)));
        let well = last("", 8, 2);
        assert!(!RATE.is_low(&well));
        assert!(RATE.is_low(&last(&well, 0, 3)));
        assert!(!SuccessRate { window: 0, threshold: 1.0 }.is_low(""));
    }

    #[test]
    fn of_more_results_than_the_window_has_the_share_stays_the_same() {
        for (all, well, expected) in [(100, 10, 1), (100, 90, 9), (1_000_000, 500_000, 5), (100, 0, 0), (100, 100, 10)] {
            let last = last("++++++++++", well, all - well);
            assert_eq!((last.len(), good(&last)), (10, expected), "{well} of {all}: {last}");
        }
        let most = last("", 1 << 62, 1 << 62);
        assert_eq!((most.len(), good(&most)), (10, 5));
    }

    #[test]
    fn the_oldest_results_are_forgotten_first() {
        assert_eq!(last("----++", 2, 0), "----++++");
        assert_eq!(last("----++", 6, 0), "--++++++++");
        assert_eq!(last("--------------------", 1, 0), "---------+", "a window that became smaller");
        assert_eq!(good(&last("----------", 3, 3)), 3);
    }
}
