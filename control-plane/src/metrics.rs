//! Every metric of the control plane, declared once.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sluice_telemetry::metrics::{Counter, Counters, Gauge, Gauges, Histogram, Histograms, Labels, Registry};

use crate::db::Db;
use crate::leases::{Answer, Refused, jobs};
use crate::notifications::jobs::Report;
use crate::reconciliation::Standing;
use crate::settlement::Settled;

/// The metrics. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    requests: Counter,
    quota: Counter,
    repriced: Counter,
    quarantined: Counter,
    duplicates: Counter,
    late: Counter,
    closed: Counter,
    gaps: Counter,
    settlement_errors: Counter,
    settlement: Histogram,
    lag: Histogram,
    batch: Histogram,
    statements: Counter,
    grants: Counters<Granting>,
    recalls: Counter,
    granting: Histogram,
    doubted: Counter,
    released: Counter,
    imbalance: Gauge,
    ledger_check_age: Gauge,
    in_doubt: Gauge,
    quarantine: Gauge,
    rollbacks: Counter,
    notifications: Counters<Telling>,
    job_runs: Counters<JobRun>,
    job_time: Histograms<Job>,
    relays: Gauge,
    config_seq: Gauge,
    connections: Gauges<Connection>,
}

impl Metrics {
    /// Declares them.
    pub fn declare(registry: &Registry) -> Self {
        Self {
            requests: registry.counter("sluice_control_settled_requests_total", "Requests that were settled."),
            quota: registry.counter("sluice_control_settled_quota_total", "Quota units charged to wallets."),
            repriced: registry.counter(
                "sluice_control_repriced_requests_total",
                "Settled requests whose price differs from the relay's figure.",
            ),
            quarantined: registry.counter("sluice_control_quarantined_records_total", "Records set aside for people."),
            duplicates: registry.counter("sluice_control_duplicate_records_total", "Records that had been settled before."),
            late: registry
                .counter("sluice_control_late_charges_total", "Charges on leases that were over, taken from the balance."),
            closed: registry.counter("sluice_control_closed_leases_total", "Leases closed by their relays."),
            gaps: registry.counter("sluice_control_usage_gaps_total", "Reports that did not follow what was settled."),
            settlement_errors: registry
                .counter("sluice_control_settlement_errors_total", "Settlements that failed and will be tried again."),
            settlement: registry.histogram("sluice_control_settlement_seconds", "Time of one settling transaction."),
            lag: registry.histogram(
                "sluice_control_settlement_lag_seconds",
                "Time from the end of a request to its settlement, of the oldest request in each report.",
            ),
            batch: registry.histogram("sluice_control_settlement_records", "Requests in one settling transaction."),
            statements: registry.counter("sluice_control_settlement_statements_total", "Write statements of settlements."),
            grants: registry.counters("sluice_control_grants_total", "Answers to relays that asked for money."),
            recalls: registry.counter("sluice_control_recalls_total", "Accounts whose unused money was asked back from relays."),
            granting: registry.histogram("sluice_control_grant_seconds", "Time of one transaction that grants leases."),
            doubted: registry.counter("sluice_control_doubted_leases_total", "Leases whose relay was lost."),
            released: registry.counter("sluice_control_released_leases_total", "Leases in doubt whose remainder went back."),
            imbalance: registry.gauge(
                "sluice_control_ledger_imbalance_quota",
                "Differences between accounts, their ledgers and their leases, by the last pass over all of them. 0 is good.",
            ),
            ledger_check_age: registry.gauge(
                "sluice_control_ledger_check_age_seconds",
                "Time since a pass over all accounts was through, or since the start.",
            ),
            in_doubt: registry.gauge("sluice_control_in_doubt_quota", "Quota units in leases of relays that were lost."),
            quarantine: registry
                .gauge("sluice_control_quarantine_records", "Records that were set aside and nobody has decided about."),
            rollbacks: registry.counter(
                "sluice_control_database_rollbacks_total",
                "Times this replica found that the database went back to an earlier state, and began another history.",
            ),
            notifications: registry.counters(
                "sluice_control_notifications_total",
                "Attempts at sending notifications to the webhook, by what came of them.",
            ),
            job_runs: registry.counters("sluice_control_job_runs_total", "Runs of jobs, by how they ended."),
            job_time: registry.histograms("sluice_control_job_seconds", "Time of one run of a job."),
            relays: registry.gauge("sluice_control_relays", "Relays heard of lately."),
            config_seq: registry.gauge("sluice_control_config_seq", "Config sequence relays are told of by this replica."),
            connections: registry.gauges("sluice_control_database_connections", "Connections to the database."),
        }
    }

