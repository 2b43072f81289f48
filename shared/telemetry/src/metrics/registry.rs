//! The registry: every metric of a process, its catalogue, and the page Prometheus reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Key;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::buckets;
use super::declaration::Declaration;
use super::family::{Counters, Family, Gauges, Histograms, Labels};
use super::handle::{Counter, Gauge, Handle, Histogram};
use super::process::{self, Process};
use crate::build;
use crate::drain::Drain;

/// How often values that histograms have gathered are sorted into their buckets. Without it they would pile up between two reads of
/// `/metrics`.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Every metric of a process. Made once per process, passed down; clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    recorder: Arc<PrometheusRecorder>,
    page: PrometheusHandle,
    declared: Mutex<Declared>,
    observers: Mutex<Vec<Observer>>,
    process: Mutex<Option<Process>>,
}

type Observer = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Declared {
    catalogue: BTreeMap<&'static str, Declaration>,
    problems: Vec<String>,
}

impl Registry {
    /// A registry that holds what every process measures: `process_*` and `sluice_process_*`.
    #[must_use]
    pub fn new() -> Self {
        let (builder, problem) = match buckets::builder() {
            Ok(builder) => (builder, None),
            Err(error) => (PrometheusBuilder::new(), Some(bucket_problem(&error))),
        };
        let recorder = Arc::new(builder.build_recorder());
        let catalogue = process::STANDARD.iter().map(|standard| (standard.name, *standard)).collect();
        let declared = Declared { catalogue, problems: problem.into_iter().collect() };
        let registry = Self(Arc::new(Inner {
            page: recorder.handle(),
            recorder: Arc::clone(&recorder),
            declared: Mutex::new(declared),
            observers: Mutex::default(),
            process: Mutex::default(),
        }));
        *registry.0.process.lock() = Some(Process::declare(&registry, &recorder));
        registry.gauges::<Build>("sluice_process_build_info", "Always 1; the labels tell which build runs.").of(&Build).set(1.0);
        registry
    }

    /// Declares a counter without labels.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.single(name, help)
    }

    /// Declares a gauge without labels.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.single(name, help)
    }

    /// Declares a histogram without labels. The unit at the end of the name picks its buckets: `_seconds`, `_bytes`, `_tokens`, and
    /// for anything else those of small numbers.
    pub fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        self.single(name, help)
    }

    /// Declares a family of counters.
    pub fn counters<L: Labels>(&self, name: &'static str, help: &'static str) -> Counters<L> {
        self.family(name, help)
    }

    /// Declares a family of gauges.
    pub fn gauges<L: Labels>(&self, name: &'static str, help: &'static str) -> Gauges<L> {
        self.family(name, help)
    }

    /// Declares a family of histograms, with buckets as in [`Registry::histogram`].
    pub fn histograms<L: Labels>(&self, name: &'static str, help: &'static str) -> Histograms<L> {
        self.family(name, help)
    }

    /// Calls a function each time before `/metrics` is shown: for values that are cheaper to look up than to keep. It must be quick.
    pub fn before_render(&self, observe: impl Fn() + Send + Sync + 'static) {
        self.0.observers.lock().push(Arc::new(observe));
    }

    /// Everything that was declared, by name.
    #[must_use]
    pub fn catalogue(&self) -> Vec<Declaration> {
        self.0.declared.lock().catalogue.values().copied().collect()
    }

    /// Broken rules of naming and labelling. Each binary has a test that there are none.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.0.declared.lock().problems.clone()
    }

    /// The page Prometheus reads, in its text format.
    #[must_use]
    pub fn render(&self) -> String {
        let observers = self.0.observers.lock().clone();
        for observe in observers {
            observe();
        }
        if let Some(process) = &*self.0.process.lock() {
            process.measure(&self.0.recorder);
        }
        self.0.page.render()
    }

    /// Keeps the memory of histograms bounded until the process closes. Every process spawns it once.
    pub async fn upkeep(self, drain: Drain) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                _ = ticks.tick() => self.0.page.run_upkeep(),
            }
        }
    }

    fn single<H: Handle>(&self, name: &'static str, help: &'static str) -> H {
        self.describe::<H>(name, help, &[]);
        H::register(&self.0.recorder, &Key::from_static_name(name))
    }

    fn family<L: Labels, H: Handle>(&self, name: &'static str, help: &'static str) -> Family<L, H> {
        self.describe::<H>(name, help, L::NAMES);
        if L::known().iter().any(|labels| labels.values().len() != L::NAMES.len()) {
            self.0.declared.lock().problems.push(format!("{name}: not as many label values as names"));
        }
        Family::new(name, Arc::clone(&self.0.recorder))
    }

    fn describe<H: Handle>(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) {
        let declaration = Declaration { name, kind: H::KIND, help, labels };
        H::describe(&self.0.recorder, name, help);
        let mut declared = self.0.declared.lock();
        declared.problems.extend(declaration.problem());
        if declared.catalogue.insert(name, declaration).is_some() {
            declared.problems.push(format!("{name}: declared twice"));
        }
    }
}

fn bucket_problem(error: &BuildError) -> String {
    format!("buckets were refused: {error}")
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("metrics", &self.0.declared.lock().catalogue.len()).finish_non_exhaustive()
    }
}

/// The labels of the build.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Build;

impl Labels for Build {
    const NAMES: &'static [&'static str] = &["version", "revision"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![build::VERSION.into(), build::REVISION.into()]
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
