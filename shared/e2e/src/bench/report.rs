//! The tables of a run, and the raw figures behind them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::memory::SlowStreams;
use super::plan::Findings;
use super::slice::{Cell, Series};
use super::stage::Way;
use super::tally::number;
use super::verdict::{Verdict, verdicts};

/// What a run found, ready to be written.
#[derive(Debug, Clone)]
pub struct Report {
    /// The tables, in Markdown.
    pub markdown: String,
    /// Everything, slice by slice.
    pub raw: Value,
    /// What was wrong with answers or counts; a run with any is worth nothing.
    pub faults: Vec<String>,
}

impl Report {
    pub(crate) fn new(findings: &Findings) -> Self {
        let verdicts = verdicts(findings);
        let faults = faults(findings);
        Self { markdown: markdown(findings, &verdicts, &faults), raw: raw(findings, &verdicts, &faults), faults }
    }
}

fn faults(findings: &Findings) -> Vec<String> {
    let mut faults = Vec::new();
    for series in findings.series() {
        for (way, cell) in series.cells() {
            let place = format!("{} through {}", series.name, way.name());
            faults.extend(cell.tally.failures.iter().map(|(reason, count)| format!("{place}: {count} × {reason}")));
            if cell.tally.unsent > 0 {
                faults.push(format!("{place}: over capacity, {} requests could not be sent", cell.tally.unsent));
            }
        }
    }
    for slow in findings.slow.iter().filter(|slow| slow.failures > 0) {
        faults.push(format!("{} slow streams through {}: {} failed", slow.streams, slow.way.name(), slow.failures));
    }
    if let Some(long) = findings.long.as_ref().filter(|long| long.failures > 0) {
        faults.push(format!("long answers: {} failed", long.failures));
    }
    for settled in &findings.settled {
        let place = format!("settlement on {}", settled.engine);
        faults.extend(settled.failures.iter().map(|(reason, count)| format!("{place}: {count} × {reason}")));
        if settled.charged != settled.owed {
            faults.push(format!("{place}: the balance moved by {} and should have by {}", settled.charged, settled.owed));
        }
    }
    for lag in findings.lag.iter().filter(|lag| lag.failed > 0) {
        faults.push(format!("settlement lag on {}: {} requests failed", lag.engine, lag.failed));
    }
    faults
}

fn raw(findings: &Findings, verdicts: &[Verdict], faults: &[String]) -> Value {
    let options = &findings.options;
    let summed = |series: &Series| -> Value {
        let ways: serde_json::Map<_, _> = series.cells().map(|(way, cell)| (way.name().to_owned(), cell.figures())).collect();
        json!({"name": series.name, "ways": ways})
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": findings.machine,
        "load_average_after": findings.load_after,
        "seconds": findings.lasted.as_secs_f64(),
        "options": {
            "engine": options.engine.to_string(),
            "rate": options.rate,
            "tokens": options.tokens,
            "quick": options.quick,
        },
        "verdicts": verdicts,
        "faults": faults,
        "notes": findings.notes,
        "series": findings.series().map(summed).collect::<Vec<_>>(),
        "slices": findings.series().flat_map(|series| &series.raw).collect::<Vec<_>>(),
        "idle_rss_bytes": findings.idle.iter().map(|(way, bytes)| (way.name().to_owned(), json!(bytes)))
            .collect::<serde_json::Map<_, _>>(),
        "slow_streams": findings.slow,
        "long_answers": findings.long,
        "settlement": findings.settled,
        "live": findings.live,
        "lag": findings.lag,
        "flaky": findings.flaky,
        "dialects": findings.dialects,
        "pushes": findings.pushes,
        "comeback": findings.comeback,
    })
}

fn markdown(findings: &Findings, verdicts: &[Verdict], faults: &[String]) -> String {
    let mut text = String::new();
    head(&mut text, findings);
    goals(&mut text, verdicts);
    for series in findings.series() {
        table_of(&mut text, series);
    }
    memory(&mut text, findings);
    settlement(&mut text, findings);
    live(&mut text, findings);
    list(&mut text, "Not measured", &findings.notes);
    if faults.is_empty() {
        text.push_str("\nNo request failed; every answer was the provider's; the provider's count equals what was sent.\n");
    }
    list(&mut text, "Faults: these figures are worth nothing", faults);
    text
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($arguments:tt)*) => { writeln!($text, $($arguments)*).unwrap_or_default() };
}

fn head(text: &mut String, findings: &Findings) {
    let machine = &findings.machine;
    let busy = findings.series().flat_map(Series::cells).map(|(_, cell)| cell.busy_otherwise);
    let most = busy.fold(0.0, f64::max);
    line!(
        text,
        "sluice-bench {}: {} cores ({}), Linux {}, {:.0} s; load average {:.2} before and {:.2} after; other processes used at most \
         {:.0} % of the machine during a load. Control plane on {}.",
        env!("CARGO_PKG_VERSION"),
        machine.cores,
        machine.processor,
        machine.kernel,
        findings.lasted.as_secs_f64(),
        machine.load_before,
        findings.load_after,
        most * 100.0,
        findings.options.engine,
    );
}

fn goals(text: &mut String, verdicts: &[Verdict]) {
    line!(text, "\n| # | what | goal (G), bar (B) | measured | |\n|---|---|---|---|---|");
    for Verdict { id, what, goal, measured, standing } in verdicts {
        line!(text, "| {id} | {what} | {goal} | {measured} | {} |", standing.map_or("", |standing| standing.word()));
    }
}

