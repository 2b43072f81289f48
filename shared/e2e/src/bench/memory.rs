//! Memory: idle, under many slow streams, after them, and under very long answers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::crew::Crew;
use super::question::Question;
use super::stage::{Stage, Target, Way};
use super::tally::number;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between the events of a slow stream, in milliseconds.
const SLOW_EVENT_MS: u64 = 1_000;
/// Streams started a second: what they cost while they last is asked for, not what a stampede costs.
const STARTED_PER_SECOND: f64 = 2_000.0;
/// How long all streams are open together.
const TOGETHER: Duration = Duration::from_secs(3);
/// Long answers at the same time, and events in each.
const LONG_STREAMS: usize = 4;
const LONG_EVENTS: u64 = 100_000;

/// Memory of one process under so many slow streams.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SlowStreams {
    pub(crate) way: Way,
    pub(crate) streams: usize,
    pub(crate) idle_bytes: u64,
    /// The most seen while all were open.
    pub(crate) open_bytes: u64,
    /// The most streams that were seen open together.
    pub(crate) open_streams: u64,
    /// After all ended and the wait for it to come back to idle.
    pub(crate) after_bytes: u64,
    /// How long it took until it was within a fifth above idle; none: it did not come back.
    pub(crate) back_after_seconds: Option<f64>,
    pub(crate) failures: u64,
}

impl SlowStreams {
    /// What a stream costs, in KiB.
    pub(crate) fn kib_per_stream(&self) -> f64 {
        number(self.open_bytes.saturating_sub(self.idle_bytes)) / 1024.0 / number(self.streams as u64)
    }
}

/// Memory of the relay while long answers pass through it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LongAnswers {
    pub(crate) streams: usize,
    pub(crate) events_each: u64,
    /// What was seen, in order, from a tenth of the events on.
    pub(crate) rss_bytes: Vec<u64>,
    pub(crate) failures: u64,
}

impl LongAnswers {
    /// How far the highest and the lowest figure are from the middle between them: 0.05 is ± 5 %.
    pub(crate) fn spread(&self) -> Option<f64> {
        let (least, most) = (*self.rss_bytes.iter().min()?, *self.rss_bytes.iter().max()?);
        Some(number(most - least) / number(most + least))
    }
}

/// Holds slow streams open through a target and looks at its memory. Waits up to `patience` until it is back.
pub(crate) async fn slow_streams(stage: &Stage, target: &Target, streams: usize, patience: Duration) -> Result<SlowStreams> {
    let process = target.process.as_ref().context("the direct way has no process")?;
    let idle_bytes = process.rss_bytes()?;
    let ramp = Duration::from_secs_f64(number(streams as u64) / STARTED_PER_SECOND);
    // Long enough that the first is still open when the last has been open for a while.
    let events = (ramp + TOGETHER).as_secs() * 1_000 / SLOW_EVENT_MS + 2;
    stage.simulator.clear().await?;
    let question = Question::paced(events, SLOW_EVENT_MS).addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, streams).await?;
    let (mut open_bytes, mut open_streams) = (0, 0);
    let looking = async {
        loop {
            let open = stage.simulator.stats().await?.in_flight;
            if open >= open_streams {
                let rss = process.rss_bytes()?;
                open_bytes = if open == open_streams { rss.max(open_bytes) } else { rss };
                open_streams = open;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = crew.run_spread(ramp) => done?,
        stopped = looking => return stopped,
    }
    let tally = crew.take_tally();
    drop(crew);
    ensure!(open_streams > 0, "no stream was open: {:?}", tally.failures);
    let (after_bytes, back_after_seconds) = wait_until_idle(target, idle_bytes, patience).await?;
    let failures = tally.failed() + u64::from(stage.simulator.settled().await?.completed != tally.sent);
    let way = target.way;
    Ok(SlowStreams { way, streams, idle_bytes, open_bytes, open_streams, after_bytes, back_after_seconds, failures })
}

async fn wait_until_idle(target: &Target, idle_bytes: u64, patience: Duration) -> Result<(u64, Option<f64>)> {
    let process = target.process.as_ref().context("the direct way has no process")?;
    let start = Instant::now();
    loop {
        let rss = process.rss_bytes()?;
        if rss <= idle_bytes + idle_bytes / 5 {
            return Ok((rss, Some(start.elapsed().as_secs_f64())));
        }
        if start.elapsed() > patience {
            return Ok((rss, None));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Sends long answers through the relay as fast as they go and looks at its memory.
pub(crate) async fn long_answers(stage: &Stage, target: &Target) -> Result<LongAnswers> {
    let process = target.process.as_ref().context("the direct way has no process")?;
    stage.simulator.clear().await?;
    let question = Question::paced(LONG_EVENTS, 0).addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, LONG_STREAMS).await?;
    let mut rss_bytes = Vec::new();
    let started = Instant::now();
    let looking = async {
        loop {
            sleep(LOOK_EVERY).await;
            rss_bytes.push(process.rss_bytes()?);
        }
    };
    tokio::select! {
        done = crew.run_spread(Duration::ZERO) => done?,
        stopped = looking => return stopped,
    }
    // What the first connections and buffers take is not growth with bytes relayed.
    let begun = rss_bytes.len() / 10;
    rss_bytes.drain(..begun);
    let tally = crew.take_tally();
    ensure!(!rss_bytes.is_empty(), "the answers were over after {:?}: {:?}", started.elapsed(), tally.failures);
    Ok(LongAnswers { streams: LONG_STREAMS, events_each: LONG_EVENTS, rss_bytes, failures: tally.failed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_half_the_way_from_lowest_to_highest() {
        let of = |rss: &[u64]| LongAnswers { streams: 1, events_each: 1, rss_bytes: rss.to_vec(), failures: 0 }.spread();
        assert_eq!(of(&[100, 100]), Some(0.0));
        assert_eq!(of(&[95, 105, 100]), Some(0.05));
        assert_eq!(of(&[]), None);
    }
}
