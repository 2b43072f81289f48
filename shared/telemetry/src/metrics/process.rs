//! What is measured of the process itself: memory, CPU, descriptors, the async runtime.

use metrics_exporter_prometheus::PrometheusRecorder;
use metrics_process::Collector;
use tokio::runtime::Handle;

use super::declaration::{Declaration, Kind};
use super::handle::Gauge;
use super::registry::Registry;

/// The standard names every Prometheus client uses for processes.
pub(super) const STANDARD: &[Declaration] = &[
    standard("process_cpu_seconds_total", Kind::Counter, "Total user and system CPU time spent in seconds."),
    standard("process_open_fds", Kind::Gauge, "Number of open file descriptors."),
    standard("process_max_fds", Kind::Gauge, "Maximum number of open file descriptors."),
    standard("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory size in bytes."),
    standard("process_virtual_memory_max_bytes", Kind::Gauge, "Maximum amount of virtual memory available in bytes."),
    standard("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes."),
    standard("process_start_time_seconds", Kind::Gauge, "Start time of the process since unix epoch in seconds."),
    standard("process_threads", Kind::Gauge, "Number of OS threads in the process."),
];

const fn standard(name: &'static str, kind: Kind, help: &'static str) -> Declaration {
    Declaration { name, kind, help, labels: &[] }
}

/// Measures when `/metrics` is read, and only then.
#[derive(Debug)]
pub(super) struct Process {
    collector: Collector,
    tasks: Gauge,
    queued: Gauge,
}

impl Process {
    pub(super) fn declare(registry: &Registry, recorder: &PrometheusRecorder) -> Self {
        let collector = Collector::default();
        metrics::with_local_recorder(recorder, || collector.describe());
        Self {
            collector,
            tasks: registry.gauge("sluice_process_runtime_tasks", "Tasks alive in the async runtime."),
            queued: registry.gauge("sluice_process_runtime_queued_tasks", "Tasks waiting in the runtime's injection queue."),
        }
    }

    pub(super) fn measure(&self, recorder: &PrometheusRecorder) {
        metrics::with_local_recorder(recorder, || self.collector.collect());
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.set_count(runtime.metrics().num_alive_tasks());
            self.queued.set_count(runtime.metrics().global_queue_depth());
        }
    }
}
