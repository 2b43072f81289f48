//! Proving a channel's key on a request that is ready to be sent.

use bytes::Bytes;
use secrecy::SecretString;
use sluice_providers::sign::SignError;
use sluice_providers::{Provider, Target};
use sluice_upstream::Route;

use super::Journey;
use super::engine::Parts;
use super::failure::Failure;
use super::seen::Fault;
use super::tokens::NoToken;

impl Journey {
    /// Proves the key of the channel that is asked.
    pub(super) async fn prove(
        &self,
        provider: &Provider,
        secret: &SecretString,
        route: &Route,
        target: (&mut Target, &Bytes),
    ) -> Result<(), Failure> {
        self.app.engine.prove(provider, secret, self.app.clock.read().wall.0 / 1_000, route, target).await
    }
}

impl Parts {
    /// Proves the key: signs address, headers and body as they are, or puts in the token that the key is exchanged for. Most keys were
    /// put as a header before, and need nothing.
    pub(super) async fn prove(
        &self,
        provider: &Provider,
        secret: &SecretString,
        now_secs: i64,
        route: &Route,
        (target, body): (&mut Target, &Bytes),
    ) -> Result<(), Failure> {
        if !provider.needs_proof() {
            return Ok(());
        }
        let token = match provider.token_request(secret, now_secs).map_err(|error| unproven(&error))? {
            Some(made) => Some(self.tokens.of(&self.client, route, made).await.map_err(no_token)?),
            None => None,
        };
        provider.prove(target, secret, token.as_ref(), body, now_secs).map_err(|error| unproven(&error))
    }
}

fn unproven(error: &SignError) -> Failure {
    match error {
        SignError::Key(_) | SignError::PrivateKey => {
            Failure::not_made("the channel's key cannot be used", Some(Fault::Key)).with_detail(|| error.to_string())
        }
        SignError::Time | SignError::Request => Failure::not_made("the request for the channel cannot be signed", None),
    }
}

fn no_token(error: NoToken) -> Failure {
    match error {
        NoToken::Sent(error) => Failure::not_sent(&error),
        NoToken::Refused(status, error) => Failure::no_token(status, &error),
        NoToken::Unreadable => Failure::no_token_read(),
    }
}
