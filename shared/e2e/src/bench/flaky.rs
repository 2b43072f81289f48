//! What failing answers of upstreams cost: one of two channels fails every fifth request, so a tenth of all first attempts, and no
//! caller is to see one.
//!
//! Slices with and without the failing channel take turns on the same relay.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;

use super::crew::Crew;
use super::install::Install;
use super::question::{FAST_MODEL, Question};
use super::stage::Provider;
use super::tally::{micros, number};
use crate::fleet::settle_config;

/// Connections of the closed loop.
const CONNECTIONS: usize = 64;
/// A provider key under which the simulator fails every fifth request for its fast model.
const FLAKY_KEY: &str = "sk-simulator-fails-flaky";

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Flaky {
    /// Requests while every answer was good, and what one cost the relay, in microseconds.
    pub(crate) calm: u64,
    pub(crate) calm_cpu_us: f64,
    /// Requests while one channel failed, and what one cost the relay.
    pub(crate) rough: u64,
    pub(crate) rough_cpu_us: f64,
    /// Answers of the provider with status 500.
    pub(crate) upstream_failures: u64,
    /// Requests that callers saw fail, by what they saw.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Flaky {
    /// What a request costs beside one on a calm day.
    pub(crate) fn ratio(&self) -> f64 {
        self.rough_cpu_us / self.calm_cpu_us
    }
}

/// Measures so many pairs of slices.
pub(crate) async fn measure(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    pairs: usize,
    lasting: Duration,
) -> Result<Flaky> {
    let mut install = Install::start(database, &folder.join("flaky"), provider.address, 1, 0).await?;
    let target = install.target()?;
    let process = target.process.context("a relay is a process")?;
    let question = Question::plain().addressed(target.address, &target.key)?;
    let base_url = format!("http://{}", provider.address);
    let flaky = install.api.channel("flaky", &base_url, FLAKY_KEY, &[FAST_MODEL]).await;
    let mut crew = Crew::connect(target.address, question, CONNECTIONS).await?;
    let mut found = Flaky::default();
    let (mut calm_cpu, mut rough_cpu) = (Duration::ZERO, Duration::ZERO);
    for slice in 0..2 * pairs {
        let is_rough = slice % 2 == 1;
        let status = if is_rough { "enabled" } else { "disabled" };
        install.api.patch(&format!("/api/channels/{flaky}"), &json!({"status": status})).await;
        settle_config(&install.api, 1).await;
        crew.warm_up().await?;
        crew.take_tally();
        provider.clear().await?;
        let before = process.cpu()?;
        crew.run_closed(lasting).await?;
        let used = process.cpu()?.since(&before);
        let (tally, stats) = (crew.take_tally(), provider.settled().await?);
        for (reason, count) in tally.failures {
            *found.failures.entry(reason).or_default() += count;
        }
        if is_rough {
            (found.rough, rough_cpu) = (found.rough + tally.good, rough_cpu + used);
            found.upstream_failures += stats.completed.saturating_sub(tally.good);
        } else {
            (found.calm, calm_cpu) = (found.calm + tally.good, calm_cpu + used);
        }
    }
    found.calm_cpu_us = micros(calm_cpu) / number(found.calm);
    found.rough_cpu_us = micros(rough_cpu) / number(found.rough);
    Ok(found)
}