    /// Shows how busy the connections to the database are, each time somebody looks.
    pub fn watch_database(&self, registry: &Registry, db: &Db) {
        let connections = self.connections.clone();
        let db = db.clone();
        registry.before_render(move || {
            let (open, idle) = db.connections();
            connections.of(&Connection::Idle).set_count(idle);
            connections.of(&Connection::Busy).set_count(open.saturating_sub(idle));
        });
    }

    /// A settlement that was committed, and how long its oldest request waited for it.
    pub fn settled(&self, settled: &Settled, took: Duration, lag: Option<Duration>) {
        let counts = &settled.counts;
        self.requests.add(counts.requests);
        self.quota.add(counts.quota);
        self.repriced.add(counts.repriced);
        self.quarantined.add(counts.quarantined);
        self.duplicates.add(counts.duplicates);
        self.late.add(counts.late);
        self.closed.add(counts.closed);
        self.statements.add(counts.statements);
        self.gaps.add(u64::from(settled.has_gap));
        self.settlement.record_time(took);
        if let Some(lag) = lag {
            self.lag.record_time(lag);
        }
        self.batch.record_count(counts.requests);
    }

    /// A settlement that failed.
    pub fn not_settled(&self) {
        self.settlement_errors.increment();
    }

    /// Requests for money that were decided.
    pub fn granted(&self, answers: &[Option<Answer>], took: Duration) {
        // one that waits is counted when its answer is known
        for answer in answers.iter().filter(|answer| !matches!(answer, Some(Answer::Waits { .. }))) {
            self.grants.of(&Granting::of(answer.as_ref())).increment();
        }
        self.granting.record_time(took);
    }

    /// Requests for money that could not be decided.
    pub fn not_granted(&self, count: usize) {
        self.grants.of(&Granting::Unavailable).add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Money of so many accounts was asked back.
    pub fn recalled(&self, accounts: usize) {
        self.recalls.add(u64::try_from(accounts).unwrap_or(u64::MAX));
    }

    /// What became of leases of lost relays.
    pub fn reaped(&self, report: &jobs::Report) {
        self.doubted.add(report.doubted);
        self.released.add(report.released);
    }

    /// How the books stand, and how long ago they were looked through.
    pub fn books(&self, standing: &Standing, age: Duration) {
        let imbalance = standing.pass.as_ref().map_or(0, |pass| pass.imbalance);
        self.imbalance.set_amount(i64::try_from(imbalance).unwrap_or(i64::MAX));
        self.ledger_check_age.set_time(age);
        self.in_doubt.set_amount(standing.in_doubt.quota);
        self.quarantine.set_amount(standing.quarantined);
    }

    /// The database went back, and another history was begun.
    pub fn went_back(&self) {
        self.rollbacks.increment();
    }

    /// Notifications that were sent, or not.
    pub fn notified(&self, report: &Report) {
        let Report { delivered, failed, given_up } = *report;
        for (telling, count) in [(Telling::Delivered, delivered), (Telling::Failed, failed), (Telling::GivenUp, given_up)] {
            self.notifications.of(&telling).add(count);
        }
    }

    /// How many relays there are.
    pub fn fleet(&self, relays: usize) {
        self.relays.set_count(relays);
    }

    /// Where the configuration is.
    pub fn config(&self, seq: i64) {
        self.config_seq.set_amount(seq);
    }

    /// A run of a job begins. It counts as failed unless it is said to have succeeded.
    #[must_use]
    pub fn start(&self, job: Job) -> Run<'_> {
        Run { metrics: self, job, begun: Instant::now() }
    }
}

/// A job that is running.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    metrics: &'a Metrics,
    job: Job,
    begun: Instant,
}

