//! The record of a request at its beginning: everything that is known before the first upstream byte.

use sluice_domain::{Outcome, Quota, RequestRecord, Usage};
use sluice_routing::Candidate;
use sluice_snapshot::Table;

use crate::admit::Admitted;
use crate::forward::Named;
use crate::hold::Held;
use crate::ingress::Call;
use crate::ingress::request::Asked;

/// The intent: what is charged to whom should this process die before the end.
#[must_use]
pub fn intent(
    call: &Call<'_>,
    table: &Table,
    admitted: &Admitted,
    asked: &Asked,
    (first, named): (&Candidate, Named<'_>),
    held: &Held,
) -> RequestRecord {
    let facts = asked.request.facts();
    RequestRecord {
        request_id: call.stamp.request_id.clone(),
        user_id: admitted.caller.user.id,
        token_id: admitted.caller.token.id,
        charges: held.reservation.charges(),
        quota: Quota::ZERO,
        held: held.reservation.held(),
        config_lineage: table.version.lineage.clone(),
        config_seq: table.version.seq,
        model: facts.model.clone(),
        upstream_model: named.model.to_owned(),
        group: admitted.group.clone(),
        channel_id: Some(first.channel.id),
        usage: Usage::default(),
        usage_estimated: false,
        outcome: Outcome::Orphaned,
        error_code: String::new(),
        status: 0,
        dialect: call.stamp.shape.dialect(),
        path: asked.request.surface().path().to_owned(),
        stream: facts.stream,
        started_at: call.started.wall,
        total_millis: 0,
        first_byte_millis: None,
        attempts: Vec::new(),
        client_ip: call.client.to_string(),
        upstream_request_id: String::new(),
        output_limit: held.output_limit,
    }
}
