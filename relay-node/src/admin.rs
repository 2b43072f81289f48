//! What people look into on the operations port. Behind that port only: it names channels and says how requests are routed.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use sluice_routing::{Ask, LeftOut, NoPlan, plan};
use sluice_snapshot::Channel;

use crate::app::RelayApp;

/// `/debug/plan?group=&model=`: who would be tried, and why not the others.
pub(crate) fn debug_router(app: RelayApp) -> Router {
    Router::new().route("/debug/plan", get(show_plan)).with_state(app)
}

#[derive(Debug, Deserialize)]
struct PlanQuery {
    #[serde(default)]
    group: String,
    #[serde(default)]
    model: String,
}

#[derive(Debug, Serialize)]
struct PlanView {
    config_seq: i64,
    /// In tiers from the highest priority down; within a tier chance decides by weight.
    channels: Vec<ChannelView>,
    left_out: Vec<LeftOutView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChannelView {
    id: i64,
    name: String,
    provider: String,
    priority: i64,
    weight: u32,
    usable_keys: usize,
    upstream_model: String,
}

#[derive(Debug, Serialize)]
struct LeftOutView {
    id: i64,
    reason: &'static str,
}

async fn show_plan(State(app): State<RelayApp>, Query(query): Query<PlanQuery>) -> Response {
    if query.group.is_empty() || query.model.is_empty() {
        return (StatusCode::BAD_REQUEST, "give group and model: /debug/plan?group=default&model=gpt-4o\n").into_response();
    }
    let table = app.view.table();
    let boot_millis = app.clock.read().boot_millis;
    let ask = Ask { group: &query.group, model: &query.model, pin: None, bound: None };
    let recent = app.engine.ejections.recent(boot_millis);
    let planned = plan(&table, ask, |channel, key| recent.standing((channel, key), &query.model));
    drop(recent);
    let config_seq = table.version.seq;
    Json(match planned {
        Ok(plan) => PlanView {
            config_seq,
            channels: plan.channels().map(|channel| channel_view(channel, &query.model)).collect(),
            left_out: plan.left_out().iter().map(left_out_view).collect(),
            problem: None,
        },
        Err(problem) => {
            let text = problem.to_string();
            let left_out = if let NoPlan::NoneUsable(left_out) = problem { left_out } else { Vec::new() };
            PlanView {
                config_seq,
                channels: Vec::new(),
                left_out: left_out.iter().map(left_out_view).collect(),
                problem: Some(text),
            }
        }
    })
    .into_response()
}

fn channel_view(channel: &Arc<Channel>, model: &str) -> ChannelView {
    ChannelView {
        id: channel.id.get(),
        name: channel.name.clone(),
        provider: channel.provider.clone(),
        priority: channel.priority,
        weight: channel.weight,
        usable_keys: channel.keys.iter().filter(|key| key.status.is_enabled()).count(),
        upstream_model: channel.upstream_model(model).to_owned(),
    }
}

fn left_out_view(left_out: &LeftOut) -> LeftOutView {
    LeftOutView { id: left_out.channel.get(), reason: left_out.reason.as_str() }
}
