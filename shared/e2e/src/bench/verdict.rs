//! The figures held against the goals and bars of the project.

use serde::Serialize;

use super::crowd::{Comeback, Push};
use super::lag::Lag;
use super::live::Live;
use super::memory::SlowStreams;
use super::plan::Findings;
use super::settlement::Settled;
use super::slice::{Cell, Series};
use super::stage::Way;
use super::tally::{Times, number};

const MIB: f64 = 1024.0 * 1024.0;

/// How a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// The goal is reached.
    Goal,
    /// The goal is not reached, the bar (if there is one) is.
    Short,
    /// Not even the bar is reached.
    Defect,
}

impl Standing {
    /// Its word in the table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::Short => "short of the goal",
            Self::Defect => "**below the bar**",
        }
    }
}

/// One line of the table of goals.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) measured: String,
    /// None: not measured.
    pub(crate) standing: Option<Standing>,
}

/// A figure that must not be above its goal, nor above its bar.
fn at_most(figure: f64, goal: f64, bar: f64) -> Standing {
    match figure {
        figure if figure <= goal => Standing::Goal,
        figure if figure <= bar => Standing::Short,
        _ => Standing::Defect,
    }
}

/// All lines, measured or not.
pub(crate) fn verdicts(findings: &Findings) -> Vec<Verdict> {
    vec![
        cpu_beside_nginx(findings),
        cpu_beside_bare(findings),
        added_latency(findings),
        added_first_byte(findings),
        cpu_per_event(findings),
        flat_out(findings),
        idle_memory(findings),
        stream_memory(findings),
        long_memory(findings),
        database(findings),
        settlement(findings),
        beside_bare_insert(findings),
        live(findings),
        lag(findings),
        push(findings),
        token_bytes(findings),
        comeback(findings),
        flaky(findings),
        converted(findings),
    ]
}

type Found = Option<(String, Standing)>;

fn verdict(id: &'static str, what: &'static str, goal: &'static str, found: Found) -> Verdict {
    let (measured, standing) = found.map_or_else(|| ("not measured".to_owned(), None), |(text, standing)| (text, Some(standing)));
    Verdict { id, what, goal, measured, standing }
}

fn pair(series: Option<&Series>, one: Way, other: Way) -> Option<(&Cell, &Cell)> {
    series.and_then(|series| series.cell(one).zip(series.cell(other)))
}

fn at_64(findings: &Findings) -> Option<&Series> {
    findings.closed.iter().find(|series| series.name.contains(" 64 "))
}

fn cpu_beside_nginx(findings: &Findings) -> Verdict {
    let found = pair(at_64(findings), Way::Full, Way::Nginx).map(|(full, nginx)| {
        let (full, nginx) = (full.cpu_per_request(), nginx.cpu_per_request());
        let ratio = full / nginx;
        (format!("{ratio:.2} × ({full:.1} / {nginx:.1} µs)"), at_most(ratio, 3.0, 5.0))
    });
    verdict("PERF-1", "CPU per request, plain chat, 64 connections, full / nginx", "G ≤ 3 ×, B ≤ 5 ×", found)
}

fn cpu_beside_bare(findings: &Findings) -> Verdict {
    let found = pair(at_64(findings), Way::Full, Way::Bare).map(|(full, bare)| {
        let (full, bare) = (full.cpu_per_request(), bare.cpu_per_request());
        let ratio = full / bare;
        (format!("{ratio:.2} × ({full:.1} / {bare:.1} µs)"), at_most(ratio, 1.3, f64::INFINITY))
    });
    verdict("PERF-3", "CPU per request, full / the relay's own bare forwarding", "G ≤ 1.3 ×", found)
}

/// What a way adds to the direct one at a quantile, in microseconds: median, 99th percentile, and the longest.
#[derive(Debug, Clone, Copy)]
struct Added {
    p50: f64,
    p99: f64,
    max: f64,
}

fn added(series: Option<&Series>, way: Way, times: fn(&Cell) -> &Times) -> Option<Added> {
    let (there, direct) = pair(series, way, Way::Direct)?;
    let (there, direct) = (times(there).quantiles(), times(direct).quantiles());
    Some(Added { p50: there.p50 - direct.p50, p99: there.p99 - direct.p99, max: there.max - direct.max })
}

