//! How long a request waits for its settlement under a steady load: from its end to the committed transaction.
//!
//! The control plane measures it itself, for the oldest request of each report (`sluice_control_settlement_lag_seconds`), so the figure is
//! an upper bound for the others. The quantile is the upper edge of the histogram's bucket it falls into.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;

use super::crew::Crew;
use super::install::Install;
use super::question::Question;
use super::stage::Provider;

const METRIC: &str = "sluice_control_settlement_lag_seconds_bucket{le=\"";
/// Connections of the open loop.
const CONNECTIONS: usize = 64;
/// Reports on their way when the load ends.
const LAST_REPORTS: Duration = Duration::from_secs(3);

/// What was found on one database.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Lag {
    pub(crate) engine: String,
    /// Requests a second.
    pub(crate) rate: u32,
    pub(crate) requests: u64,
    /// Reports they came in.
    pub(crate) reports: u64,
    /// In seconds; infinite when beyond the last bucket.
    pub(crate) p50_seconds: f64,
    pub(crate) p99_seconds: f64,
    pub(crate) failed: u64,
}

/// Measures on one database, with an installation of its own.
pub(crate) async fn measure(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    rate: u32,
    lasting: Duration,
) -> Result<Lag> {
    let engine = database.0.to_string();
    let mut install = Install::start(database, &folder.join("lag"), provider.address, 1, 0).await?;
    let target = install.target()?;
    let question = Question::plain().addressed(target.address, &target.key)?;
    let mut crew = Crew::connect(target.address, question, CONNECTIONS).await?;
    crew.warm_up().await?;
    tokio::time::sleep(LAST_REPORTS).await;
    crew.take_tally();
    let before = buckets(&install).await?;
    crew.run_open(rate, lasting).await?;
    tokio::time::sleep(LAST_REPORTS).await;
    let counts: Vec<(f64, u64)> =
        buckets(&install).await?.into_iter().zip(before).map(|(now, before)| (now.0, now.1.saturating_sub(before.1))).collect();
    let tally = crew.take_tally();
    Ok(Lag {
        engine,
        rate,
        requests: tally.good,
        reports: counts.last().map_or(0, |(_, count)| *count),
        p50_seconds: quantile(&counts, 50),
        p99_seconds: quantile(&counts, 99),
        failed: tally.failed() + tally.unsent,
    })
}

/// Upper edges and how many were at or below each.
async fn buckets(install: &Install) -> Result<Vec<(f64, u64)>> {
    let page = reqwest::get(format!("{}/metrics", install.control.ops_url())).await?.text().await?;
    let found = parse(&page);
    ensure!(!found.is_empty(), "the control plane has no histogram of its settlement lag");
    Ok(found)
}

fn parse(page: &str) -> Vec<(f64, u64)> {
    let bucket = |line: &str| {
        let (edge, count) = line.strip_prefix(METRIC)?.split_once("\"} ")?;
        Some((edge.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
    };
    page.lines().filter_map(bucket).collect()
}

/// The edge that so many of 100 are at or below.
fn quantile(buckets: &[(f64, u64)], share: u64) -> f64 {
    let all = buckets.last().map_or(0, |(_, count)| *count);
    buckets.iter().find(|(_, count)| count * 100 >= all * share).map_or(f64::NAN, |(edge, _)| *edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_upper_edge_of_its_bucket() {
        let page = "# TYPE x histogram\n\
            sluice_control_settlement_lag_seconds_bucket{le=\"0.5\"} 40\n\
            sluice_control_settlement_lag_seconds_bucket{le=\"1\"} 98\n\
            sluice_control_settlement_lag_seconds_bucket{le=\"2.5\"} 99\n\
            sluice_control_settlement_lag_seconds_bucket{le=\"+Inf\"} 100\n";
        let buckets = parse(page);
        assert_eq!(buckets.len(), 4);
        assert!((quantile(&buckets, 50) - 1.0).abs() < 1e-9);
        assert!((quantile(&buckets, 99) - 2.5).abs() < 1e-9);
        assert!(quantile(&buckets, 100).is_infinite());
    }
}
