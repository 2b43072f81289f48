//! Google's service accounts: a private key signs an assertion, which is exchanged for an access token.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account>

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::{SignError, sha256_hex};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const DEFAULT_TOKEN_ADDRESS: &str = "https://oauth2.googleapis.com/token";
/// How long an assertion is good for, in seconds.
const LIFETIME_SECS: i64 = 35 * 60;

/// A service account, as its JSON file describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceAccount {
    /// The account.
    pub client_email: String,
    /// The project whose models are used, and which pays.
    pub project_id: Option<String>,
    /// Which of the account's keys this is.
    #[serde(default)]
    private_key_id: String,
    private_key: SecretString,
    token_uri: Option<String>,
}

/// The request that fetches a token: a form, by POST.
#[derive(Clone)]
pub struct TokenRequest {
    /// Where.
    pub url: Url,
    /// The form, which proves the key.
    pub body: SecretString,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // some have the key in their address
        f.debug_struct("TokenRequest").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The type of [`TokenRequest::body`].
pub const FORM: &str = "application/x-www-form-urlencoded";

impl ServiceAccount {
    /// Reads the account's JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(json: &str) -> Result<Self, SignError> {
        let account: Self = serde_json::from_str(json).map_err(|_| SignError::Key("a service account's JSON"))?;
        if account.client_email.is_empty() {
            return Err(SignError::Key("a service account's JSON"));
        }
        Ok(account)
    }

    /// Tells this account's key from others without showing it: tokens are kept under it.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(format!("{}{}", self.client_email, self.private_key_id).as_bytes())
    }

    /// The request for a token. [`super::AccessToken::read`] reads its answer; a token is fetched anew after four fifths of its lifetime.
    ///
    /// # Errors
    /// When the private key or the address is none.
    pub fn token_request(&self, now_secs: i64) -> Result<TokenRequest, SignError> {
        let address = self.token_uri.as_deref().filter(|address| !address.is_empty()).unwrap_or(DEFAULT_TOKEN_ADDRESS);
        let url = Url::parse(address).map_err(|_| SignError::Key("a service account's JSON"))?;
        // the form proves the key to whoever reads it: only this machine needs no encryption
        let is_here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
            return Err(SignError::Key("a service account's JSON"));
        }
        let assertion = self.assertion(address, now_secs)?;
        // neither part holds a letter that a form would escape
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        Ok(TokenRequest { url, body: body.into() })
    }

    /// A JWT by RS256.
    fn assertion(&self, audience: &str, now_secs: i64) -> Result<String, SignError> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.private_key_id});
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": audience,
            "iat": now_secs,
            "exp": now_secs.saturating_add(LIFETIME_SECS),
        });
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.rs256(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    fn rs256(&self, text: &[u8]) -> Result<Vec<u8>, SignError> {
        let der = pem_body(self.private_key.expose_secret())?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| SignError::PrivateKey)?;
        let mut signature = vec![0; key.public().modulus_len()];
        // this padding draws nothing: the same text has the same signature
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).map_err(|_| SignError::PrivateKey)?;
        Ok(signature)
    }
}

/// What stands between the lines of a PEM file. Line ends may be written as `\n`.
fn pem_body(pem: &str) -> Result<Zeroizing<Vec<u8>>, SignError> {
    let pem = Zeroizing::new(pem.replace("\\n", "\n"));
    let lines = pem.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("-----"));
    let text = Zeroizing::new(lines.collect::<String>());
    BASE64_STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| SignError::PrivateKey)
}

#[cfg(test)]
mod tests;
