//! Base URLs of channels.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::endpoint::MODEL;

/// The longest base URL, in bytes.
const MAX_BYTES: usize = 2048;

/// What a base URL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseUrlMeaning {
    /// The address that paths are added to.
    Prefix,
    /// The whole address, used as it is; `{model}` in it is replaced.
    FullUrl,
}

/// Why a text cannot be a base URL. It names the rule, and never repeats the text: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// The provider has no address of its own.
    #[error("this provider needs a base URL")]
    Missing,
    /// It is longer than 2048 bytes.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// It is no URL.
    #[error("must be a complete address such as https://api.example.com/v1")]
    NotAUrl,
    /// Its scheme is not http or https.
    #[error("must start with https:// or http://")]
    Scheme,
    /// It carries a user name or password.
    #[error("must not contain a user name or password")]
    Credentials,
    /// It has a query.
    #[error("must not contain a query (?...)")]
    Query,
    /// It has a fragment.
    #[error("must not contain a fragment (#...)")]
    Fragment,
    /// It has `{model}` where the model has no place.
    #[error("{{model}} may stand only in the path or query of a full URL")]
    Model,
    /// It ends with a path that is added anyway.
    #[error("must not end with {path}: it is added")]
    HasEndpoint {
        /// The path.
        path: String,
    },
}

/// A base URL that was judged: http or https, a host, no credentials, no fragment, no trailing slash. Or the word for a subscription, which
/// stands for addresses that its provider knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// Without trailing slash; in a whole address `{model}` is still in it.
    text: String,
    /// Where the path starts in `text`.
    path_at: usize,
}

impl BaseUrl {
    /// Judges a text. Space around it and slashes at its end are ignored.
    ///
    /// # Errors
    /// When it is no http or https address with a host, or has parts that do not belong.
    pub fn parse(text: &str, meaning: BaseUrlMeaning) -> Result<Self, BaseUrlError> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(BaseUrlError::TooLong);
        }
        let url = Url::parse(&text.replace(MODEL, "model")).map_err(|_| BaseUrlError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme);
        }
        if !url.has_host() || !text.contains("://") {
            return Err(BaseUrlError::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(BaseUrlError::Fragment);
        }
        match meaning {
            BaseUrlMeaning::Prefix => Self::prefix(text, &url),
            BaseUrlMeaning::FullUrl => Self::full(text, &url),
        }
    }

    /// The address as text, for forms and for the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, without trailing slash; with the query when it is a whole address.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }

    /// The host, without port; empty for a word.
    pub(crate) fn host(&self) -> &str {
        let origin = self.text.get(..self.path_at).unwrap_or_default();
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let without_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        without_port.map_or(host, |(host, _)| host)
    }

    /// The word for a subscription. The caller knows that there is one of that name.
    pub(crate) fn word(name: &str) -> Self {
        Self { text: name.to_owned(), path_at: name.len() }
    }

    /// Whether it is a word rather than an address.
    pub(crate) fn is_word(&self) -> bool {
        !self.text.contains("://")
    }

    fn prefix(text: &str, url: &Url) -> Result<Self, BaseUrlError> {
        if text.contains(MODEL) {
            return Err(BaseUrlError::Model);
        }
        if url.query().is_some() {
            return Err(BaseUrlError::Query);
        }
        let origin = url.origin().ascii_serialization();
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { path_at: origin.len().min(text.len()), text })
    }

    fn full(text: &str, url: &Url) -> Result<Self, BaseUrlError> {
        let origin = url.origin().ascii_serialization();
        let after_scheme = text.find("://").map_or(0, |at| at + 3);
        let rest = text.get(after_scheme..).unwrap_or_default();
        let path_at = rest.find(['/', '?']).map_or(text.len(), |at| after_scheme + at);
        let (front, tail) = text.split_at(path_at);
        if front.contains(MODEL) {
            return Err(BaseUrlError::Model);
        }
        // The origin as the parser writes it: lower case, no default port.
        Ok(Self { path_at: origin.len(), text: origin + tail })
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Result<String, BaseUrlError> {
        BaseUrl::parse(text, BaseUrlMeaning::Prefix).map(|base| base.as_str().to_owned())
    }

    #[test]
    fn good_prefixes_lose_their_trailing_slash() {
        let rows = [
            ("https://api.openai.com", "https://api.openai.com"),
            (" https://API.openai.com:443/v1/// ", "https://api.openai.com/v1"),
            ("http://10.0.0.1:8000/v1", "http://10.0.0.1:8000/v1"),
            ("http://[::1]:8000/", "http://[::1]:8000"),
            ("https://münchen.example/a", "https://xn--mnchen-3ya.example/a"),
        ];
        for (text, expected) in rows {
            assert_eq!(prefix(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn bad_prefixes_are_refused_by_their_rule() {
        let rows = [
            ("", BaseUrlError::NotAUrl),
            ("api.openai.com", BaseUrlError::NotAUrl),
            ("/v1", BaseUrlError::NotAUrl),
            ("https:api.openai.com", BaseUrlError::NotAUrl),
            ("https://", BaseUrlError::NotAUrl),
            ("ftp://x", BaseUrlError::Scheme),
            ("file:///etc/passwd", BaseUrlError::Scheme),
            ("https://user:secret@x", BaseUrlError::Credentials),
            ("https://x/?key=secret", BaseUrlError::Query),
            ("https://x/#a", BaseUrlError::Fragment),
            ("https://x/{model}", BaseUrlError::Model),
        ];
        for (text, error) in rows {
            assert_eq!(prefix(text), Err(error), "{text}");
        }
        assert_eq!(prefix(&format!("https://x/{}", "a".repeat(2048))), Err(BaseUrlError::TooLong));
    }

    #[test]
    fn the_host_is_known_without_its_port() {
        for (text, host) in [
            ("https://a.example/b", "a.example"),
            ("http://10.0.0.1:8000", "10.0.0.1"),
            ("http://[::1]:8000/v1", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(BaseUrl::parse(text, BaseUrlMeaning::Prefix).unwrap().host(), host, "{text}");
        }
        let word = BaseUrl::word("glm-coding-plan");
        assert!(word.is_word() && word.host().is_empty() && word.path().is_empty());
    }

    #[test]
    fn a_full_url_keeps_its_query_and_the_place_of_the_model() {
        let full = |text| BaseUrl::parse(text, BaseUrlMeaning::FullUrl).map(|base| base.as_str().to_owned());
        assert_eq!(full("https://X:443/d/{model}/chat?v=1"), Ok("https://x/d/{model}/chat?v=1".to_owned()));
        assert_eq!(full("https://x?m={model}"), Ok("https://x?m={model}".to_owned()));
        assert_eq!(full("https://{model}.example/chat"), Err(BaseUrlError::Model));
    }
}
