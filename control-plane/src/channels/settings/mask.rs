//! What is shown of settings: everything but secrets, and how a mask that comes back is read.
//!
//! A mask stands for a secret only where it hid it: at the same address, under the same header. Otherwise whoever sees masks could send
//! the secret elsewhere.

use sluice_snapshot::ChannelSettings;
use url::Url;

use super::headers::{is_rule, is_secret_name};
use crate::http::{ApiError, Rules};

/// Stands for a secret.
const MASK: &str = "***";
const NOT_KEPT: &str = "must be given with its secret: *** stands for one only where it was shown";

/// The same settings without secrets: passwords of proxies, and headers that hold a key of their own.
pub(super) fn masked(settings: &ChannelSettings) -> ChannelSettings {
    let header = |(name, value): (&String, &String)| {
        let value = if is_secret_header(name, value) { MASK } else { value };
        (name.clone(), value.to_owned())
    };
    ChannelSettings {
        header_override: settings.header_override.iter().map(header).collect(),
        proxy: settings.proxy.as_deref().map(masked_proxy),
        media_proxy: settings.media_proxy.as_deref().map(masked_proxy),
        ..settings.clone()
    }
}

/// Puts what is kept in the place of masks.
pub(super) fn unmask(settings: &mut ChannelSettings, kept: &ChannelSettings) -> Result<(), ApiError> {
    let mut rules = Rules::new();
    for (name, value) in
        settings.header_override.iter_mut().filter(|(name, value)| is_secret_header(name, value) && *value == MASK)
    {
        match kept.header_override.get(name).filter(|kept| is_secret_header(name, kept)) {
            Some(kept) => value.clone_from(kept),
            None => rules.refuse(&format!("settings.header_override.{name}"), "masked", NOT_KEPT),
        }
    }
    for (field, proxy, kept) in [
        ("settings.proxy", &mut settings.proxy, &kept.proxy),
        ("settings.media_proxy", &mut settings.media_proxy, &kept.media_proxy),
    ] {
        let Some(given) = proxy else { continue };
        match kept.as_ref().filter(|kept| masked_proxy(kept) == *given) {
            Some(kept) => given.clone_from(kept),
            None if has_mask(given) => rules.refuse(field, "masked", NOT_KEPT),
            None => {}
        }
    }
    rules.done()
}

/// Whether a header holds a key of its own, rather than the channel's, the caller's or none.
fn is_secret_header(name: &str, value: &str) -> bool {
    let has_place = ["{api_key}", "{client_header:"].iter().any(|place| value.contains(place));
    !is_rule(name) && is_secret_name(name) && !has_place && !value.is_empty()
}

/// An address without its password; where a name stands alone it is the secret.
fn masked_proxy(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return MASK.to_owned() };
    let hidden = match (url.username().is_empty(), url.password()) {
        (true, None) => return address.to_owned(),
        (false, None) => url.set_username(MASK),
        (_, Some(_)) => url.set_password(Some(MASK)),
    };
    hidden.map_or_else(|()| MASK.to_owned(), |()| url.into())
}

fn has_mask(address: &str) -> bool {
    Url::parse(address).map_or(address == MASK, |url| url.password() == Some(MASK) || url.username() == MASK)
}
