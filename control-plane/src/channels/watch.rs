//! Watches what relays tell of channels, and has those switched off that are no good.
//!
//! What is remembered between two tellings (words that came once or twice, the last results) is this replica's alone: a relay talks to
//! one replica at a time, and what is lost with it is only counted anew.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use sluice_domain::{ChannelId, ChannelKeyId, UnixMillis};
use tracing::warn;

use super::change::switch_off;
use super::verdict::{DisableRules, Ground, Observed};
use super::{Channel, store};
use crate::app::App;
use crate::http::ApiError;
use crate::settings;

/// Times a word has to come.
const KEYWORD_HITS: usize = 3;
/// Within this many milliseconds.
const KEYWORD_WINDOW_MILLIS: i64 = 300_000;
/// Channels and keys that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// The reason of a channel whose success rate is too low.
const SUCCESS_RATE: &str = "success_rate";

/// When a channel's success rate is too low.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRate {
    /// Results that are looked at.
    pub window: usize,
    /// The least share of good ones, 0 to 1.
    pub threshold: f64,
}

/// What is remembered of channels. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    success_rate: Option<SuccessRate>,
    words: Mutex<HashMap<(ChannelId, ChannelKeyId), VecDeque<UnixMillis>>>,
    results: Mutex<HashMap<ChannelId, VecDeque<bool>>>,
}

impl Watch {
    /// Nothing is remembered yet. `success_rate` says when a channel fails too often; `None`: never.
    #[must_use]
    pub fn new(success_rate: Option<SuccessRate>) -> Self {
        Self(Arc::new(Inner { success_rate, ..Inner::default() }))
    }

    /// Takes in what a relay saw of one key of a channel. What cannot be done now is done when it is seen again.
    pub async fn observe(&self, app: &App, observed: Observed) {
        let fails_too_often = self.fails_too_often(&observed);
        if !fails_too_often && observed.evidence.is_empty() {
            return;
        }
        if let Err(error) = self.decide(app, &observed, fails_too_often).await {
            warn!(channel.id = %observed.channel, %error, "cannot decide whether channel {} is switched off", observed.channel);
        }
    }

    async fn decide(&self, app: &App, observed: &Observed, fails_too_often: bool) -> Result<(), ApiError> {
        let rules = DisableRules::of(&settings::site(app).await?);
        if !rules.is_on {
            return Ok(());
        }
        let Some(channel) = store::find(app.db.read(), observed.channel).await? else { return Ok(()) };
        if fails_too_often {
            switch_off(app, channel.id, None, SUCCESS_RATE).await?;
            return Ok(());
        }
        let Some(reason) = self.reason(&rules, &channel, observed, app.clock.wall()) else { return Ok(()) };
        switch_off(app, channel.id, Some(observed.key), &reason).await?;
        Ok(())
    }

    /// Why the key is to be switched off, if it is.
    fn reason(&self, rules: &DisableRules, channel: &Channel, observed: &Observed, now: UnixMillis) -> Option<String> {
        observed.evidence.iter().find_map(|said| match rules.judge(&channel.provider, said)? {
            Ground::Plain(reason) => Some(reason),
            Ground::Keyword(reason) => self.came_often((observed.channel, observed.key), now).then_some(reason),
        })
    }

    /// Counts a word. `true` when it came often enough.
    fn came_often(&self, key: (ChannelId, ChannelKeyId), now: UnixMillis) -> bool {
        let mut words = self.0.words.lock();
        if words.len() >= MAX_REMEMBERED {
            words.retain(|_, times| times.back().is_some_and(|last| last.0 + KEYWORD_WINDOW_MILLIS >= now.0));
        }
        if words.len() >= MAX_REMEMBERED && !words.contains_key(&key) {
            return false;
        }
        let times = words.entry(key).or_default();
        times.retain(|at| at.0 + KEYWORD_WINDOW_MILLIS >= now.0);
        times.push_back(now);
        let came_often = times.len() >= KEYWORD_HITS;
        if came_often {
            words.remove(&key);
        }
        came_often
    }

    /// Counts results. `true` when too few of a full window are good; the window is empty then.
    fn fails_too_often(&self, observed: &Observed) -> bool {
        let Some(SuccessRate { window, threshold }) = self.0.success_rate else { return false };
        let mut results = self.0.results.lock();
        if results.len() >= MAX_REMEMBERED && !results.contains_key(&observed.channel) {
            results.clear();
        }
        let last = results.entry(observed.channel).or_default();
        let most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(window);
        let good = most(observed.successes);
        let bad = most(observed.attempts.saturating_sub(observed.successes));
        last.extend(std::iter::repeat_n(false, bad).chain(std::iter::repeat_n(true, good)));
        while last.len() > window {
            last.pop_front();
        }
        let good = last.iter().filter(|is_good| **is_good).count();
        #[expect(clippy::cast_precision_loss, reason = "a window has at most some thousand results")]
        let is_low = window > 0 && last.len() == window && (good as f64) < threshold * (window as f64);
        if is_low {
            last.clear();
        }
        is_low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ChannelId = ChannelId::new(1);
    const KEY: ChannelKeyId = ChannelKeyId::new(2);

    fn results(attempts: u64, successes: u64) -> Observed {
        Observed { channel: CHANNEL, key: KEY, attempts, successes, evidence: vec![] }
    }

    #[test]
    fn a_word_has_to_come_three_times_in_five_minutes() {
        let watch = Watch::default();
        let came = |at: i64| watch.came_often((CHANNEL, KEY), UnixMillis(at));
        assert!(!came(0) && !came(1_000));
        assert!(!came(KEYWORD_WINDOW_MILLIS + 1), "the first is forgotten");
        assert!(came(KEYWORD_WINDOW_MILLIS + 2));
        assert!(!came(KEYWORD_WINDOW_MILLIS + 3), "and counted anew");
    }

    #[test]
    fn only_a_full_window_of_results_can_be_too_bad() {
        let watch = Watch::new(Some(SuccessRate { window: 10, threshold: 0.8 }));
        assert!(!watch.fails_too_often(&results(9, 0)));
        assert!(watch.fails_too_often(&results(1, 1)));
        assert!(!watch.fails_too_often(&results(10, 8)));
        assert!(watch.fails_too_often(&results(3, 0)));
        assert!(!Watch::default().fails_too_often(&results(100, 0)));
    }
}
