//! Asking what is left of the money.

use http::Method;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use super::{CallError, ChannelAddress, ClientHints, Target, own_part};
use crate::{Capability, Provider};

/// How far back it is asked what was used, in seconds.
const BACK_SECS: i64 = 99 * 86_400;
/// And how far ahead: the end is not part of it.
const AHEAD_SECS: i64 = 86_400;

impl Provider {
    /// The requests that ask what is left of a channel's money, in the order of their answers. None where the provider does not say.
    ///
    /// # Errors
    /// When the channel's settings do not make a request.
    pub fn balance_calls(&self, channel: &ChannelAddress<'_>, now_secs: i64) -> Result<Vec<Target>, CallError> {
        let Some(balance) = &self.balance else { return Ok(Vec::new()) };
        let date = |secs: i64| {
            let at = Timestamp::from_second(secs).map_err(|_| CallError::Url)?;
            Ok::<_, CallError>(at.strftime("%Y-%m-%d").to_string())
        };
        let (start, end) = (date(now_secs - BACK_SECS)?, date(now_secs + AHEAD_SECS)?);
        let mut calls = Vec::new();
        for at in balance.addresses() {
            let at = at.replace("{start_date}", &start).replace("{end_date}", &end);
            let at = match at.strip_prefix('/') {
                Some(_) => format!("{}{}", channel.base_url.as_str(), own_part(channel.base_url, &at)),
                None => at,
            };
            let mut url = Url::parse(&at).map_err(|_| CallError::Url)?;
            let mut headers = self.headers(channel, Capability::Models, false, &ClientHints::default())?;
            let key = channel.secret.expose_secret().trim();
            if let Some(name) = &balance.header {
                let name = HeaderName::try_from(name.as_str()).map_err(|_| CallError::Url)?;
                let mut value = HeaderValue::from_str(key).map_err(|_| CallError::Secret)?;
                value.set_sensitive(true);
                headers.remove(AUTHORIZATION);
                headers.insert(name, value);
            }
            if let Some(name) = &balance.query {
                url.query_pairs_mut().append_pair(name, key);
            }
            calls.push(Target { method: Method::GET, url, headers });
        }
        Ok(calls)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::Catalog;

    fn calls(slug: &str, base: &str) -> Vec<Target> {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get(slug).unwrap();
        let base_url = provider.parse_base_url(base).unwrap();
        let secret = SecretString::from("sk-1");
        let channel = ChannelAddress {
            base_url: &base_url,
            secret: &secret,
            api_version: None,
            organization: None,
            strip_dots: false,
            extra: &[],
        };
        provider.balance_calls(&channel, 1_790_000_000).unwrap()
    }

    #[test]
    fn it_is_asked_at_the_channels_own_address_with_its_key() {
        let both = calls("openai", "https://proxy.example/v1");
        let urls: Vec<&str> = both.iter().map(|call| call.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://proxy.example/v1/dashboard/billing/subscription",
                "https://proxy.example/v1/dashboard/billing/usage?start_date=2026-06-14&end_date=2026-09-22",
            ]
        );
        assert!(both.iter().all(|call| call.method == Method::GET && call.headers[AUTHORIZATION] == "Bearer sk-1"));
        assert_eq!(calls("groq", "").len(), 0);
    }

    #[test]
    fn keys_that_go_elsewhere_are_not_sent_twice_nor_shown() {
        let call = calls("aiproxy", "").remove(0);
        assert_eq!(
            (call.url.as_str(), &call.headers["api-key"]),
            ("https://aiproxy.io/api/report/getUserOverview", &"sk-1".parse().unwrap())
        );
        assert!(call.headers.get(AUTHORIZATION).is_none() && call.headers["api-key"].is_sensitive());
        let call = calls("openai-sb", "").remove(0);
        assert!(call.url.as_str().ends_with("/sb-api/user/status?api_key=sk-1"));
        assert!(!format!("{call:?}").contains("sk-1"));
    }
}
