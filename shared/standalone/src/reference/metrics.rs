use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sluice_telemetry::metrics::{Declaration, Registry};
use sluice_telemetry::{logs, panics};

use super::{cell, compare};

/// Everything each program measures.
fn registries() -> [(&'static str, Registry); 3] {
    let with = |declare: fn(&Registry)| {
        let registry = Registry::new();
        let _ = (panics::declare(&registry), logs::declare(&registry));
        declare(&registry);
        registry
    };
    let control: fn(&Registry) = |registry| drop(sluice_control_plane::metrics::Metrics::declare(registry));
    let relay: fn(&Registry) = |registry| drop(sluice_relay_node::metrics::Metrics::declare(registry));
    let both: fn(&Registry) = |registry| {
        drop(sluice_control_plane::metrics::Metrics::declare(registry));
        drop(sluice_relay_node::metrics::Metrics::declare(registry));
    };
    [("sluice-relay", with(relay)), ("sluice-control", with(control)), ("sluice", with(both))]
}

fn both() -> Registry {
    registries().into_iter().find(|(program, _)| *program == "sluice").unwrap().1
}

#[test]
fn every_metric_of_every_program_keeps_the_rules() {
    for (program, registry) in registries() {
        assert_eq!(registry.problems(), Vec::<String>::new(), "{program}");
    }
}

#[test]
fn the_page_of_metrics_has_every_metric() {
    let registry = both();
    let shown = registry.render();
    let mut page = String::from(
        "# Metrics\n\nWhat `/metrics` on the ops port shows, in the text format of Prometheus. `sluice` shows all of it, \
         `sluice-relay` and `sluice-control` their own part and that of every process. Counters start at zero; histograms have fixed \
         buckets, so that they can be added up over a fleet. No label names a user, a token or a request; a label with too many values \
         counts the rest as `other`.\n",
    );
    for (title, prefixes) in [
        ("Relay", &["sluice_relay_"][..]),
        ("Control plane", &["sluice_control_"]),
        ("Every process", &["sluice_process_", "process_"]),
    ] {
        write!(page, "\n## {title}\n\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n").unwrap();
        for metric in registry.catalogue() {
            if prefixes.iter().any(|prefix| metric.name.starts_with(prefix)) {
                let labels = labels(&metric, &shown);
                let Declaration { name, kind, help, .. } = metric;
                writeln!(page, "| `{name}` | {} | {} | {} | {} |", kind.as_str(), metric.unit(), cell(&labels), cell(help))
                    .unwrap();
            }
        }
    }
    compare("metrics.md", &page);
}

/// The labels of a metric, with the values that are shown from the start.
fn labels(metric: &Declaration, shown: &str) -> String {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in shown.lines() {
        let series = line.strip_prefix(metric.name).and_then(|rest| rest.strip_prefix('{')).and_then(|rest| rest.split_once('}'));
        for pair in series.map(|(pairs, _)| pairs).into_iter().flat_map(|pairs| pairs.split(',')) {
            if let Some((label, value)) = pair.split_once('=') {
                known.entry(label).or_default().insert(value.trim_matches('"'));
            }
        }
    }
    // what is built here differs from build to build
    let is_fixed = metric.name != "sluice_process_build_info";
    let label = |label: &&str| match known.get(*label).filter(|_| is_fixed) {
        Some(values) => format!("`{label}`: {}", values.iter().copied().collect::<Vec<_>>().join(", ")),
        None => format!("`{label}`"),
    };
    metric.labels.iter().map(label).collect::<Vec<_>>().join("; ")
}

/// What operations.md promises, by the metrics that keep it.
const PROMISED: &[(&str, &[&str])] = &[
    ("requests by outcome and reason", &["sluice_relay_requests_total", "sluice_relay_refusals_total"]),
    ("duration", &["sluice_relay_request_duration_seconds"]),
    ("added latency", &["sluice_relay_added_latency_seconds"]),
    ("time to first token", &["sluice_relay_first_byte_seconds"]),
    ("tokens by class", &["sluice_relay_usage_tokens_total"]),
    ("quota charged", &["sluice_relay_charged_quota_total", "sluice_control_settled_quota_total"]),
    ("upstream attempts, breakers", &["sluice_relay_upstream_attempts_total", "sluice_relay_channel_ejections_total"]),
    ("in flight", &["sluice_relay_in_flight_requests"]),
    ("reservations and shortfall", &["sluice_relay_reservations_total", "sluice_relay_reserve_shortfall_quota_total"]),
    (
        "leases held, granted, in doubt",
        &["sluice_relay_leases", "sluice_relay_grants_total", "sluice_control_doubted_leases_total"],
    ),
    ("spool", &["sluice_relay_spool_unacked_bytes"]),
    ("settlement lag", &["sluice_control_settlement_lag_seconds"]),
    ("batch size, quarantine", &["sluice_control_settlement_records", "sluice_control_quarantined_records_total"]),
    ("rate limits", &["sluice_relay_ratelimit_mode"]),
    ("the money adds up", &["sluice_control_ledger_imbalance_quota", "sluice_control_ledger_check_age_seconds"]),
    ("config", &["sluice_relay_config_seq", "sluice_relay_config_staleness_seconds", "sluice_relay_config_rejected_entities"]),
    ("connected", &["sluice_relay_control_connected", "sluice_control_relays"]),
    ("database pool", &["sluice_control_database_connections"]),
    ("job durations", &["sluice_control_job_seconds"]),
    ("process and runtime", &["process_resident_memory_bytes", "sluice_process_runtime_tasks"]),
];

/// Names that are promised for a later issue, with its number.
const LATER: &[(&str, u32)] = &[];

#[test]
fn what_operations_were_promised_is_measured() {
    let registry = both();
    let declared: BTreeSet<&str> = registry.catalogue().iter().map(|metric| metric.name).collect();
    for (what, names) in PROMISED {
        for name in *names {
            assert!(declared.contains(name), "{what}: {name} is not declared");
        }
    }
    for (name, issue) in LATER {
        assert!(!declared.contains(name), "{name} of issue {issue} is measured: move it to PROMISED");
    }
}