fn table_of(text: &mut String, series: &Series) {
    let has_events = series.cells().any(|(_, cell)| cell.tally.events > 0);
    line!(text, "\n### {}\n", upper_first(&series.name));
    if has_events {
        line!(
            text,
            "| way | streams | events/s | CPU µs/event | × nginx | first byte p50 | p99 | max | gap p99 | merged reads |"
        );
        line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    } else {
        line!(
            text,
            "| way | requests | requests/s | CPU µs/request | × nginx | p50 | p99 | p99.9 | max | added p50 | added p99 |"
        );
        line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    }
    let nginx = series.cell(Way::Nginx);
    for (way, cell) in series.cells() {
        if has_events {
            stream_line(text, way, cell, nginx);
        } else {
            plain_line(text, way, cell, nginx, series.cell(Way::Direct));
        }
    }
    line!(text, "\nTimes in µs.");
}

fn plain_line(text: &mut String, way: Way, cell: &Cell, nginx: Option<&Cell>, direct: Option<&Cell>) {
    let times = cell.tally.latency.quantiles();
    let cost = cell.cpu_per_request();
    let direct = direct.filter(|_| way != Way::Direct).map(|direct| direct.tally.latency.quantiles());
    line!(
        text,
        "| {} | {} | {:.0} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
        way.name(),
        cell.tally.good,
        cell.rate(),
        of_process(way, cost, 1),
        ratio(way, cost, nginx.map(Cell::cpu_per_request)),
        times.p50,
        times.p99,
        times.p999,
        times.max,
        direct.map(|direct| format!("{:.0}", times.p50 - direct.p50)).unwrap_or_default(),
        direct.map(|direct| format!("{:.0}", times.p99 - direct.p99)).unwrap_or_default(),
    );
}

fn stream_line(text: &mut String, way: Way, cell: &Cell, nginx: Option<&Cell>) {
    let (first, gap) = (cell.tally.first_byte.quantiles(), cell.tally.gaps.quantiles());
    let cost = cell.cpu_per_event();
    line!(
        text,
        "| {} | {} | {:.0} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {} |",
        way.name(),
        cell.tally.good,
        cell.events_rate(),
        of_process(way, cost, 2),
        ratio(way, cost, nginx.map(Cell::cpu_per_event)),
        first.p50,
        first.p99,
        first.max,
        gap.p99,
        cell.tally.merged,
    );
}

/// Nothing stands in the direct way, so it costs nothing there.
fn of_process(way: Way, figure: f64, digits: usize) -> String {
    if way == Way::Direct { String::new() } else { format!("{figure:.digits$}") }
}

fn ratio(way: Way, figure: f64, nginx: Option<f64>) -> String {
    nginx.filter(|_| way != Way::Direct).map(|nginx| format!("{:.2}", figure / nginx)).unwrap_or_default()
}

fn memory(text: &mut String, findings: &Findings) {
    if findings.slow.is_empty() {
        return;
    }
    let mib = |bytes: u64| number(bytes) / 1024.0 / 1024.0;
    line!(text, "\n### Memory under slow streams\n");
    line!(
        text,
        "| way | streams | idle MiB | open MiB | KiB per stream | after MiB | back after |\n|---|--:|--:|--:|--:|--:|--:|"
    );
    for slow in &findings.slow {
        let SlowStreams { way, streams, idle_bytes, open_bytes, after_bytes, back_after_seconds, .. } = slow;
        line!(
            text,
            "| {} | {streams} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            way.name(),
            mib(*idle_bytes),
            mib(*open_bytes),
            slow.kib_per_stream(),
            mib(*after_bytes),
            back_after_seconds.map_or_else(|| "not".to_owned(), |seconds| format!("{seconds:.1} s")),
        );
    }
}

fn settlement(text: &mut String, findings: &Findings) {
    if findings.settled.is_empty() {
        return;
    }
    line!(text, "\n### The database\n");
    line!(
        text,
        "| engine | requests | commits per 1,000 | writing statements | statements of any kind | served without control plane | settled/s \
         | bare insert rows/s | × bare | CPU µs/record, control plane | relay |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let figure = |figure: Option<f64>, digits: usize| figure.map(|figure| format!("{figure:.digits$}")).unwrap_or_default();
    for settled in &findings.settled {
        line!(
            text,
            "| {} | {} | {:.2} | {} | {} | {} | {} | {:.0} | {} | {:.1} | {:.1} |",
            settled.engine,
            settled.requests,
            settled.commits_per_thousand(),
            figure(settled.statements_per_thousand(), 1),
            figure(settled.all_statements_per_thousand(), 1),
            settled.served_without_control,
            settled.records_per_second.map_or_else(|| "not in time".to_owned(), |rate| format!("{rate:.0}")),
            settled.bare_rows_per_second,
            figure(settled.beside_bare(), 2),
            settled.control_cpu_us_per_record,
            settled.relay_cpu_us_per_record,
        );
    }
}

fn live(text: &mut String, findings: &Findings) {
    if findings.live.is_empty() {
        return;
    }
    line!(text, "\n### From the API's answer to both relays\n");
    line!(text, "| change | changes | p50 ms | max ms |\n|---|--:|--:|--:|");
    for live in &findings.live {
        line!(text, "| {} | {} | {:.1} | {:.1} |", live.what, live.millis.len(), live.p50(), live.max());
    }
}

fn list(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    line!(text, "\n### {heading}\n");
    for entry in lines {
        line!(text, "- {entry}");
    }
}

fn upper_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
