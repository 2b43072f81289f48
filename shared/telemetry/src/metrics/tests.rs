use super::*;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Side {
    Left,
    Right,
    Named(String),
}

impl Labels for Side {
    const NAMES: &'static [&'static str] = &["side"];

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![match self {
            Self::Left => "left".into(),
            Self::Right => "right".into(),
            Self::Named(name) => name.as_str().into(),
        }]
    }

    fn known() -> Vec<Self> {
        vec![Self::Left, Self::Right]
    }
}

fn lines(registry: &Registry, start: &str) -> Vec<String> {
    let mut lines: Vec<_> = registry.render().lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn known_labels_are_shown_at_zero_and_others_when_met() {
    let registry = Registry::new();
    let doors: Counters<Side> = registry.counters("sluice_relay_doors_total", "Doors that were opened.");
    assert_eq!(
        lines(&registry, "sluice_relay_doors"),
        ["sluice_relay_doors_total{side=\"left\"} 0", "sluice_relay_doors_total{side=\"right\"} 0"]
    );
    doors.of(&Side::Right).add(2);
    doors.of(&Side::Named("back \"door\"".to_owned())).increment();
    assert_eq!(
        lines(&registry, "sluice_relay_doors"),
        [
            "sluice_relay_doors_total{side=\"back \\\"door\\\"\"} 1",
            "sluice_relay_doors_total{side=\"left\"} 0",
            "sluice_relay_doors_total{side=\"right\"} 2"
        ]
    );
}

#[test]
fn a_family_has_a_bound_and_counts_the_rest_as_other() {
    let registry = Registry::new();
    let doors: Counters<Side> = registry.counters("sluice_relay_doors_total", "Doors that were opened.");
    for n in 0..Counters::<Side>::MAX_SETS + 7 {
        doors.of(&Side::Named(n.to_string())).increment();
    }
    assert_eq!(lines(&registry, "sluice_relay_doors").len(), Counters::<Side>::MAX_SETS + 3);
    assert_eq!(lines(&registry, "sluice_relay_doors_total{side=\"other\"}"), ["sluice_relay_doors_total{side=\"other\"} 7"]);
}

#[test]
fn histograms_have_the_buckets_of_their_unit() {
    let registry = Registry::new();
    let first = |name: &str| lines(&registry, &format!("{name}_bucket")).into_iter().filter(|line| line.ends_with(" 1")).count();
    registry.histogram("sluice_relay_added_seconds", "Time added.").record_time(Duration::from_micros(300));
    registry.histogram("sluice_relay_body_bytes", "Size of bodies.").record_count(2_000);
    registry.histogram("sluice_relay_answer_tokens", "Size of answers.").record_count(600_000);
    registry.histogram("sluice_control_batch_records", "Size of batches.").record(150.0);
    assert_eq!(first("sluice_relay_added_seconds"), 20, "all but 100 and 250 µs, and +Inf");
    assert_eq!(first("sluice_relay_body_bytes"), 9);
    assert_eq!(first("sluice_relay_answer_tokens"), 2);
    assert_eq!(first("sluice_control_batch_records"), 6);
    assert!(!registry.render().contains("quantile"));
}

#[test]
fn a_gauge_that_is_held_comes_back() {
    let registry = Registry::new();
    let gauge = registry.gauge("sluice_relay_in_flight_requests", "Requests being served.");
    let (first, second) = (gauge.hold(), gauge.hold());
    assert_eq!(lines(&registry, "sluice_relay_in_flight"), ["sluice_relay_in_flight_requests 2"]);
    drop(first);
    drop(second);
    assert_eq!(lines(&registry, "sluice_relay_in_flight"), ["sluice_relay_in_flight_requests 0"]);
    gauge.set_amount(-3);
    assert_eq!(lines(&registry, "sluice_relay_in_flight"), ["sluice_relay_in_flight_requests -3"]);
}

#[tokio::test]
async fn the_process_is_measured_when_the_page_is_read() {
    let registry = Registry::new();
    let seen = registry.gauge("sluice_process_seen_files", "Files that were seen.");
    registry.before_render(move || seen.set_count(4));
    let page = registry.render();
    for part in ["process_resident_memory_bytes ", "sluice_process_runtime_tasks ", "version=", "sluice_process_seen_files 4"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
}

#[test]
fn everything_shown_is_in_the_catalogue_and_has_help() {
    let registry = Registry::new();
    let catalogue = registry.catalogue();
    let page = registry.render();
    let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(shown.len() > 8);
    for name in shown {
        assert!(catalogue.iter().any(|declaration| declaration.name == name), "{name} is not in the catalogue");
        assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    assert_eq!(registry.problems(), Vec::<String>::new());
}

#[test]
fn a_bad_or_double_declaration_is_a_problem() {
    let registry = Registry::new();
    let _ = registry.counter("sluice_relay_doors", "Doors that were opened.");
    let _ = registry.gauge("sluice_relay_windows", "Windows that are open.");
    let _ = registry.gauge("sluice_relay_windows", "Windows that are open.");
    let problems = registry.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[1].contains("declared twice"));
}

#[tokio::test]
async fn upkeep_ends_when_the_process_closes() {
    let drain = Drain::new();
    drain.close();
    tokio::time::timeout(Duration::from_mins(1), Registry::new().upkeep(drain)).await.unwrap();
}
