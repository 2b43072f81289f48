//! One attempt at exactly one channel and key, on nobody's account: the way of every request, outside of plans, limits, money and
//! ejections, and without a word to whoever watches over channels.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Incoming, Request};
use sluice_domain::{Usage, UserId};
use sluice_routing::{Candidate, Plan};
use tokio::time::Instant;

use super::answerer::Answerer;
use super::failure::Failure;
use super::{Evidence, Good, Journey, Terms};
use crate::admit::limits::Kept;
use crate::app::RelayApp;
use crate::error::{Kind, Refusal};
use crate::ingress::body::Payload;
use crate::ingress::reply::Stamp;
use crate::ingress::{Call, Shape};
use crate::meter::Bill;
use crate::metrics::ByInterface;
use crate::observed::Observed;
use crate::responses::Previous;

/// Characters of a message that are told.
const MOST_MESSAGE: usize = 256;
/// Whose a trial is: nothing of it is kept for anybody.
const NOBODY: UserId = UserId::new(0);

/// Why something that was tried failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A word of ours.
    pub word: &'static str,
    /// For people: never a key or an address. What was asked is ours, so it repeats nobody's prompt.
    pub message: String,
    /// The upstream's status; 0: it did not answer.
    pub status: u16,
    /// What it said, for the rules by which channels are switched off.
    pub evidence: Option<Evidence>,
}

impl Trouble {
    /// Something that is not the upstream's.
    #[must_use]
    pub fn ours(word: &'static str, message: impl Into<String>) -> Self {
        Self { word, message: message.into(), status: 0, evidence: None }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let Failure { refusal, status, word, evidence, detail, .. } = failure;
        let message = match refusal.upstream {
            Some(passed) => passed.error.message,
            None if detail.is_empty() || detail == refusal.message => refusal.message.into_owned(),
            None => format!("{}: {detail}", refusal.message),
        };
        Self { word, message: message.chars().take(MOST_MESSAGE).collect(), status, evidence }
    }
}

impl From<Box<Failure>> for Trouble {
    fn from(failure: Box<Failure>) -> Self {
        (*failure).into()
    }
}

/// A good answer, as far as anybody wants to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Its status.
    pub status: u16,
    /// How long its beginning took.
    pub first_byte: Option<Duration>,
    /// What it used, where the upstream says so.
    pub usage: Usage,
}

/// Sends a request to one channel with one key and reads its answer, not streamed.
///
/// # Errors
/// When there is no good answer within the time.
pub async fn attempt(
    app: &RelayApp,
    candidate: &Candidate,
    (surface, body): (Surface, Bytes),
    patience: Duration,
) -> Result<Tried, Trouble> {
    let (head, ()) = http::Request::new(()).into_parts();
    let (started, mut rng, client) = (app.clock.read(), app.chance.rng(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let request_id = app.chance.request_id(started.wall, &mut rng);
    let stamp = Stamp { request_id: request_id.clone(), shape: Shape::Dialect(surface.dialect()) };
    let call = Call { head: &head, stamp, client, started };
    let request = Request::read(Incoming { surface, body: body.clone(), model: None, form: None }, &app.view.sealer());
    let request = Arc::new(request.map_err(|error| Trouble::ours("invalid_request", error.to_string()))?);
    let payload = Payload::of(body, &app.bytes).map_err(Failure::callers)?;
    let mut observed = Observed::new(app, request_id, ByInterface::Other, client);
    observed.asked(request.facts());
    let mut bill = Bill::of_nobody(request.facts().model.as_str(), Kept::nothing(&app.limits), observed, app);
    let settings = app.view.table().settings.clone();
    let (owner, previous, output_limit) = (NOBODY, Previous::None, None);
    let terms = Terms { settings, shows_channel: true, owner, previous, output_limit };
    let mut journey = Journey::new(app, &call, terms, (request, payload), (Plan::default(), rng), bill.commitment());
    journey.is_trial = true;
    journey.deadline = Some(Instant::now() + patience);
    let answerer = Answerer::begins(&journey, candidate, 1);
    match journey.attempt(candidate, &answerer, &mut bill).await? {
        Good::Whole(whole) => {
            let usage = bill.tally().whole(0, 0).usage;
            Ok(Tried { status: whole.status.as_u16(), first_byte: bill.waited(), usage })
        }
        Good::Stream(_) => {
            let refusal = Refusal::new(Kind::BadResponse, "the upstream answered with a stream nobody asked for");
            Err(Failure::callers(refusal).into())
        }
    }
}
