//! Errands on the wire: taken from the lease stream, told by a call of their own.

use std::convert::Infallible;
use std::time::Duration;

use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_rpc::pb;
use sluice_rpc::usage::counters_to_pb;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::debug;

use super::observe::evidence;
use super::session::Wire;
use crate::errands::{Deed, Errand, Found, Report};

/// The longest a telling may take. What it held is lost then: the errand is given out again.
const TELL_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells what came of errands until the connection ends.
pub(super) async fn run(wire: &Wire, reports: &mut mpsc::Receiver<Report>) -> Infallible {
    let mut client = pb::nodes_client::NodesClient::with_interceptor(wire.money.clone(), wire.proof.clone());
    while let Some(report) = reports.recv().await {
        let report = pb::ErrandReport { node_id: wire.node.id.to_string(), epoch: wire.node.epoch.0, ..report_to_pb(report) };
        match timeout(TELL_TIMEOUT, client.report(report)).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => debug!(code = ?status.code(), "cannot tell what came of an errand"),
            Err(_) => debug!("cannot tell what came of an errand in time"),
        }
    }
    // nobody runs errands any more
    std::future::pending().await
}

/// An errand that is understood here; `None`: one of a later version.
pub(super) fn errand_of(errand: pb::Errand) -> Option<Errand> {
    let deed = match errand.kind() {
        pb::ErrandKind::Test => Deed::Test,
        pb::ErrandKind::Models => Deed::Models,
        pb::ErrandKind::Balance => Deed::Balance,
        pb::ErrandKind::Unspecified => return None,
    };
    Some(Errand {
        id: errand.id,
        deed,
        channel: ChannelId::new(errand.channel_id),
        key: (errand.key_id != 0).then(|| ChannelKeyId::new(errand.key_id)),
        model: errand.model,
        config_seq: errand.config_seq,
    })
}

fn report_to_pb(report: Report) -> pb::ErrandReport {
    let told = pb::ErrandReport {
        errand_id: report.errand,
        ok: report.outcome.is_ok(),
        latency_ms: millis(report.latency),
        usage: Some(counters_to_pb(&report.usage())),
        ..pb::ErrandReport::default()
    };
    match report.outcome {
        Ok(Found::Answer(tried)) => {
            pb::ErrandReport { status: tried.status.into(), first_byte_ms: tried.first_byte.map_or(0, millis), ..told }
        }
        Ok(Found::Models(models)) => pb::ErrandReport { models, ..told },
        Ok(Found::Balance(balance)) => pb::ErrandReport { amount: balance.amount, currency: balance.currency, ..told },
        Err(trouble) => pb::ErrandReport {
            status: trouble.status.into(),
            error: trouble.word.to_owned(),
            message: trouble.message,
            evidence: trouble.evidence.map(evidence),
            ..told
        },
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
