//! How soon a change is in force: from the management API's answer until every relay acts by it.
//!
//! Both relays are asked the same question over and over; a change is in force on a relay when its answer is another one. So the times
//! include what a caller would see, and are at most one question too long.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_testkit::client::{Caller, send};
use sluice_testkit::database::Engine;
use sluice_testkit::services::Addresses;
use tokio::time::{Instant, sleep};

use super::install::{Install, LONG_MODEL};
use super::question::{FAST_MODEL, PLAYED_MODEL};
use super::stage::Provider;

/// Relays that have to know.
const RELAYS: usize = 2;
/// Between two questions to one relay.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// A change that is not in force after this is not waited for.
const LIVE_LIMIT: Duration = Duration::from_secs(20);
/// Changes must not fall into step with the rhythm of anything that sends them; the pauses between them go up by this, modulo
/// [`PAUSES`].
const PAUSE_STEP_MILLIS: u64 = 37;
const PAUSES: u64 = 250;
const RATIO: &str = "1.25";
/// The highest price there is. A request for [`OUTPUT_TOKENS`] and [`CHOICES`] cannot be paid for then, whatever the balance: it is
/// refused as out of range, before money is looked at.
const HIGHEST_RATIO: &str = "1000000";
const OUTPUT_TOKENS: u64 = (1 << 30) - 1;
const CHOICES: u64 = 8;

/// How soon changes of one kind were in force on both relays.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Live {
    /// What was changed.
    pub(crate) what: &'static str,
    /// Milliseconds from the API's answer to the slower relay, shortest first.
    pub(crate) millis: Vec<f64>,
}

impl Live {
    /// The median, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.millis.get(self.millis.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The longest, in milliseconds.
    pub(crate) fn max(&self) -> f64 {
        self.millis.last().copied().unwrap_or(f64::NAN)
    }
}

/// Makes so many changes of each kind.
pub(crate) async fn measure(
    database: (Engine, &Addresses),
    folder: &Path,
    provider: &Provider,
    changes: usize,
) -> Result<Vec<Live>> {
    let install = Install::start(database, &folder.join("live"), provider.address, RELAYS, 0).await?;
    let watch = Watch { install: &install, changes };
    let all = json!([FAST_MODEL, PLAYED_MODEL, LONG_MODEL]);
    let others = json!([PLAYED_MODEL]);
    let token = install.api.token(install.user, "changed").await;
    in_force(&watch.callers(&token.key), StatusCode::UNAUTHORIZED, StatusCode::OK).await?;
    let toggles = [
        Toggle {
            what: "channel (its models)",
            path: format!("/api/channels/{}", install.channel),
            field: "models",
            open: all.clone(),
            closed: others.clone(),
            refusal: StatusCode::NOT_FOUND,
        },
        Toggle {
            what: "price",
            path: format!("/api/prices/{FAST_MODEL}"),
            field: "model_ratio",
            open: json!(RATIO),
            closed: json!(HIGHEST_RATIO),
            refusal: StatusCode::BAD_REQUEST,
        },
        Toggle {
            what: "token (its models)",
            path: format!("/api/tokens/{}", token.id),
            field: "models",
            open: all,
            closed: others,
            refusal: StatusCode::FORBIDDEN,
        },
    ];
    let mut found = Vec::new();
    for toggle in &toggles {
        found.push(watch.toggle(toggle, &token.key).await.context(toggle.what)?);
    }
    found.push(watch.revoke().await.context("token (revoked)")?);
    Ok(found)
}

/// A field that is changed back and forth.
struct Toggle {
    what: &'static str,
    path: String,
    field: &'static str,
    /// With this value requests are answered.
    open: Value,
    /// And with this refused.
    closed: Value,
    /// With this status.
    refusal: StatusCode,
}

struct Watch<'a> {
    install: &'a Install,
    changes: usize,
}

impl Watch<'_> {
    async fn toggle(&self, toggle: &Toggle, key: &str) -> Result<Live> {
        let callers = self.callers(key);
        in_force(&callers, toggle.refusal, StatusCode::OK).await?;
        let mut times = Vec::with_capacity(self.changes);
        // An even number: the last change opens again.
        for number in 0..self.changes.next_multiple_of(2) {
            pause(number).await;
            let (value, from, to) = match number % 2 {
                0 => (&toggle.closed, StatusCode::OK, toggle.refusal),
                _ => (&toggle.open, toggle.refusal, StatusCode::OK),
            };
            self.install.api.patch(&toggle.path, &json!({toggle.field: value})).await;
            let since = Instant::now();
            in_force(&callers, from, to).await?;
            times.push(since.elapsed());
        }
        Ok(live(toggle.what, times))
    }

    /// Deletes tokens in use.
    async fn revoke(&self) -> Result<Live> {
        let mut times = Vec::with_capacity(self.changes);
        for number in 0..self.changes {
            let token = self.install.api.token(self.install.user, &format!("revoked {number}")).await;
            let callers = self.callers(&token.key);
            in_force(&callers, StatusCode::UNAUTHORIZED, StatusCode::OK).await?;
            pause(number).await;
            self.install.api.delete(&format!("/api/tokens/{}", token.id)).await;
            let since = Instant::now();
            in_force(&callers, StatusCode::OK, StatusCode::UNAUTHORIZED).await?;
            times.push(since.elapsed());
        }
        Ok(live("token (revoked)", times))
    }

    fn callers(&self, key: &str) -> Vec<Caller> {
        self.install.relays.iter().map(|relay| Caller::new(relay.base_url()).with_key(key)).collect()
    }
}

fn live(what: &'static str, times: Vec<Duration>) -> Live {
    let mut millis: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
    millis.sort_by(f64::total_cmp);
    Live { what, millis }
}

async fn pause(number: usize) {
    let millis = (number as u64).wrapping_mul(PAUSE_STEP_MILLIS) % PAUSES;
    sleep(Duration::from_millis(millis)).await;
}

/// Asks every relay until none answers as before.
async fn in_force(callers: &[Caller], from: StatusCode, to: StatusCode) -> Result<()> {
    try_join_all(callers.iter().map(|caller| turns(caller, from, to))).await.map(drop)
}

async fn turns(caller: &Caller, from: StatusCode, to: StatusCode) -> Result<()> {
    let message = json!({"role": "user", "content": "Are you there?"});
    let body = json!({"model": FAST_MODEL, "max_tokens": OUTPUT_TOKENS, "n": CHOICES, "messages": [message]});
    let deadline = Instant::now() + LIVE_LIMIT;
    loop {
        let answer = send(caller.request(Method::POST, "/v1/chat/completions").json(&body)).await.context("a relay is gone")?;
        if answer.status == to {
            return Ok(());
        }
        ensure!(answer.status == from, "status {}: {}", answer.status, answer.text());
        ensure!(Instant::now() < deadline, "not in force after {LIVE_LIMIT:?}");
        sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_sorted_times() {
        let times = [30, 10, 20].map(Duration::from_millis).to_vec();
        let live = live("price", times);
        assert!((live.p50() - 20.0).abs() < 1e-9 && (live.max() - 30.0).abs() < 1e-9, "{live:?}");
    }
}
