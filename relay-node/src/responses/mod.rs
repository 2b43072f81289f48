//! Responses that upstreams store (relay-api.md §13.1): whose they are, where they are, and how their owners get at them.
//!
//! A relay keeps nothing of a response itself. It remembers, for as long as providers usually store them, which channel and key made it
//! ([`Bindings`]); its owner may then fetch, cancel and delete it, and go on from it. Another's response, and one that nobody knows, is not
//! found. All this is free: nothing is generated. A response that is made in the background is refused, because what it costs would be known
//! only to who fetches it, if anybody ever does.

mod bindings;
mod passing;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use sluice_dialect::exchange::Request;
use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_providers::StoredCall;
use sluice_routing::Candidate;
use sluice_snapshot::Table;

pub use self::bindings::{Binding, Bindings, ResponseId};
use crate::admit::Admitted;
use crate::app::RelayApp;
use crate::error::{Kind, Refusal};
use crate::forward::Stored;
use crate::ingress::{Call, admitted};
use crate::observed::Observed;

/// What is known of the response that a request goes on from.
#[derive(Debug, Clone, Default)]
pub enum Previous {
    /// It goes on from none.
    #[default]
    None,
    /// It is stored there.
    At(Arc<Binding>),
    /// Its caller has no such response.
    Unknown(Box<str>),
    /// Where it is cannot be asked now.
    NotKnownNow,
}

impl Previous {
    /// Finds out where the response is that a request goes on from.
    pub(crate) async fn of(app: &RelayApp, admitted: &Admitted, request: &Request) -> Self {
        let Some(id) = request.storing().previous else { return Self::None };
        let Some(known) = ResponseId::parse(&id) else { return Self::Unknown(id.into()) };
        match app.responses.find(admitted.caller.user.id, &known).await {
            // who names a channel has asked for that one
            Ok(Some(binding)) if admitted.pin.is_none_or(|pin| pin == binding.channel) => Self::At(binding),
            Ok(_) => Self::Unknown(id.into()),
            Err(_) => Self::NotKnownNow,
        }
    }

    /// The only channel and key that can serve the request.
    #[must_use]
    pub fn place(&self) -> Option<(ChannelId, ChannelKeyId)> {
        match self {
            Self::At(binding) => Some(binding.place()),
            Self::None | Self::Unknown(_) | Self::NotKnownNow => None,
        }
    }

    /// What a caller is told whose request was to go on there where it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::None | Self::At(_) => None,
            Self::Unknown(id) => Some(previous_not_found(id)),
            Self::NotKnownNow => Some(not_known_now()),
        }
    }
}

/// What a caller is told who goes on from a response that is not there, or not there any more.
#[must_use]
pub fn previous_not_found(id: &str) -> Refusal {
    let message = format!("Previous response with id '{}' not found.", shown(id));
    Refusal::new(Kind::PreviousNotFound, message).with_param("previous_response_id")
}

/// Refuses what cannot be charged.
///
/// # Errors
/// When the request wants its answer to be made in the background.
pub fn check_background(request: &Request) -> Result<(), Refusal> {
    if !request.storing().is_background {
        return Ok(());
    }
    let message = "`background` responses are not served: what they cost is known only to who fetches them; leave it out, and stream \
                   answers that take long";
    Err(Refusal::new(Kind::InvalidRequest, message).with_param("background"))
}

/// Answers what is wanted of a stored response.
///
/// # Errors
/// When the caller may not ask, has no such response, or its upstream refuses.
pub(crate) async fn serve(
    app: &RelayApp,
    call: &Call<'_>,
    (wanted, id): (StoredCall, &str),
    seen: &mut Observed,
) -> Result<Response<Body>, Refusal> {
    let admitted = admitted(app, call, seen).await?;
    let owner = admitted.caller.user.id;
    let known = ResponseId::parse(id).ok_or_else(|| not_found(id))?;
    let found = app.responses.find(owner, &known).await.map_err(|_| not_known_now())?;
    let binding = found.ok_or_else(|| not_found(id))?;
    let table = app.view.table();
    let candidate = candidate(&table, &binding).ok_or_else(|| not_found(id))?;
    let stored = Stored {
        app,
        call: (wanted, known.as_str()),
        model: &binding.model,
        hints: call.hints(),
        settings: &table.settings,
        observed: seen,
    };
    let answer = stored.ask(&candidate).await?;
    if wanted == StoredCall::Delete {
        app.responses.forget(owner, &known).await;
    }
    let channel = admitted.may_know_channels().then_some(candidate.channel.id);
    passing::pass(app, answer, channel).await
}

/// The channel and key of a binding, as long as they may be used.
fn candidate(table: &Table, binding: &Binding) -> Option<Candidate> {
    let channel = table.channel(binding.channel).filter(|channel| channel.status.is_enabled())?;
    let key = channel.keys.iter().find(|key| key.id == binding.key && key.status.is_enabled())?;
    Some(Candidate { channel: Arc::clone(channel), key: key.clone() })
}

fn not_found(id: &str) -> Refusal {
    Refusal::new(Kind::ResponseNotFound, format!("Response with id '{}' not found.", shown(id)))
}

fn not_known_now() -> Refusal {
    Refusal::new(Kind::AuthorityUnavailable, "where this response is stored cannot be found out at the moment, try again")
}

/// An id as it may be repeated: what cannot be one is not.
fn shown(id: &str) -> &str {
    ResponseId::parse(id).map_or("", |_| id)
}
