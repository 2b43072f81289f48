//! What channels do beyond sending requests on: read, judged, masked, sealed. What it means for a request is known to relays.

mod form;
mod headers;
mod mask;
mod overrides;
mod rules;

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sluice_domain::ChannelId;
use sluice_sealed::{Keyring, OpenError, Place, SealError};
use sluice_snapshot::{ChannelSettings, UnreadableSettings};

use crate::http::{ApiError, read_field};

pub(super) use form::Form;
pub(super) use rules::check;

/// The settings of a channel. Written down anywhere but in their own column (answers, the audit trail), their secrets are masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "ChannelSettings")]
pub struct Settings(Arc<ChannelSettings>);

/// Why the settings of a row cannot be read. Shows none of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The seal cannot be opened.
    #[error("cannot be opened")]
    Seal(#[from] OpenError),
    /// They are of a later version.
    #[error(transparent)]
    Text(#[from] UnreadableSettings),
}

impl From<ChannelSettings> for Settings {
    fn from(settings: ChannelSettings) -> Self {
        Self(Arc::new(settings))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        mask::masked(&self.0).serialize(serializer)
    }
}

impl Settings {
    /// As relays are told them.
    pub(crate) fn into_inner(self) -> Arc<ChannelSettings> {
        self.0
    }

    /// The model that the channel is tested with, where they name one.
    pub(crate) fn test_model(&self) -> Option<&str> {
        self.0.test_model.as_deref()
    }

    /// After a merge patch of their fields: what is left out stays, `null` unsets. A mask stands for what it hides.
    ///
    /// # Errors
    /// 422 when they are no settings, or a mask hides nothing that is kept.
    pub(super) fn patched(&self, patch: Map<String, Value>) -> Result<Self, ApiError> {
        let Value::Object(mut fields) = serde_json::to_value(&*self.0).map_err(ApiError::internal)? else {
            return Err(ApiError::internal("settings of a channel are no object"));
        };
        for (name, value) in patch {
            // a name that nobody knows stays in, to be refused below
            match value {
                Value::Null if fields.contains_key(&name) => drop(fields.shift_remove(&name)),
                Value::Null if is_known(&name) => {}
                value => drop(fields.insert(name, value)),
            }
        }
        let mut settings: ChannelSettings = read_field("settings", Value::Object(fields))?;
        mask::unmask(&mut settings, &self.0)?;
        Ok(Self(Arc::new(settings)))
    }

    /// As they stand in the database; `None` where nothing is set.
    pub(super) fn seal(&self, keyring: &Keyring, channel: ChannelId) -> Result<Option<String>, SealError> {
        if self.0.is_default() {
            return Ok(None);
        }
        keyring.seal_text(&place(channel), &SecretString::from(self.0.to_text())).map(Some)
    }

    /// Reads what [`Settings::seal`] made.
    ///
    /// # Errors
    /// When it is damaged, sealed for another channel or with another secret, or of a later version.
    pub(crate) fn open(keyring: &Keyring, channel: ChannelId, sealed: Option<&str>) -> Result<Self, Unreadable> {
        let Some(sealed) = sealed else { return Ok(Self::default()) };
        let text = keyring.open_text(&place(channel), sealed)?;
        Ok(ChannelSettings::from_text(text.expose_secret())?.into())
    }
}

const fn place(channel: ChannelId) -> Place<'static> {
    Place::row("channels", "sealed_settings", channel.get())
}

/// Whether there is a field of this name: one that is not known is refused before its value is looked at.
fn is_known(name: &str) -> bool {
    let alone = Map::from_iter([(name.to_owned(), Value::Null)]);
    let refused = serde_json::from_value::<ChannelSettings>(Value::Object(alone)).err();
    refused.is_none_or(|error| !error.to_string().starts_with("unknown field"))
}

#[cfg(test)]
mod tests;
