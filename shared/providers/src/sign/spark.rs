//! iFlytek Spark's signed WebSocket addresses.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::{SignError, hmac_sha256, parts, time};

/// The parts of a key.
#[derive(Clone, Copy)]
pub struct SparkKey<'a> {
    /// The application, sent in the body.
    pub app_id: &'a str,
    secret: &'a str,
    key: &'a str,
}

impl std::fmt::Debug for SparkKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparkKey").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

impl<'a> SparkKey<'a> {
    /// Reads `APPID|APISecret|APIKey`.
    ///
    /// # Errors
    /// When it does not have these parts.
    pub fn parse(key: &'a str) -> Result<Self, SignError> {
        let [app_id, secret, key] = parts(key).ok_or(SignError::Key("APPID|APISecret|APIKey"))?;
        Ok(Self { app_id, secret, key })
    }

    /// Signs an address: that of a connection then, good for a few minutes. `http` becomes `ws`, and everything else `wss`.
    ///
    /// # Errors
    /// When the address has no host.
    pub fn sign(&self, url: &mut Url, now_secs: i64) -> Result<(), SignError> {
        let date = time(now_secs, "%a, %d %b %Y %H:%M:%S GMT")?;
        let name = url.host_str().ok_or(SignError::Request)?;
        // what the header `Host` says
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let signature = self.signature(&host, url.path(), &date);
        let authorization = format!(
            r#"hmac username="{}", algorithm="hmac-sha256", headers="host date request-line", signature="{signature}""#,
            self.key
        );
        let scheme = if url.scheme() == "http" { "ws" } else { "wss" };
        url.set_scheme(scheme).map_err(|()| SignError::Request)?;
        url.query_pairs_mut()
            .clear()
            .append_pair("authorization", &BASE64_STANDARD.encode(authorization))
            .append_pair("date", &date)
            .append_pair("host", &host);
        Ok(())
    }

    fn signature(&self, host: &str, path: &str, date: &str) -> String {
        let origin = format!("host: {host}\ndate: {date}\nGET {path} HTTP/1.1");
        BASE64_STANDARD.encode(hmac_sha256(self.secret.as_bytes(), origin.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "yBFCsXFIcHeFCGFqRBtZycqdSPYKwxe679QrJBj9K8s=";

    #[test]
    fn an_address_is_signed_as_in_the_vector() {
        let key = SparkKey::parse("app|secret|key").unwrap();
        let host = "spark-api.xf-yun.com";
        assert_eq!(key.signature(host, "/v3.5/chat", "Tue, 14 Nov 2023 22:13:20 GMT"), SIGNATURE);
        let mut url = Url::parse("https://spark-api.xf-yun.com/v3.5/chat").unwrap();
        key.sign(&mut url, 1_700_000_000).unwrap();
        assert_eq!((url.scheme(), url.host_str(), url.path()), ("wss", Some(host), "/v3.5/chat"));
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let authorization = String::from_utf8(BASE64_STANDARD.decode(&query[0].1).unwrap()).unwrap();
        assert_eq!(
            authorization,
            format!(r#"hmac username="key", algorithm="hmac-sha256", headers="host date request-line", signature="{SIGNATURE}""#)
        );
        assert_eq!(query[1], ("date".to_owned(), "Tue, 14 Nov 2023 22:13:20 GMT".to_owned()));
        assert_eq!(query[2], ("host".to_owned(), host.to_owned()));
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn an_address_of_ones_own_keeps_its_port() {
        let key = SparkKey::parse("app|secret|key").unwrap();
        let mut url = Url::parse("http://127.0.0.1:8080/v1.1/chat?x=1").unwrap();
        key.sign(&mut url, 1_700_000_000).unwrap();
        assert!(url.as_str().starts_with("ws://127.0.0.1:8080/v1.1/chat?authorization="), "{url}");
        assert!(url.as_str().ends_with("&host=127.0.0.1%3A8080"), "{url}");
    }

    #[test]
    fn a_key_without_its_parts_is_refused() {
        assert_eq!(SparkKey::parse("app|secret").unwrap_err(), SignError::Key("APPID|APISecret|APIKey"));
    }
}
