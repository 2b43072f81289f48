//! The journey of a request, on one screen.
//!
//! `Call → Caller → Admitted → Asked → Planned → Reservation → Bill → Answered → record`. Each stage takes what is known and returns what
//! is known then. Up to the bill a request leaves no trace but its access line; from the bill on it has exactly one record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Response;
use rand::rngs::SmallRng;
use sluice_dialect::openai::Surface;
use sluice_domain::Role;
use sluice_routing::{Candidate, Next};
use sluice_snapshot::Table;
use tokio::time::{Instant, timeout};

use crate::admit::{self, Admitted};
use crate::app::RelayApp;
use crate::auth;
use crate::error::{Kind, Refusal};
use crate::forward::{Answered, Journey};
use crate::ingress::body::{self, Bounds, Payload};
use crate::ingress::request::{self, Asked};
use crate::ingress::{Call, reply};
use crate::meter::{Bill, Ending, Opening};
use crate::observed::Observed;
use crate::plan::{self, Planned};
use crate::quota::Reservation;
use crate::spool::Permit;
use crate::stream::{Delivery, Pump};

/// Everything that could still be refused without a trace is decided.
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
    let refusal = match prepare(app, call, body, surface, &mut observed).await {
        Ok(ready) => match open(app, call, ready, observed) {
            Ok((journey, first, bill, shows_channel)) => return answer(call, journey, first, bill, shows_channel).await,
            Err((refusal, unopened)) => {
                observed = unopened;
                refusal
            }
        },
        Err(refusal) => refusal,
    };
    observed.refused(refusal.kind, refusal.status());
    call.stamp.refuse(&refusal)
}

async fn prepare(app: &RelayApp, call: &Call<'_>, body: &mut Body, surface: Surface, observed: &mut Observed) -> Result<Ready, Refusal> {
    let table = app.view.table();
    let caller = auth::identify(&app.view, call.presented_key().as_deref()).await?;
    observed.caller(&caller);
    let admitted = admit::check(caller, &table, call.client, call.started.wall)?;
    let bounds = Bounds { max_bytes: app.settings.requests.max_body_bytes, idle: app.engine.timing.body_idle };
    let payload = body::read(body, &call.head.headers, bounds, &app.bytes).await?;
    let asked = request::read(payload.bytes.clone(), surface).await?;
    observed.asked(asked.request.facts());
    admit::check_model(&admitted.caller.token, &asked.request.facts().model)?;
    let now = app.clock.read().boot_millis;
    let mut planned = plan::make(&table, &admitted, &asked, &app.engine.ejections, now)?;
    let mut rng = app.chance.rng();
    let first = planned.plan.next(Next::Channel, &mut rng).ok_or_else(|| Refusal::new(Kind::NoChannel, "no channel can be used"))?;
    let permit = app.spool.permit().map_err(|_| Refusal::new(Kind::SpoolFull, "the relay cannot record the request, try again"))?;
    let reservation = plan::reserve(&app.quotas, &admitted, &planned).await?;
    Ok(Ready { table, admitted, payload, asked, planned, first, rng, permit, reservation })
}

type Opened = (Journey, Candidate, Bill, bool);

fn open(app: &RelayApp, call: &Call<'_>, ready: Ready, observed: Observed) -> Result<Opened, (Refusal, Observed)> {
    let Ready { table, admitted, payload, asked, planned, first, rng, permit, reservation } = ready;
    let intent = crate::meter::intent(call, &table, &admitted, &asked, &first, &reservation);
    let (rate, prompt, clock) = (planned.rate, asked.prompt, app.clock.clone());
    let bill = Bill::open(Opening { intent, reservation, permit, rate, prompt, started: call.started, clock }, observed)?;
    let journey = Journey {
        engine: app.engine.clone(),
        budget: app.bytes.clone(),
        metrics: app.metrics.requests.clone(),
        clock: app.clock.clone(),
        request: asked.request,
        payload,
        hints: call.hints(),
        settings: table.settings,
        plan: planned.plan,
        rng,
        deadline: app.engine.timing.answer.map(|limit| Instant::now() + limit),
        is_committed: Arc::new(AtomicBool::new(false)),
    };
    Ok((journey, first, bill, admitted.caller.user.role >= Role::Admin))
}

async fn answer(call: &Call<'_>, journey: Journey, first: Candidate, bill: Bill, shows_channel: bool) -> Response<Body> {
    let (first_ping, is_stream) = (journey.engine.timing.first_ping, journey.request.facts().stream);
    let (is_committed, delivery) = (Arc::clone(&journey.is_committed), Delivery::of(&journey, call.stamp.clone()));
    let mut forwarding = Box::pin(journey.run(first, bill));
    let answered = if is_stream {
        match timeout(first_ping, &mut forwarding).await {
            Ok(answered) => answered,
            Err(_) => {
                is_committed.store(true, Ordering::Relaxed);
                return reply::stream(Pump::waiting(forwarding, delivery), None);
            }
        }
    } else {
        forwarding.await
    };
    match answered {
        Ok(Answered::Stream(opened, bill)) => {
            let channel = shows_channel.then_some(opened.channel);
            reply::stream(Pump::running(opened, bill, delivery), channel)
        }
        Ok(Answered::Whole(whole, bill)) => {
            delivery.settle_whole(&whole, bill).await;
            let channel = shows_channel.then_some(whole.channel);
            reply::whole(whole, channel)
        }
        Err(mut unanswered) => {
            unanswered.bill.settle(Ending::Failed(&unanswered.refusal));
            call.stamp.refuse(&unanswered.refusal)
        }
    }
}