impl Run<'_> {
    /// It did its work.
    pub fn succeeded(self) {
        self.end(true);
    }

    /// It did not.
    pub fn failed(self) {
        self.end(false);
    }

    fn end(self, ok: bool) {
        self.metrics.job_runs.of(&JobRun { job: self.job, ok }).increment();
        self.metrics.job_time.of(&self.job).record_time(self.begun.elapsed());
    }
}

/// A job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Tests of channels.
    Errands,
    /// Leases of lost relays.
    Leases,
    /// What people are told.
    Notifications,
    /// Whether the money adds up.
    Reconciliation,
    /// Rows kept for a time only.
    Retention,
}

impl Job {
    const ALL: [Self; 5] = [Self::Errands, Self::Leases, Self::Notifications, Self::Reconciliation, Self::Retention];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Errands => "errands",
            Self::Leases => "leases",
            Self::Notifications => "notifications",
            Self::Reconciliation => "reconciliation",
            Self::Retention => "retention",
        }
    }
}

impl Labels for Job {
    const NAMES: &'static [&'static str] = &["job"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.as_str().into()]
    }

    fn known() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct JobRun {
    job: Job,
    ok: bool,
}

impl Labels for JobRun {
    const NAMES: &'static [&'static str] = &["job", "outcome"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.job.as_str().into(), if self.ok { "ok" } else { "failed" }.into()]
    }

    fn known() -> Vec<Self> {
        Job::ALL.into_iter().flat_map(|job| [true, false].map(|ok| Self { job, ok })).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Granting {
    Granted,
    Exhausted,
    Frozen,
    UnknownAccount,
    Closed,
    Fenced,
    Unavailable,
}

impl Granting {
    const fn of(answer: Option<&Answer>) -> Self {
        match answer {
            None => Self::Fenced,
            Some(Answer::Granted(_)) => Self::Granted,
            Some(Answer::Closed(_)) => Self::Closed,
            Some(Answer::Refused(Refused::Exhausted { .. })) => Self::Exhausted,
            Some(Answer::Refused(Refused::Frozen { .. })) => Self::Frozen,
            Some(Answer::Refused(Refused::UnknownAccount)) => Self::UnknownAccount,
            Some(Answer::Waits { .. } | Answer::Unknown) => Self::Unavailable,
        }
    }
}

impl Labels for Granting {
    const NAMES: &'static [&'static str] = &["answer"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let word = match self {
            Self::Granted => "granted",
            Self::Exhausted => "exhausted",
            Self::Frozen => "frozen",
            Self::UnknownAccount => "unknown_account",
            Self::Closed => "closed",
            Self::Fenced => "fenced",
            Self::Unavailable => "unavailable",
        };
        vec![word.into()]
    }

    fn known() -> Vec<Self> {
        vec![Self::Granted, Self::Exhausted, Self::Frozen, Self::UnknownAccount, Self::Closed, Self::Fenced, Self::Unavailable]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Telling {
    Delivered,
    Failed,
    GivenUp,
}

impl Labels for Telling {
    const NAMES: &'static [&'static str] = &["outcome"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        let word = match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        };
        vec![word.into()]
    }

    fn known() -> Vec<Self> {
        vec![Self::Delivered, Self::Failed, Self::GivenUp]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Connection {
    Idle,
    Busy,
}

impl Labels for Connection {
    const NAMES: &'static [&'static str] = &["state"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![if *self == Self::Idle { "idle" } else { "busy" }.into()]
    }

    fn known() -> Vec<Self> {
        vec![Self::Idle, Self::Busy]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_keeps_the_rules_and_is_there_from_the_start() {
        let registry = Registry::new();
        let metrics = Metrics::declare(&registry);
        assert_eq!(registry.problems(), Vec::<String>::new());
        metrics.start(Job::Leases).succeeded();
        metrics.granted(&[None], Duration::from_millis(1));
        let page = registry.render();
        for line in [
            "sluice_control_grants_total{answer=\"granted\"} 0",
            "sluice_control_grants_total{answer=\"fenced\"} 1",
            "sluice_control_job_runs_total{job=\"leases\",outcome=\"ok\"} 1",
            "sluice_control_job_runs_total{job=\"retention\",outcome=\"failed\"} 0",
        ] {
            assert!(page.contains(line), "{line} is missing in {page}");
        }
    }
}