fn added_latency(findings: &Findings) -> Verdict {
    let series = findings.open.as_ref();
    let of = |way| added(series, way, |cell| &cell.tally.latency);
    let found = of(Way::Full).zip(of(Way::Nginx)).map(|(full, nginx)| {
        let meets = full.p50 <= 2.0 * nginx.p50 && full.p99 <= nginx.p99 + 200.0;
        let standing = if meets { Standing::Goal } else { at_most(full.p99, f64::NEG_INFINITY, 1_000.0) };
        (format!("p50 {:.0} µs, p99 {:.0} µs (nginx {:.0}, {:.0})", full.p50, full.p99, nginx.p50, nginx.p99), standing)
    });
    verdict("PERF-4", "added latency, open loop", "G p50 ≤ 2 × nginx's, p99 ≤ nginx's + 200 µs; B p99 < 1 ms", found)
}

fn added_first_byte(findings: &Findings) -> Verdict {
    let of = |series, way| added(series, way, |cell: &Cell| &cell.tally.first_byte);
    let (steady, burst) = (findings.first_byte.as_ref(), findings.burst.as_ref());
    let all = of(steady, Way::Full).zip(of(steady, Way::Nginx)).zip(of(burst, Way::Full));
    let found = all.map(|((full, nginx), at_once)| {
        let meets = full.p50 <= 1.5 * nginx.p50 && full.p99 <= 2.0 * nginx.p99;
        let longest = full.max.max(at_once.max);
        let standing = if meets { at_most(longest, 10_000.0, 10_000.0) } else { at_most(longest, f64::NEG_INFINITY, 10_000.0) };
        let steady = format!("p50 {:.0} µs, p99 {:.0} µs (nginx {:.0}, {:.0})", full.p50, full.p99, nginx.p50, nginx.p99);
        (format!("{steady}; longest {:.1} ms, at once {:.1} ms", full.max / 1e3, at_once.max / 1e3), standing)
    });
    verdict("PERF-5", "added first byte, 100 streams", "G p50 ≤ 1.5 × nginx's, p99 ≤ 2 ×; B never > 10 ms", found)
}

fn cpu_per_event(findings: &Findings) -> Verdict {
    let found = pair(findings.paced.as_ref(), Way::Full, Way::Nginx).map(|(full, nginx)| {
        let ratio = full.cpu_per_event() / nginx.cpu_per_event();
        let share = number(full.tally.merged) / number(full.tally.events.max(1)) * 100.0;
        let text = format!("{ratio:.2} × ({:.2} / {:.2} µs), {share:.2} % merged", full.cpu_per_event(), nginx.cpu_per_event());
        (text, at_most(ratio, 2.5, f64::INFINITY))
    });
    verdict("PERF-6", "CPU per SSE event, paced, full / nginx", "G ≤ 2.5 ×", found)
}

fn flat_out(findings: &Findings) -> Verdict {
    let found = pair(findings.flat_out.as_ref(), Way::Full, Way::Nginx).map(|(full, nginx)| {
        let ratio = full.events_rate() / nginx.events_rate();
        let text = format!("{ratio:.2} × ({:.0} / {:.0} events/s)", full.events_rate(), nginx.events_rate());
        (text, at_most(-ratio, -0.5, f64::INFINITY))
    });
    verdict("PERF-6", "SSE events/s flat out, full / nginx", "G ≥ 0.5 ×", found)
}

fn idle_memory(findings: &Findings) -> Verdict {
    let found = findings.idle.iter().find(|(way, _)| *way == Way::Full).map(|(_, bytes)| {
        let mib = number(*bytes) / MIB;
        (format!("{mib:.1} MiB at {} tokens", findings.options.tokens), at_most(mib, 40.0, f64::INFINITY))
    });
    verdict("PERF-7", "RSS, idle", "G ≤ 40 MiB at 10,000 tokens", found)
}

fn stream_memory(findings: &Findings) -> Verdict {
    let full: Vec<&SlowStreams> = findings.slow.iter().filter(|slow| slow.way == Way::Full).collect();
    let found = (!full.is_empty()).then(|| {
        let back = |slow: &SlowStreams| {
            slow.back_after_seconds.map_or_else(
                || format!("not back: {:.0} MiB, idle {:.0}", number(slow.after_bytes) / MIB, number(slow.idle_bytes) / MIB),
                |seconds| format!("back after {seconds:.1} s"),
            )
        };
        let one = |slow: &&SlowStreams| format!("{:.1} KiB at {}, {}", slow.kib_per_stream(), slow.streams, back(slow));
        let meets = full.iter().all(|slow| slow.kib_per_stream() <= 32.0 && slow.back_after_seconds.is_some());
        (full.iter().map(one).collect::<Vec<_>>().join("; "), if meets { Standing::Goal } else { Standing::Short })
    });
    verdict("PERF-7", "RSS per slow stream", "G ≤ 32 KiB at 500 and 5,000; back to idle + 20 % in 60 s", found)
}

