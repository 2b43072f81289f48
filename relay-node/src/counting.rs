//! How many tokens a request has: asked upstream where somebody counts, else counted here (conversions.md §14).
//!
//! Free: nothing is held, charged or put on record, and no limit of requests or tokens is touched. Whoever may call the model may ask.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use rand::RngExt;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::exchange::{CountSurface, Request, Site};

use crate::admit;
use crate::app::RelayApp;
use crate::error::Refusal;
use crate::forward::Counting;
use crate::ingress::body::{self, Bounds};
use crate::ingress::request::{self, Asked};
use crate::ingress::{Call, admitted, reply};
use crate::meter;
use crate::observed::Observed;
use crate::plan;
use crate::responses::Previous;

/// Answers how many tokens a request has. `surface` and `model` are what the address says.
///
/// # Errors
/// When the caller may not ask, the request is none, or those who count failed.
pub(crate) async fn serve(
    app: &RelayApp,
    call: &Call<'_>,
    body: &mut Body,
    (surface, model): (CountSurface, Option<&str>),
    seen: &mut Observed,
) -> Result<Response<Body>, Refusal> {
    let admitted = admitted(app, call, seen).await?;
    let payload = body::read(body, &call.head.headers, Bounds::of(app), &app.bytes).await?;
    let count = request::read_count(payload.bytes.clone(), (surface, model), app.view.sealer()).await?;
    let asked = Asked { request: Arc::clone(count.request()), prompt: 0 };
    seen.asked(asked.request.facts());
    let table = app.view.table();
    admit::check_model(&admitted, &table, &asked.request.facts().model, asked.request.plain_model())?;
    let now = app.clock.read().boot_millis;
    let previous = Previous::of(app, &admitted, &asked.request).await;
    let planned = plan::make(&table, &admitted, (&asked, &previous), &app.engine, now)?;
    let mut rng = app.chance.rng();
    let site =
        Site { sealer: app.view.sealer(), ids: IdMaker::new(rng.random()), now: call.started.wall.0 / 1_000, shows_usage: false };
    let counting =
        Counting { app, count: &count, hints: call.hints(), settings: &table.settings, site, previous, observed: seen };
    if let Some(answer) = counting.run(planned.plan, &mut rng).await? {
        return Ok(reply::json(StatusCode::OK, answer));
    }
    let tokens = counted_here(app, &asked.request).await;
    Ok(reply::estimated(reply::json(StatusCode::OK, surface.answer(tokens))))
}

/// By the model's vocabulary where it is known, else by weights.
async fn counted_here(app: &RelayApp, request: &Arc<Request>) -> u64 {
    let exact = match app.engine.counter.prompt(request) {
        Some(counting) => counting.await,
        None => None,
    };
    exact.unwrap_or_else(|| meter::estimate(request))
}
