//! Scenarios waiting for their request.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::scenario::{Scenario, ScenarioError};

/// The most scenarios that may wait at once.
pub const MAX_QUEUED: usize = 10_000;

/// A scenario and the requests it is for.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedScenario {
    /// What happens.
    ///
    /// In JSON an object, or a directive: `"429 retry_after=2"`.
    #[serde(default, deserialize_with = "object_or_directive")]
    pub scenario: Scenario,
    /// Only requests for this model, as the request names it.
    #[serde(default)]
    pub model: Option<String>,
    /// Only requests with this provider key.
    #[serde(default)]
    pub key: Option<String>,
    /// How many requests; `None` means until the queue is cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Only each so-manieth matching request: 10 makes every tenth one fail.
    #[serde(default = "each")]
    pub every: u32,
}

fn object_or_directive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scenario, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(directive) => directive.parse().map_err(D::Error::custom),
        object => Scenario::deserialize(object).map_err(D::Error::custom),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

fn each() -> u32 {
    1
}

impl From<Scenario> for QueuedScenario {
    fn from(scenario: Scenario) -> Self {
        Self { scenario, model: None, key: None, times: once(), every: each() }
    }
}

impl QueuedScenario {
    /// Only for requests that name this model.
    #[must_use]
    pub fn for_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Only for requests with this provider key.
    #[must_use]
    pub fn for_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// For so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Until the queue is cleared.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// For each so-manieth matching request only.
    #[must_use]
    pub fn every(mut self, every: u32) -> Self {
        self.every = every;
        self
    }

    fn matches(&self, model: &str, key: Option<&str>) -> bool {
        self.model.as_deref().is_none_or(|wanted| wanted == model) && self.key.as_deref().is_none_or(|wanted| Some(wanted) == key)
    }
}

impl fmt::Debug for QueuedScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedScenario")
            .field("scenario", &self.scenario)
            .field("model", &self.model)
            .field("times", &self.times)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// The queue: the first scenario that matches a request is used, in the order they came.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Lets the usual case, an empty queue, pass without the lock.
    len: AtomicUsize,
}

struct Waiting {
    queued: QueuedScenario,
    seen: u32,
}

impl Queue {
    pub(super) fn push(&self, queued: QueuedScenario) -> Result<(), ScenarioError> {
        let scenario = queued.scenario.clone().checked()?;
        let every = queued.every.max(1);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MAX_QUEUED || queued.times == Some(0) {
            return Err(ScenarioError::new(format!("`times` is 0, or {MAX_QUEUED} scenarios wait already")));
        }
        waiting.push_back(Waiting { queued: QueuedScenario { scenario, every, ..queued }, seen: 0 });
        self.len.store(waiting.len(), Ordering::Release);
        Ok(())
    }

    pub(super) fn take(&self, model: &str, key: Option<&str>) -> Option<Scenario> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut waiting = self.waiting.lock();
        let place = waiting.iter_mut().position(|entry| {
            entry.queued.matches(model, key) && {
                entry.seen = entry.seen.wrapping_add(1);
                entry.seen.is_multiple_of(entry.queued.every)
            }
        })?;
        let entry = &mut waiting[place];
        let scenario = entry.queued.scenario.clone();
        if let Some(times) = &mut entry.queued.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                waiting.remove(place);
            }
        }
        self.len.store(waiting.len(), Ordering::Release);
        Some(scenario)
    }

    /// Whether something waits that a request like this would use or count towards.
    pub(super) fn is_for(&self, model: &str, key: Option<&str>) -> bool {
        self.len() > 0 && self.waiting.lock().iter().any(|entry| entry.queued.matches(model, key))
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn clear(&self) {
        let mut waiting = self.waiting.lock();
        waiting.clear();
        self.len.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_used_in_order_and_so_often() {
        let queue = Queue::default();
        queue.push(QueuedScenario::from(Scenario::status(500)).times(2)).unwrap();
        queue.push(Scenario::status(429).into()).unwrap();
        let statuses: Vec<_> = (0..4).map(|_| queue.take("m", None).and_then(|scenario| scenario.status)).collect();
        assert_eq!(statuses, [Some(500), Some(500), Some(429), None]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_scenario_waits_for_its_model_and_key() {
        let queue = Queue::default();
        queue.push(QueuedScenario::from(Scenario::status(500)).for_model("a").for_key("k1")).unwrap();
        assert_eq!(queue.take("a", Some("k2")), None);
        assert_eq!(queue.take("b", Some("k1")), None);
        assert!(queue.take("a", Some("k1")).is_some());
    }

    #[test]
    fn every_tenth_request_fails_until_the_queue_is_cleared() {
        let queue = Queue::default();
        queue.push(QueuedScenario::from(Scenario::status(500)).forever().every(10)).unwrap();
        assert_eq!((0..100).filter(|_| queue.take("m", None).is_some()).count(), 10);
        queue.clear();
        assert_eq!((0..100).filter(|_| queue.take("m", None).is_some()).count(), 0);
    }

    #[test]
    fn debug_never_shows_the_key() {
        let queued = QueuedScenario::from(Scenario::default()).for_key("sk-topsecret");
        assert!(!format!("{queued:?}").contains("topsecret"));
    }
}