fn long_memory(findings: &Findings) -> Verdict {
    let found = findings.long.as_ref().and_then(|long| {
        let spread = long.spread()?;
        let text = format!("± {:.1} % over {} × {} events", spread * 100.0, long.streams, long.events_each);
        Some((text, at_most(spread, 0.05, f64::INFINITY)))
    });
    verdict("PERF-8", "RSS under long streams", "G flat ± 5 % over 100,000-token answers", found)
}

fn database(findings: &Findings) -> Verdict {
    let one = |settled: &Settled| {
        let statements =
            settled.statements_per_thousand().map(|count| format!(", {count:.1} write statements")).unwrap_or_default();
        format!("{}: {:.2} commits{statements}", settled.engine, settled.commits_per_thousand())
    };
    let found = (!findings.settled.is_empty()).then(|| {
        let meets = |settled: &Settled| {
            settled.commits_per_thousand() <= 2.0 && settled.statements_per_thousand().is_none_or(|count| count <= 10.0)
        };
        let served: u64 = findings.settled.iter().map(|settled| settled.served_without_control).sum();
        let text = findings.settled.iter().map(one).collect::<Vec<_>>().join("; ");
        let standing = if findings.settled.iter().all(meets) && served > 0 { Standing::Goal } else { Standing::Short };
        (format!("{text} per 1,000 requests; {served} served while the control plane stood still"), standing)
    });
    verdict("PERF-10", "database work", "0 in the request path; ≤ 10 write statements and ≤ 2 commits per 1,000 requests", found)
}

fn settlement(findings: &Findings) -> Verdict {
    let bar = |engine: &str| match engine {
        "sqlite" => 30_000.0,
        "postgres" => 20_000.0,
        _ => 10_000.0,
    };
    let rate = |settled: &Settled| settled.records_per_second.unwrap_or(0.0);
    let found = (!findings.settled.is_empty()).then(|| {
        let one = |settled: &Settled| format!("{}: {:.0}/s of {}", settled.engine, rate(settled), settled.served_without_control);
        let meets = findings.settled.iter().all(|settled| rate(settled) >= bar(&settled.engine));
        let text = findings.settled.iter().map(one).collect::<Vec<_>>().join("; ");
        (text, if meets { Standing::Goal } else { Standing::Defect })
    });
    verdict(
        "PERF-11",
        "settlement of a pile, from the relay's disk",
        "B SQLite ≥ 30,000/s, PostgreSQL ≥ 20,000/s, MariaDB ≥ 10,000/s",
        found,
    )
}

fn beside_bare_insert(findings: &Findings) -> Verdict {
    let share = |settled: &Settled| settled.beside_bare().unwrap_or(0.0);
    let found = (!findings.settled.is_empty()).then(|| {
        let one = |settled: &Settled| {
            format!("{}: {:.2} × ({:.0} rows/s)", settled.engine, share(settled), settled.bare_rows_per_second)
        };
        let least = findings.settled.iter().map(share).fold(f64::INFINITY, f64::min);
        let text = findings.settled.iter().map(one).collect::<Vec<_>>().join("; ");
        (text, at_most(-least, -0.5, f64::INFINITY))
    });
    verdict("PERF-11", "settlement / bare batch insert of the same rows", "G ≥ 0.5 ×", found)
}

fn live(findings: &Findings) -> Verdict {
    let found = (!findings.live.is_empty()).then(|| {
        let one = |live: &Live| format!("{}: p50 {:.0} ms, max {:.0} ms", live.what, live.p50(), live.max());
        let longest = findings.live.iter().map(Live::max).fold(0.0, f64::max);
        let text = findings.live.iter().map(one).collect::<Vec<_>>().join("; ");
        (text, at_most(longest, 1_000.0, 1_000.0))
    });
    verdict("live", "from the API's answer until two relays act by a change", "G ≤ 1 s", found)
}

