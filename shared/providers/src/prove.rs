//! Proving keys that are more than a header: what [`Provider::call`] leaves out of a request.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::sign::aws::AwsKey;
use crate::sign::google::{ServiceAccount, TokenRequest};
use crate::sign::spark::SparkKey;
use crate::sign::{AccessToken, SignError, baidu, tencent, zhipu};
use crate::{AuthScheme, Provider, Target};

const BEDROCK: &str = "bedrock";
/// What Tencent is asked to do.
const CHAT_COMPLETIONS: &str = "ChatCompletions";
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

impl Provider {
    /// The request for a token that a key has to be exchanged for, and what tells that token from others'. `None` where keys are used as
    /// they are.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn token_request(&self, secret: &SecretString, now_secs: i64) -> Result<Option<(String, TokenRequest)>, SignError> {
        match self.auth.scheme {
            AuthScheme::GoogleServiceAccount => {
                let account = ServiceAccount::parse(secret.expose_secret())?;
                Ok(Some((account.digest(), account.token_request(now_secs)?)))
            }
            AuthScheme::BaiduToken => {
                let key = secret.expose_secret();
                Ok(Some((baidu::digest(key)?, TokenRequest { url: baidu::token_address(key)?, body: SecretString::default() })))
            }
            _ => Ok(None),
        }
    }

    /// Whether [`Provider::prove`] has anything to do: where it has not, [`Provider::call`] has put the key.
    #[must_use]
    pub const fn needs_proof(&self) -> bool {
        !matches!(self.auth.scheme, AuthScheme::Bearer | AuthScheme::Header | AuthScheme::OauthJson)
    }

    /// Puts into a body what a key says of it: whose application asks. `None` where it stays as it is.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn named_by_key(&self, secret: &SecretString, body: &[u8]) -> Result<Option<Vec<u8>>, SignError> {
        if self.auth.scheme != AuthScheme::SparkAddress {
            return Ok(None);
        }
        let key = SparkKey::parse(secret.expose_secret())?;
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| SignError::Request)?;
        let header = fields.entry("header").or_insert_with(|| Value::Object(Map::new()));
        header.as_object_mut().ok_or(SignError::Request)?.insert("app_id".to_owned(), key.app_id.into());
        serde_json::to_vec(&fields).map(Some).map_err(|_| SignError::Request)
    }

    /// Proves the key on a request that is ready to be sent, with the token where one had to be fetched. Address, headers and body are sent
    /// as they are then.
    ///
    /// # Errors
    /// When the key cannot be used, or its token is missing.
    pub fn prove(
        &self,
        target: &mut Target,
        secret: &SecretString,
        token: Option<&AccessToken>,
        body: &[u8],
        now_secs: i64,
    ) -> Result<(), SignError> {
        match self.auth.scheme {
            AuthScheme::Bearer | AuthScheme::Header | AuthScheme::OauthJson => Ok(()),
            AuthScheme::Aws => {
                let key = AwsKey::parse(secret.expose_secret())?;
                key.sign((&target.method, &target.url), &mut target.headers, body, BEDROCK, now_secs)
            }
            AuthScheme::GoogleServiceAccount => {
                let token = token.ok_or(SignError::Request)?;
                let account = ServiceAccount::parse(secret.expose_secret())?;
                let value = format!("Bearer {}", token.secret.expose_secret());
                let mut value = HeaderValue::try_from(value).map_err(|_| SignError::Request)?;
                value.set_sensitive(true);
                target.headers.insert(AUTHORIZATION, value);
                if let Some(project) = &account.project_id {
                    let project = HeaderValue::from_str(project).map_err(|_| SignError::Request)?;
                    target.headers.insert(USER_PROJECT, project);
                }
                Ok(())
            }
            AuthScheme::TencentTc3 => {
                let host = target.url.host_str().ok_or(SignError::Request)?.to_owned();
                tencent::sign(&mut target.headers, secret.expose_secret(), CHAT_COMPLETIONS, &host, body, now_secs)
            }
            AuthScheme::BaiduToken => {
                baidu::put(&mut target.url, token.ok_or(SignError::Request)?.secret.expose_secret());
                Ok(())
            }
            AuthScheme::ZhipuJwt => {
                let token = zhipu::token(secret.expose_secret(), now_secs.saturating_mul(1_000))?;
                let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| SignError::Request)?;
                value.set_sensitive(true);
                target.headers.insert(AUTHORIZATION, value);
                Ok(())
            }
            AuthScheme::SparkAddress => SparkKey::parse(secret.expose_secret())?.sign(&mut target.url, now_secs),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Capability, Catalog, ChannelAddress, ClientHints};

    const NOW: i64 = 1_700_000_000;

    fn target(provider: &Provider, secret: &SecretString, capability: Capability, model: &str) -> Target {
        let base_url = provider.parse_base_url("").unwrap();
        let channel =
            ChannelAddress { base_url: &base_url, secret, api_version: None, organization: None, strip_dots: false, extra: &[] };
        provider.call(&channel, capability, model, true, &ClientHints::default()).unwrap()
    }

    #[test]
    fn bedrock_is_signed_over_the_bytes_that_are_sent() {
        let catalog = Catalog::shipped().unwrap();
        let bedrock = catalog.get("aws-bedrock").unwrap();
        let secret = SecretString::from("AKID|secret|eu-west-1");
        let mut target = target(bedrock, &secret, Capability::Messages, "claude-sonnet-4-20250514");
        assert_eq!(
            target.url.as_str(),
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.anthropic.claude-sonnet-4-20250514-v1%3A0/\
             invoke-with-response-stream"
        );
        assert!(bedrock.needs_proof() && target.headers.get(AUTHORIZATION).is_none());
        assert!(bedrock.token_request(&secret, NOW).unwrap().is_none());
        let mut signatures = Vec::new();
        for body in [&b"{}"[..], b"{} "] {
            bedrock.prove(&mut target, &secret, None, body, NOW).unwrap();
            signatures.push(target.headers[AUTHORIZATION].to_str().unwrap().to_owned());
        }
        assert!(signatures[0].starts_with("AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/bedrock/aws4_request, "));
        assert_ne!(signatures[0], signatures[1]);
        assert!(!format!("{target:?}").contains("Signature="));
    }

    #[test]
    fn vertex_needs_a_token_first() {
        let catalog = Catalog::shipped().unwrap();
        let vertex = catalog.get("google-vertex").unwrap();
        let account = json!({
            "client_email": "a@p.iam.gserviceaccount.com",
            "project_id": "p-1",
            "private_key": include_str!("../tests/service_account.pem"),
        });
        let secret = SecretString::from(account.to_string());
        let (digest, request) = vertex.token_request(&secret, NOW).unwrap().unwrap();
        assert_eq!((digest.len(), request.url.as_str()), (64, "https://oauth2.googleapis.com/token"));
        let mut target = target(vertex, &secret, Capability::GenerateContent, "gemini-2.5-pro");
        assert_eq!(vertex.prove(&mut target, &secret, None, b"", NOW), Err(SignError::Request));
        let token = AccessToken::read(br#"{"access_token":"ya29.t","expires_in":3599}"#).unwrap();
        vertex.prove(&mut target, &secret, Some(&token), b"", NOW).unwrap();
        assert_eq!(target.headers[AUTHORIZATION], "Bearer ya29.t");
        assert_eq!(target.headers["x-goog-user-project"], "p-1");
        assert!(!format!("{target:?}").contains("ya29"));
    }

    fn vendor(slug: &str) -> Capability {
        let catalog = Catalog::shipped().unwrap();
        let surface = catalog.get(slug).unwrap().speaks(sluice_dialect::Surface::ChatCompletions).unwrap();
        assert!(!surface.converses(), "{slug} is asked by a protocol of its own");
        surface.into()
    }

    #[test]
    fn tencents_requests_are_signed_over_the_bytes_that_are_sent() {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get("tencent-hunyuan").unwrap();
        let secret = SecretString::from("125|AKID|sk");
        let mut target = target(provider, &secret, vendor("tencent-hunyuan"), "hunyuan-lite");
        assert_eq!(target.url.as_str(), "https://hunyuan.tencentcloudapi.com/");
        let body = br#"{"Model":"hunyuan-lite","Messages":[{"Role":"user","Content":"hi"}],"Stream":false}"#;
        provider.prove(&mut target, &secret, None, body, NOW).unwrap();
        let authorization = target.headers[AUTHORIZATION].to_str().unwrap();
        assert!(authorization.ends_with("464ca5c8629a23b66f56c3faf65b08f6eb74209c1609fc17c68fb8a68b980ba9"), "{authorization}");
        assert_eq!(target.headers["x-tc-action"], "ChatCompletions");
        assert!(!format!("{target:?}").contains("AKID"));
    }

    #[test]
    fn baidus_pair_is_exchanged_for_a_token_in_the_address_and_never_sent() {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get("baidu-wenxin-v1").unwrap();
        let secret = SecretString::from("public|hidden");
        let (digest, request) = provider.token_request(&secret, NOW).unwrap().unwrap();
        assert_eq!((digest.len(), request.body.expose_secret()), (64, ""));
        assert!(!format!("{request:?}").contains("hidden"));
        for (model, word) in [("ERNIE-4.0-8K", "completions_pro"), ("ERNIE-Speed-128K", "ernie-speed-128k")] {
            let mut target = target(provider, &secret, vendor("baidu-wenxin-v1"), model);
            assert!(target.headers.get(AUTHORIZATION).is_none());
            assert_eq!(provider.prove(&mut target, &secret, None, b"", NOW), Err(SignError::Request));
            let token = AccessToken::read(br#"{"access_token":"24.t","expires_in":2592000}"#).unwrap();
            provider.prove(&mut target, &secret, Some(&token), b"", NOW).unwrap();
            let expected = format!("https://aip.baidubce.com/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/{word}?access_token=24.t");
            assert_eq!(target.url.as_str(), expected);
        }
        assert!(provider.token_request(&SecretString::from("one"), NOW).is_err());
    }

    #[test]
    fn zhipus_key_signs_a_token_and_sparks_an_address() {
        let catalog = Catalog::shipped().unwrap();
        let zhipu = catalog.get("zhipu-v3").unwrap();
        let secret = SecretString::from("abc.def");
        let mut target = target(zhipu, &secret, vendor("zhipu-v3"), "chatglm_turbo");
        assert_eq!(target.url.as_str(), "https://open.bigmodel.cn/api/paas/v3/model-api/chatglm_turbo/sse-invoke");
        zhipu.prove(&mut target, &secret, None, b"", NOW).unwrap();
        let token = target.headers[AUTHORIZATION].to_str().unwrap();
        assert!(token.ends_with("._bRQOkxBtdGFgwaD37IV1TvfQA3n-hc-e9l2mpMCquc"), "{token}");

        let spark = catalog.get("xunfei-spark-ws").unwrap();
        let secret = SecretString::from("app|secret|key");
        for (model, path) in [("SparkDesk-v3.5", "/v3.5/chat"), ("Spark-Pro-128K", "/chat/pro-128k"), ("SparkDesk", "/v1.1/chat")]
        {
            let mut target = self::target(spark, &secret, vendor("xunfei-spark-ws"), model);
            spark.prove(&mut target, &secret, None, b"", NOW).unwrap();
            assert_eq!((target.url.scheme(), target.url.path()), ("wss", path), "{model}");
            assert!(target.url.query().is_some_and(|query| query.contains("authorization=")));
        }
        let body = spark.named_by_key(&secret, br#"{"header":{"uid":"u"},"payload":{}}"#).unwrap().unwrap();
        assert_eq!(body, br#"{"header":{"uid":"u","app_id":"app"},"payload":{}}"#);
        assert_eq!(zhipu.named_by_key(&secret, b"{}"), Ok(None));
        assert!(spark.is_served());
    }

    #[test]
    fn codex_has_token_and_account_in_its_key() {
        let catalog = Catalog::shipped().unwrap();
        let codex = catalog.get("openai-codex").unwrap();
        let secret = SecretString::from(r#"{"access_token":"t","account_id":"acc","refresh_token":"r"}"#);
        let target = target(codex, &secret, Capability::Responses, "gpt-5-codex");
        assert_eq!(target.url.as_str(), "https://chatgpt.com/backend-api/codex/responses");
        assert_eq!(target.headers[AUTHORIZATION], "Bearer t");
        assert_eq!(target.headers["chatgpt-account-id"], "acc");
        assert_eq!(target.headers["originator"], "codex_cli_rs");
        assert!(!codex.needs_proof() && target.headers[AUTHORIZATION].is_sensitive());
    }
}
