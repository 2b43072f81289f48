//! How keys are sent.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::CallError;
use crate::sign::aws::AwsKey;
use crate::sign::baidu;
use crate::sign::google::ServiceAccount;

/// How the key is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Where it goes.
    pub scheme: AuthScheme,
    /// The header's name, when the scheme is [`AuthScheme::Header`].
    pub header: Option<String>,
    /// A word before the key in that header, with a space between.
    pub word: Option<String>,
    /// For keys with a second part, after `|`: the header that part goes to. A key without one is sent alone.
    pub second_header: Option<String>,
    /// What a key looks like, for the form.
    pub key_example: String,
    /// Whether an empty key is accepted: nothing is sent then.
    #[serde(default)]
    pub key_optional: bool,
}

/// Where the key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// `Authorization: Bearer <key>`
    Bearer,
    /// The key in a header of its own, with a word before it or bare.
    Header,
    /// A JSON object with the access token and the account it is for, as ChatGPT's sign-in gives them.
    OauthJson,
    /// AWS: a pair that signs requests, or a key. [`crate::Provider::prove`] puts it.
    Aws,
    /// Google: a service account, exchanged for a token. [`crate::Provider::prove`] puts that.
    GoogleServiceAccount,
    /// Tencent: a pair that signs requests.
    TencentTc3,
    /// Baidu: a pair that is exchanged for a token, which stands in the address.
    BaiduToken,
    /// Zhipu: a key that signs a token of its own.
    ZhipuJwt,
    /// iFlytek: a pair that signs the address of a connection.
    SparkAddress,
}

/// What a key itself says of the address.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The region it is used in.
    pub(crate) region: Option<String>,
    /// The project it belongs to.
    pub(crate) project: Option<String>,
}

/// Between the parts of a key that has several.
pub(crate) const SEPARATOR: char = '|';

impl Auth {
    /// What the key says of the address.
    pub(crate) fn known(&self, secret: &SecretString) -> Result<Known, CallError> {
        match self.scheme {
            AuthScheme::Bearer
            | AuthScheme::Header
            | AuthScheme::OauthJson
            | AuthScheme::TencentTc3
            | AuthScheme::BaiduToken
            | AuthScheme::ZhipuJwt
            | AuthScheme::SparkAddress => Ok(Known::default()),
            AuthScheme::Aws => {
                let key = AwsKey::parse(secret.expose_secret()).map_err(|_| CallError::Secret)?;
                Ok(Known { region: Some(key.region().to_owned()), project: None })
            }
            AuthScheme::GoogleServiceAccount => {
                let account = ServiceAccount::parse(secret.expose_secret()).map_err(|_| CallError::Secret)?;
                Ok(Known { region: None, project: account.project_id })
            }
        }
    }

    /// Whether an error's code says that the token is good no longer which the key was exchanged for, though its time is not over.
    #[must_use]
    pub fn is_stale_token(&self, code: &str) -> bool {
        self.scheme == AuthScheme::BaiduToken && code.parse().is_ok_and(baidu::is_stale)
    }

    /// Puts the key into the headers, marked sensitive.
    pub(crate) fn put(&self, secret: &SecretString, headers: &mut HeaderMap) -> Result<(), CallError> {
        let key = secret.expose_secret().trim();
        if key.is_empty() {
            return if self.key_optional { Ok(()) } else { Err(CallError::Secret) };
        }
        match self.scheme {
            AuthScheme::Bearer | AuthScheme::Header => self.put_key(key, headers),
            AuthScheme::OauthJson => put_oauth(key, headers),
            // the body or the time is signed too, or a token has to be fetched
            AuthScheme::Aws
            | AuthScheme::GoogleServiceAccount
            | AuthScheme::TencentTc3
            | AuthScheme::BaiduToken
            | AuthScheme::ZhipuJwt
            | AuthScheme::SparkAddress => Ok(()),
        }
    }

    fn put_key(&self, key: &str, headers: &mut HeaderMap) -> Result<(), CallError> {
        let (key, second) = match &self.second_header {
            Some(_) => key.split_once(SEPARATOR).map_or((key, None), |(key, second)| (key.trim(), Some(second.trim()))),
            None => (key, None),
        };
        if key.is_empty() || second.is_some_and(str::is_empty) {
            return Err(CallError::Secret);
        }
        let (name, value) = match &self.header {
            None => (AUTHORIZATION, format!("Bearer {key}")),
            Some(name) => {
                let value = self.word.as_ref().map_or_else(|| key.to_owned(), |word| format!("{word} {key}"));
                (HeaderName::try_from(name.as_str()).map_err(|_| CallError::Secret)?, value)
            }
        };
        headers.insert(name, sensitive(&value)?);
        if let (Some(name), Some(second)) = (&self.second_header, second) {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| CallError::Secret)?;
            headers.insert(name, sensitive(second)?);
        }
        Ok(())
    }

    /// The rule it breaks, if it does.
    pub(crate) fn broken_rule(&self) -> Option<&'static str> {
        let is_header = |name: &String| HeaderName::try_from(name.as_str()).is_ok();
        let fits = match self.scheme {
            AuthScheme::Header => self.header.as_ref().is_some_and(is_header),
            _ => self.header.is_none() && self.word.is_none(),
        };
        if !fits || !self.second_header.as_ref().is_none_or(is_header) {
            return Some("only the scheme `header` names a header, and it must be one");
        }
        None
    }
}

/// The token, and the account it is for.
fn put_oauth(key: &str, headers: &mut HeaderMap) -> Result<(), CallError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        access_token: Cow<'a, str>,
        #[serde(borrow)]
        account_id: Option<Cow<'a, str>>,
    }
    let wire: Wire<'_> = serde_json::from_str(key).map_err(|_| CallError::Secret)?;
    if wire.access_token.is_empty() {
        return Err(CallError::Secret);
    }
    headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", wire.access_token))?);
    if let Some(account) = wire.account_id.filter(|account| !account.is_empty()) {
        headers.insert(HeaderName::from_static("chatgpt-account-id"), sensitive(&account)?);
    }
    Ok(())
}

fn sensitive(text: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| CallError::Secret)?;
    value.set_sensitive(true);
    Ok(value)
}
