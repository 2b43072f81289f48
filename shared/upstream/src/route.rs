//! How a channel's connections are made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// The schemes a proxy may have.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// What connections have in common. Requests of equal routes share a pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The proxy to go through.
    pub proxy: Option<ProxyUrl>,
    /// The longest a connection, TLS included, may take to make.
    pub connect_timeout: Duration,
    /// Whether the server's certificate is checked.
    pub server_check: ServerCheck,
}

/// Whether the server must prove its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServerCheck {
    /// By a certificate that the system trusts.
    #[default]
    Certificate,
    /// It need not: for self-signed servers an operator trusts. The connection can be read and changed on its way.
    None,
}

impl Default for Route {
    /// No proxy, 10 seconds to connect, certificates checked.
    fn default() -> Self {
        Self { proxy: None, connect_timeout: Duration::from_secs(10), server_check: ServerCheck::Certificate }
    }
}

/// A proxy's address, user and password included. They show nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Arc<str>);

/// Why a text cannot be a proxy's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL with a host.
    #[error("the proxy must be a complete address such as http://proxy.example:3128")]
    NotAUrl,
    /// Its scheme is another one.
    #[error("the proxy must start with http://, https://, socks5:// or socks5h://")]
    Scheme,
}

impl ProxyUrl {
    /// Judges a text.
    ///
    /// # Errors
    /// When it is no address of a proxy.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text.trim()).map_err(|_| ProxyError::NotAUrl)?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(ProxyError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ProxyError::NotAUrl);
        }
        Ok(Self(url.as_str().into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_the_four_schemes_are_accepted() {
        for text in ["http://p:3128", "https://user:pw@p", "socks5://10.0.0.1:1080", " socks5h://p "] {
            assert!(ProxyUrl::parse(text).is_ok(), "{text}");
        }
        for (text, error) in [
            ("p:3128", ProxyError::Scheme),
            ("", ProxyError::NotAUrl),
            ("ftp://p", ProxyError::Scheme),
            ("socks5://", ProxyError::NotAUrl),
        ] {
            assert_eq!(ProxyUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_proxys_password_never_shows() {
        let route = Route { proxy: Some(ProxyUrl::parse("http://user:secret@p").unwrap()), ..Route::default() };
        assert!(!format!("{route:?}").contains("secret"));
    }
}
