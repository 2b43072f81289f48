//! From a presented key to the caller behind it.

use std::sync::Arc;

use sluice_domain::PresentedKey;
use sluice_domain::key::ChannelPin;
use sluice_snapshot::{Token, User};

use crate::error::{Kind, Refusal};
use crate::view::{IdentifyError, View};

/// Who calls. Whether they may is not decided yet.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token the key belongs to.
    pub token: Arc<Token>,
    /// Its owner.
    pub user: Arc<User>,
    /// The channel named after the key, if any.
    pub pin: Option<ChannelPin>,
}

/// Finds the caller of a request. Without a wait when the token is known here.
///
/// # Errors
/// When there is no key, when nobody has it, or when that cannot be told now.
pub async fn identify(view: &View, presented: Option<&str>) -> Result<Caller, Refusal> {
    let key = presented.and_then(PresentedKey::parse).ok_or_else(|| {
        Refusal::new(Kind::MissingKey, "no API key was given: send it in the header `Authorization: Bearer sk-...`")
    })?;
    let digest = view
        .digest(key.secret())
        .ok_or_else(|| Refusal::new(Kind::ConfigNotReady, "the relay has no configuration yet, try again"))?;
    match view.identify(&digest).await {
        Ok(identity) => Ok(Caller { token: identity.token, user: identity.user, pin: key.pin }),
        Err(IdentifyError::Unknown) => Err(Refusal::new(Kind::UnknownKey, "the API key is not valid")),
        Err(IdentifyError::NotKnown) => {
            Err(Refusal::new(Kind::AuthorityUnavailable, "the API key cannot be checked at the moment, try again"))
        }
    }
}