fn lag(findings: &Findings) -> Verdict {
    let found = (!findings.lag.is_empty()).then(|| {
        let one = |lag: &Lag| {
            format!("{}: p50 ≤ {} s, p99 ≤ {} s of {} reports", lag.engine, lag.p50_seconds, lag.p99_seconds, lag.reports)
        };
        let longest = findings.lag.iter().map(|lag| lag.p99_seconds).fold(0.0, f64::max);
        let text = findings.lag.iter().map(one).collect::<Vec<_>>().join("; ");
        (text, at_most(longest, 2.0, f64::INFINITY))
    });
    verdict("PERF-12", "settlement lag under the open loop", "G p99 ≤ 2 s", found)
}

fn push(findings: &Findings) -> Verdict {
    let goal = |relays: usize| if relays <= 100 { 100.0 } else { 500.0 };
    let found = (!findings.pushes.is_empty()).then(|| {
        let one = |push: &Push| {
            format!("{} relays: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms", push.relays, push.p50_ms, push.p99_ms, push.max_ms)
        };
        let meets = findings.pushes.iter().all(|push| push.p99_ms <= goal(push.relays));
        let text = findings.pushes.iter().map(one).collect::<Vec<_>>().join("; ");
        (text, if meets { Standing::Goal } else { Standing::Short })
    });
    verdict(
        "PERF-13",
        "from sending a change to the API until a relay acknowledged it",
        "G p99 ≤ 100 ms at 100 relays, ≤ 500 ms at 1,000",
        found,
    )
}

fn token_bytes(findings: &Findings) -> Verdict {
    let most = findings.pushes.iter().map(|push| push.token_bytes).max();
    let found = most.map(|bytes| (format!("{bytes} bytes"), at_most(number(bytes), 1_024.0, f64::INFINITY)));
    verdict("PERF-14", "bytes per changed token per relay", "≤ 1 KiB", found)
}

fn comeback(findings: &Findings) -> Verdict {
    let found = findings.comeback.as_ref().map(|comeback| {
        let Comeback { relays, seconds, served, failed } = comeback;
        let text = format!("{relays} relays after {seconds:.1} s; {served} requests meanwhile, {failed} failed");
        (text, if *failed > 0 { Standing::Defect } else { at_most(*seconds, 10.0, f64::INFINITY) })
    });
    verdict(
        "PERF-16",
        "control plane killed and started again, all relays up to date",
        "G ≤ 10 s at 200 relays, no failed request",
        found,
    )
}

fn flaky(findings: &Findings) -> Verdict {
    let found = findings.flaky.as_ref().map(|flaky| {
        let failed: u64 = flaky.failures.values().sum();
        let share = number(flaky.upstream_failures) / number(flaky.rough + flaky.upstream_failures) * 100.0;
        let text = format!(
            "{:.2} × ({:.1} / {:.1} µs), {share:.1} % of answers failed; {failed} of {} callers saw an error",
            flaky.ratio(),
            flaky.rough_cpu_us,
            flaky.calm_cpu_us,
            flaky.rough
        );
        (text, if failed > 0 { Standing::Defect } else { at_most(flaky.ratio(), 1.3, f64::INFINITY) })
    });
    verdict(
        "PERF-17",
        "a tenth of all answers is a 500: CPU per request beside a calm relay",
        "G ≤ 1.3 ×, no error for callers",
        found,
    )
}

fn converted(findings: &Findings) -> Verdict {
    let found = findings.dialects.as_ref().map(|dialects| {
        let (request, event) = dialects.ratios();
        let text = format!("{request:.2} × a request, {event:.2} × an event ({})", dialects.words());
        let standing = if dialects.failures() > 0 { Standing::Defect } else { at_most(request.max(event), 2.0, f64::INFINITY) };
        (text, standing)
    });
    verdict("PERF-18", "conversion, Messages ⇄ Chat, 4 KB and tools: CPU beside passing on", "G ≤ 2 ×", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_between_goal_and_bar_is_short() {
        assert_eq!(at_most(2.9, 3.0, 5.0), Standing::Goal);
        assert_eq!(at_most(3.1, 3.0, 5.0), Standing::Short);
        assert_eq!(at_most(5.1, 3.0, 5.0), Standing::Defect);
        assert_eq!(at_most(f64::NAN, 3.0, 5.0), Standing::Defect, "what could not be measured is no success");
    }
}
