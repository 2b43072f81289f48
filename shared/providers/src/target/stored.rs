//! Where a stored response is asked for: under the address that responses are made at.

use http::Method;
use http::header::CONTENT_TYPE;

use super::{CallError, ChannelAddress, ClientHints, Target};
use crate::{Capability, Provider};

/// What is wanted of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredCall {
    /// The response, or the events that it was told in.
    Retrieve,
    /// That it is not stored any longer.
    Delete,
    /// That it is not made any further.
    Cancel,
    /// What it was made of.
    InputItems,
}

impl StoredCall {
    const fn method(self) -> Method {
        match self {
            Self::Retrieve | Self::InputItems => Method::GET,
            Self::Delete => Method::DELETE,
            Self::Cancel => Method::POST,
        }
    }

    /// What follows the id.
    const fn step(self) -> Option<&'static str> {
        match self {
            Self::Retrieve | Self::Delete => None,
            Self::Cancel => Some("cancel"),
            Self::InputItems => Some("input_items"),
        }
    }

    /// The parameters of a caller's query that are sent on.
    const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Retrieve => &["include", "include[]", "include%5B%5D", "include_obfuscation", "starting_after", "stream"],
            Self::InputItems => &["after", "before", "include", "include[]", "include%5B%5D", "limit", "order"],
            Self::Delete | Self::Cancel => &[],
        }
    }
}

impl Provider {
    /// The address and headers for a stored response. `model` is the upstream's name of the model that made it; of the caller's query, what the
    /// call knows is sent on.
    ///
    /// # Errors
    /// When the provider has no responses of its own there, or the parts do not make a request.
    pub fn stored_call(
        &self,
        channel: &ChannelAddress<'_>,
        (call, id): (StoredCall, &str),
        model: &str,
        is_streamed: bool,
        client: &ClientHints<'_>,
    ) -> Result<Target, CallError> {
        let mut target = self.call(channel, Capability::Responses, model, is_streamed, client)?;
        target.method = call.method();
        if target.method != Method::POST {
            target.headers.remove(CONTENT_TYPE);
        }
        if !target.url.path().ends_with("/responses") {
            return Err(self.not_served(Capability::Responses));
        }
        if let Ok(mut steps) = target.url.path_segments_mut() {
            steps.push(id).extend(call.step());
        }
        let of_caller = client.query.unwrap_or_default().split('&');
        let known = of_caller.filter(|pair| call.parameters().contains(&pair.split('=').next().unwrap_or_default()));
        let query: Vec<&str> = target.url.query().into_iter().chain(known).collect();
        let query = query.join("&");
        target.url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        Ok(target)
    }
}
