//! Families: the time series of one metric, one for each set of label values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use ahash::RandomState;
use metrics::{Key, Label};
use metrics_exporter_prometheus::PrometheusRecorder;
use parking_lot::RwLock;

use super::handle::{Counter, Gauge, Handle, Histogram};

/// The labels of a metric, as a type: closed enums, or names and ids that the configuration bounds. Never a user, token or request.
pub trait Labels: Clone + Eq + Hash + Send + Sync + 'static {
    /// The names.
    const NAMES: &'static [&'static str];

    /// The values, one for each name, in the same order.
    fn values(&self) -> Vec<Cow<'_, str>>;

    /// The sets known beforehand. They are shown from the start, at zero, so that the first event is a change and not an appearance.
    fn known() -> Vec<Self> {
        Vec::new()
    }
}

/// A family of counters.
pub type Counters<L> = Family<L, Counter>;
/// A family of gauges.
pub type Gauges<L> = Family<L, Gauge>;
/// A family of histograms.
pub type Histograms<L> = Family<L, Histogram>;

/// The time series of one metric. Clones share them.
pub struct Family<L: Labels, H: Handle>(Arc<Inner<L, H>>);

struct Inner<L, H> {
    name: &'static str,
    recorder: Arc<PrometheusRecorder>,
    known: HashMap<L, H, RandomState>,
    met: RwLock<HashMap<L, H, RandomState>>,
    other: RwLock<Option<H>>,
}

impl<L: Labels, H: Handle> Family<L, H> {
    /// The most sets of label values a family shows besides the known ones. Beyond it everything counts as `other`.
    pub const MAX_SETS: usize = 2_000;

    pub(super) fn new(name: &'static str, recorder: Arc<PrometheusRecorder>) -> Self {
        let known = L::known().into_iter().map(|labels| {
            let handle = register(&recorder, name, &labels);
            (labels, handle)
        });
        let known = known.collect();
        Self(Arc::new(Inner { name, recorder, known, met: RwLock::default(), other: RwLock::default() }))
    }

    /// The handle for these labels. Sets that are not known beforehand cost a lock: where they are used often, keep the handle.
    #[must_use]
    pub fn of(&self, labels: &L) -> H {
        if let Some(handle) = self.0.known.get(labels) {
            return handle.clone();
        }
        if let Some(handle) = self.0.met.read().get(labels) {
            return handle.clone();
        }
        let mut met = self.0.met.write();
        if let Some(handle) = met.get(labels) {
            return handle.clone();
        }
        if met.len() >= Self::MAX_SETS {
            return self.other();
        }
        let handle: H = register(&self.0.recorder, self.0.name, labels);
        met.insert(labels.clone(), handle.clone());
        handle
    }

    fn other(&self) -> H {
        let mut other = self.0.other.write();
        let make = || {
            H::register(&self.0.recorder, &key(self.0.name, L::NAMES.iter().map(|name| Label::from_static_parts(name, "other"))))
        };
        other.get_or_insert_with(make).clone()
    }
}

fn register<L: Labels, H: Handle>(recorder: &PrometheusRecorder, name: &'static str, labels: &L) -> H {
    let values = labels.values();
    let labels = L::NAMES.iter().zip(values).map(|(name, value)| Label::new(*name, value.into_owned()));
    H::register(recorder, &key(name, labels))
}

fn key(name: &'static str, labels: impl Iterator<Item = Label>) -> Key {
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

impl<L: Labels, H: Handle> Clone for Family<L, H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Labels, H: Handle> fmt::Debug for Family<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.0.name).finish()
    }
}
