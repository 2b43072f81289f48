//! The journey of a request, on one screen.
//!
//! `Call → Caller → Admitted → Asked → Planned → Reservation → Bill → Answered → record`. Each stage takes what is known and returns what
//! is known then. Up to the bill a request leaves no trace but its access line; from the bill on it has exactly one record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Response;
use rand::rngs::SmallRng;
use sluice_dialect::openai::Surface;
use sluice_routing::{Candidate, Next};
use sluice_snapshot::Table;
use tokio::time::timeout;

use crate::admit::{self, Admitted};
use crate::app::RelayApp;
use crate::auth;
use crate::error::{Kind, Refusal};
use crate::forward::{Answered, Good, Journey};
use crate::ingress::Call;
use crate::ingress::body::{self, Bounds, Payload};
use crate::ingress::request::{self, Asked};
use crate::meter::{Bill, Ending, Opening, intent};
use crate::observed::Observed;
use crate::plan::{self, Planned};
use crate::quota::Reservation;
use crate::spool::Permit;
use crate::stream::Delivery;

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
    reservation: Reservation,
}

/// Serves one request for a model's answer.
pub async fn serve(app: &RelayApp, call: &Call<'_>, body: &mut Body, surface: Surface, mut observed: Observed) -> Response<Body> {
    let opened = match prepare(app, call, body, surface, &mut observed).await {
        Ok(ready) => open(app, call, ready, observed),
        Err(refusal) => {
            observed.refused(&refusal);
            Err(refusal)
        }
    };
    match opened {
        Ok((journey, first, bill)) => answer(call, journey, first, bill).await,
        Err(refusal) => call.stamp.refuse(&refusal),
    }
}

/// Everything that can be refused without a trace.
async fn prepare(
    app: &RelayApp,
    call: &Call<'_>,
    body: &mut Body,
    surface: Surface,
    seen: &mut Observed,
) -> Result<Ready, Refusal> {
    let table = app.view.table();
    let caller = auth::identify(&app.view, call.presented_key().as_deref()).await?;
    seen.caller(&caller);
    let admitted = admit::check(caller, &table, call.client, app.view.corrected(call.started.wall))?;
    let payload = body::read(body, &call.head.headers, Bounds::of(app), &app.bytes).await?;
    let asked = request::read(payload.bytes.clone(), surface).await?;
    seen.asked(asked.request.facts());
    admit::check_model(&admitted.caller.token, &asked.request.facts().model)?;
    let now = app.clock.read().boot_millis;
    let mut planned = plan::make(&table, &admitted, &asked, &app.engine.ejections, now)?;
    let mut rng = app.chance.rng();
    let first =
        planned.plan.next(Next::Channel, &mut rng).ok_or_else(|| Refusal::new(Kind::NoChannel, "no channel can be used"))?;
    let permit =
        app.spool.permit().map_err(|_| Refusal::new(Kind::SpoolFull, "the relay cannot record the request, try again"))?;
    let reservation = plan::reserve(&app.quotas, &admitted, &planned).await?;
    Ok(Ready { table, admitted, payload, asked, planned, first, rng, permit, reservation })
}

/// Puts the request on record.
fn open(app: &RelayApp, call: &Call<'_>, ready: Ready, observed: Observed) -> Result<(Journey, Candidate, Box<Bill>), Refusal> {
    let Ready { table, admitted, payload, asked, planned, first, rng, permit, reservation } = ready;
    let intent = intent(call, &table, &admitted, &asked, &first, &reservation);
    let (rate, prompt, clock) = (planned.rate, asked.prompt, app.clock.clone());
    let bill = Bill::open(Opening { intent, reservation, permit, rate, prompt, started: call.started, clock }, observed)?;
    let settings = (table.settings, admitted.may_know_channels());
    let journey = Journey::new(app, call, settings, (asked.request, payload), (planned.plan, rng), bill.commitment());
    Ok((journey, first, bill))
}

/// Gets an answer and gives it to the caller.
async fn answer(call: &Call<'_>, journey: Journey, first: Candidate, bill: Box<Bill>) -> Response<Body> {
    let (first_ping, is_stream) = (journey.app.engine.timing.first_ping, journey.request.facts().stream);
    let (is_committed, delivery) = (Arc::clone(&journey.is_committed), Delivery::of(&journey, call.stamp.clone()));
    let mut forwarding = Box::pin(journey.run(first, bill));
    let Answered { outcome, mut bill } = if is_stream {
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
