//! Tells the control plane how channels do: once a second, best effort. It decides what is switched off for good.

use std::convert::Infallible;
use std::time::Duration;

use sluice_rpc::pb;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::session::Wire;
use crate::forward::{Evidence, Seen, Told};

/// How often there is something to tell, at most.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The longest a telling may take. What it held is lost then: it will be seen again.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells what was seen until the connection ends.
pub(super) async fn run(wire: &Wire, seen: &Seen) -> Infallible {
    let mut client = pb::nodes_client::NodesClient::with_interceptor(wire.money.clone(), wire.proof.clone());
    let mut ticks = interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let channels: Vec<_> = seen.take().into_iter().map(observation).collect();
        if channels.is_empty() {
            continue;
        }
        let observations = pb::Observations { node_id: wire.node.id.to_string(), epoch: wire.node.epoch.0, channels };
        match timeout(TELL_TIMEOUT, client.observe(observations)).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => debug!(code = ?status.code(), "cannot tell how channels do"),
            Err(_) => debug!("cannot tell how channels do in time"),
        }
    }
}

fn observation(told: Told) -> pb::ChannelObservation {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    pb::ChannelObservation {
        channel_id: told.way.0.get(),
        key_id: told.way.1.get(),
        attempts: count(told.attempts),
        successes: count(told.successes),
        evidence: told.evidence.into_iter().map(evidence).collect(),
    }
}

pub(super) fn evidence(said: Evidence) -> pb::Evidence {
    pb::Evidence {
        status: said.status.into(),
        r#type: said.kind,
        code: said.code,
        keyword: said.keyword,
        message: String::new(),
        fault: said.fault.map_or_else(String::new, |fault| fault.code().to_owned()),
    }
}
