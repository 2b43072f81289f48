//! The journey of a request, on one screen.
//!
//! `Call → Caller → Admitted → Asked → Planned → Held → Bill → Answered → record`. Each stage takes what is known and returns what
//! is known then. Up to the bill a request leaves no trace but its access line; from the bill on it has exactly one record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Response;
use rand::rngs::SmallRng;
use sluice_routing::Candidate;
use sluice_snapshot::Table;
use tokio::time::timeout;

use crate::admit::limits::{self, Kept, Rates};
use crate::admit::{self, Admitted};
use crate::app::RelayApp;
use crate::auth;
use crate::error::{Kind, Refusal};
use crate::forward::{Answered, Good, Journey, Terms};
use crate::hold::{self, Held};
use crate::ingress::Call;
use crate::ingress::body::{self, Bounds, Payload};
use crate::ingress::request::{self, Asked, Interface};
use crate::meter::{Bill, Ending, Opening, intent};
use crate::observed::Observed;
use crate::plan::{self, Planned};
use crate::responses::Previous;
use crate::spool::Permit;
use crate::stream::{Delivery, Forwarding};

/// Nothing stands in its way any more.
struct Ready {
    table: Arc<Table>,
    admitted: Admitted,
    payload: Payload,
    asked: Asked,
    planned: Planned,
    first: Candidate,
    rng: SmallRng,
    permit: Permit,
    held: Held,
    kept: Kept,
    previous: Previous,
}

/// Serves one request for a model's answer.
pub async fn serve(
    app: &RelayApp,
    call: &Call<'_>,
    body: &mut Body,
    interface: Interface,
    mut observed: Observed,
) -> Response<Body> {
    let mut rates = Rates::default();
    let opened = match prepare(app, call, (body, interface), &mut observed, &mut rates).await {
        Ok(ready) => open(app, call, ready, observed),
        Err(refusal) => {
            observed.refused(&refusal);
            Err(refusal)
        }
    };
    let mut response = match opened {
        Ok((journey, first, bill)) => answer(call, journey, first, bill).await,
        Err(refusal) => call.stamp.refuse(&refusal),
    };
    rates.put_on(response.headers_mut());
    response
}

/// Everything that can be refused without a trace.
async fn prepare(
    app: &RelayApp,
    call: &Call<'_>,
    (body, interface): (&mut Body, Interface),
    seen: &mut Observed,
    rates: &mut Rates,
) -> Result<Ready, Refusal> {
    let table = app.view.table();
    let caller = auth::identify(&app.view, call.presented_key().as_deref()).await?;
    seen.caller(&caller);
    let admitted = admit::check(caller, &table, call.client, app.view.corrected(call.started.wall))?;
    let payload = body::read(body, &call.head.headers, Bounds::of(app), &app.bytes).await?;
    let asked = request::read(payload.bytes.clone(), interface, app.view.sealer()).await?;
    seen.asked(asked.request.facts());
    let model = &asked.request.facts().model;
    admit::check_model(&admitted, &table, model, asked.request.plain_model())?;
    let usual = app.engine.lengths.usual(model.as_str());
    let mut kept = limits::take(&app.limits, &table, (&admitted, &asked), usual, rates).await?;
    let now = app.clock.read().boot_millis;
    let previous = Previous::of(app, &admitted, &asked.request).await;
    let mut planned = plan::make(&table, &admitted, (&asked, &previous), &app.engine, now)?;
    let mut rng = app.chance.rng();
    let permit =
        app.spool.permit().map_err(|_| Refusal::new(Kind::SpoolFull, "the relay cannot record the request, try again"))?;
    let held = hold::reserve(&app.quotas, &table.settings, (&admitted, &asked), &planned.rate, usual).await?;
    let first = limits::first_within(&mut kept, &mut planned.plan, &mut rng).await?;
    Ok(Ready { table, admitted, payload, asked, planned, first, rng, permit, held, kept, previous })
}

/// Puts the request on record.
fn open(app: &RelayApp, call: &Call<'_>, ready: Ready, observed: Observed) -> Result<(Journey, Candidate, Box<Bill>), Refusal> {
    let Ready { table, admitted, payload, asked, planned, first, rng, permit, held, kept, previous } = ready;
    let named = app.engine.named(&first.channel, &asked.request, &table.settings);
    let intent = intent(call, &table, &admitted, &asked, (&first, named), &held);
    let (rate, prompt, clock, lengths) = (planned.rate, asked.prompt, app.clock.clone(), app.engine.lengths.clone());
    let (output_limit, choices) = (held.output_limit, asked.request.facts().choices);
    app.metrics.requests.clamped.add(u64::from(output_limit.is_some()));
    let bill = Bill::open(
        Opening { intent, held, kept, permit, rate, prompt, choices, started: call.started, clock, lengths },
        observed,
    )?;
    let (settings, owner) = (table.settings.clone(), admitted.caller.user.id);
    let terms = Terms { settings, shows_channel: admitted.may_know_channels(), owner, previous, output_limit };
    let journey = Journey::new(app, call, terms, (asked.request, payload), (planned.plan, rng), bill.commitment());
    Ok((journey, first, bill))
}

/// Gets an answer and gives it to the caller.
async fn answer(call: &Call<'_>, journey: Journey, first: Candidate, bill: Box<Bill>) -> Response<Body> {
    let first_ping = journey.app.engine.timing.first_ping;
    let (is_committed, delivery) = (Arc::clone(&journey.is_committed), Delivery::of(&journey, call.stamp.clone()));
    let mut forwarding = Forwarding::of(journey, first, bill);
    let Answered { outcome, mut bill } = if delivery.pings() {
        let Ok(answered) = timeout(first_ping, &mut forwarding).await else {
            is_committed.store(true, Ordering::Relaxed);
            return delivery.waiting(forwarding);
        };
        answered
    } else {
        forwarding.await
    };
    match outcome {
        Ok(Good::Stream(opened)) => delivery.stream(*opened, bill),
        Ok(Good::Whole(whole)) => delivery.whole(*whole, bill).await,
        Err(refusal) => {
            bill.settle(Ending::Failed(&refusal));
            call.stamp.refuse(&refusal)
        }
    }
}
