use http::header::{AUTHORIZATION, CONTENT_TYPE};
use rstest::rstest;

use super::*;
use crate::{AuthScheme, Catalog};

struct Given {
    slug: &'static str,
    base: &'static str,
    secret: SecretString,
    api_version: Option<&'static str>,
    strip_dots: bool,
    extra: &'static [(FieldName, &'static str)],
}

fn given(slug: &'static str, base: &'static str) -> Given {
    Given { slug, base, secret: "topsecret".into(), api_version: None, strip_dots: false, extra: &[] }
}

impl Given {
    fn call(
        &self,
        capability: Capability,
        model: &str,
        is_streamed: bool,
        client: &ClientHints<'_>,
    ) -> Result<Target, CallError> {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get(self.slug).unwrap();
        let base_url = provider.parse_base_url(self.base).unwrap();
        let channel = ChannelAddress {
            base_url: &base_url,
            secret: &self.secret,
            api_version: self.api_version,
            organization: None,
            strip_dots: self.strip_dots,
            extra: self.extra,
        };
        provider.call(&channel, capability, model, is_streamed, client)
    }

    fn stream_url(&self, capability: Capability, model: &str) -> Result<String, CallError> {
        self.call(capability, model, true, &ClientHints::default()).map(|target| target.url.to_string())
    }

    fn url(&self, capability: Capability, model: &str, query: Option<&str>) -> Result<String, CallError> {
        self.call(capability, model, false, &ClientHints { query, ..ClientHints::default() }).map(|target| target.url.to_string())
    }
}

#[rstest]
#[case("openai", "", Capability::Chat, "https://api.openai.com/v1/chat/completions")]
#[case("openai", "", Capability::Models, "https://api.openai.com/v1/models")]
#[case("openai", "https://proxy.example/", Capability::Embeddings, "https://proxy.example/v1/embeddings")]
#[case("openai", "https://proxy.example/v1", Capability::Chat, "https://proxy.example/v1/chat/completions")]
#[case("openai", "https://proxy.example/openai/v1/", Capability::Completions, "https://proxy.example/openai/v1/completions")]
#[case(
    "openai",
    "https://gateway.ai.cloudflare.com/v1/acc/gw/openai",
    Capability::Chat,
    "https://gateway.ai.cloudflare.com/v1/acc/gw/openai/chat/completions"
)]
#[case("openai-compatible", "http://127.0.0.1:8000/v1", Capability::Chat, "http://127.0.0.1:8000/v1/chat/completions")]
#[case("openai-compatible", "https://x.example/api/v3", Capability::Embeddings, "https://x.example/api/v3/embeddings")]
#[case("anthropic", "", Capability::Messages, "https://api.anthropic.com/v1/messages")]
#[case("anthropic", "https://x.example/v1/", Capability::CountTokens, "https://x.example/v1/messages/count_tokens")]
#[case("deepseek", "", Capability::Messages, "https://api.deepseek.com/anthropic/v1/messages")]
#[case("deepseek", "", Capability::Completions, "https://api.deepseek.com/beta/completions")]
#[case("deepseek", "https://api.deepseek.com/beta", Capability::Completions, "https://api.deepseek.com/beta/completions")]
#[case("baidu-qianfan-v2", "https://x.example/v2", Capability::Chat, "https://x.example/v2/chat/completions")]
#[case("novita", "", Capability::Chat, "https://api.novita.ai/v3/openai/chat/completions")]
#[case("google-gemini", "", Capability::Models, "https://generativelanguage.googleapis.com/v1beta/models")]
#[case("google-gemini", "https://x.example/v1beta", Capability::Models, "https://x.example/v1beta/models")]
#[case("zhipu-v4", "glm-coding-plan", Capability::Chat, "https://open.bigmodel.cn/api/coding/paas/v4/chat/completions")]
#[case("volcengine-ark", "doubao-coding-plan", Capability::Messages, "https://ark.cn-beijing.volces.com/api/coding/v1/messages")]
#[case(
    "cloudflare-workers-ai",
    "https://gateway.ai.cloudflare.com/v1/acc/gw/workers-ai",
    Capability::Chat,
    "https://gateway.ai.cloudflare.com/v1/acc/gw/workers-ai/v1/chat/completions"
)]
#[case(
    "cloudflare-workers-ai",
    "https://gateway.ai.cloudflare.com/v1/acc/gw/workers-ai",
    Capability::Completions,
    "https://gateway.ai.cloudflare.com/v1/acc/gw/workers-ai/m/n"
)]
#[case("custom", "https://x.example/any/{model}?v=1", Capability::Chat, "https://x.example/any/m%2Fn?v=1")]
#[case("custom", "https://x.example/chat", Capability::Embeddings, "https://x.example/chat")]
fn addresses_are_base_and_path(
    #[case] slug: &'static str,
    #[case] base: &'static str,
    #[case] capability: Capability,
    #[case] url: &str,
) {
    assert_eq!(given(slug, base).url(capability, "m/n", Some("a=1")).as_deref(), Ok(url));
}

const AZURE: &str = "https://res.openai.azure.com";

#[test]
fn azure_addresses_name_deployment_and_version() {
    let azure = given("azure-openai", AZURE);
    assert_eq!(
        azure.url(Capability::Chat, "gpt-3.5-turbo", None).unwrap(),
        format!("{AZURE}/openai/deployments/gpt-3.5-turbo/chat/completions?api-version=2025-04-01-preview")
    );
    let stripped = Given { strip_dots: true, ..given("azure-openai", AZURE) };
    assert!(stripped.url(Capability::Chat, "gpt-3.5-turbo", None).unwrap().contains("/gpt-35-turbo/"));
    let gateway = given("azure-openai", "https://gateway.ai.cloudflare.com/v1/acc/gw/azure-openai/res");
    assert_eq!(
        gateway.url(Capability::Chat, "d", None).unwrap(),
        "https://gateway.ai.cloudflare.com/v1/acc/gw/azure-openai/res/d/chat/completions?api-version=2025-04-01-preview"
    );
}

#[rstest]
#[case(Some("x=1&api-version=2024-10-21"), Some("2023-05-15"), "?api-version=2024-10-21")]
#[case(Some("api-version="), Some("2023-05-15"), "?api-version=2023-05-15")]
#[case(None, Some("2023-05-15"), "?api-version=2023-05-15")]
#[case(None, Some(" "), "?api-version=2025-04-01-preview")]
fn the_callers_version_wins_over_the_channels_and_that_over_the_default(
    #[case] query: Option<&str>,
    #[case] api_version: Option<&'static str>,
    #[case] expected: &str,
) {
    let azure = Given { api_version, ..given("azure-openai", AZURE) };
    assert!(azure.url(Capability::Chat, "d", query).unwrap().ends_with(expected));
}

#[test]
fn azures_version_v1_has_addresses_without_deployment() {
    let azure = Given { api_version: Some("v1"), ..given("azure-openai", AZURE) };
    assert_eq!(azure.url(Capability::Chat, "d", None).unwrap(), format!("{AZURE}/openai/v1/chat/completions"));
    assert_eq!(azure.url(Capability::Models, "", None).unwrap(), format!("{AZURE}/openai/v1/models"));
}

#[test]
fn names_that_would_change_the_address_cannot() {
    let azure = given("azure-openai", AZURE);
    let hostile = azure.url(Capability::Chat, "../../x?y=#z", None).unwrap();
    assert!(hostile.contains("/openai/deployments/..%2F..%2Fx%3Fy%3D%23z/chat/completions?api-version="), "{hostile}");
    for model in ["", ".", ".."] {
        assert_eq!(azure.url(Capability::Chat, model, None), Err(CallError::Model), "{model}");
    }
    assert_eq!(
        azure.url(Capability::Chat, "d", Some("api-version=1&api-version=2")).map(|url| url.ends_with("version=1")),
        Ok(true)
    );
    assert_eq!(azure.url(Capability::Chat, "d", Some("api-version=%26x%3D1")), Err(CallError::CallerVersion));
}

#[test]
fn what_a_provider_does_not_serve_is_refused() {
    let error = given("azure-openai", AZURE).url(Capability::Models, "", None).unwrap_err();
    assert_eq!(error.to_string(), "provider azure-openai does not serve models");
    assert!(given("custom", "https://x/").url(Capability::Models, "m", None).is_err());
}

#[rstest]
#[case("openai", "", "authorization", "Bearer topsecret")]
#[case("azure-openai", AZURE, "api-key", "topsecret")]
fn the_key_goes_where_the_provider_wants_it_and_is_marked(
    #[case] slug: &'static str,
    #[case] base: &'static str,
    #[case] name: &str,
    #[case] value: &str,
) {
    let target = given(slug, base).call(Capability::Chat, "m", false, &ClientHints::default()).unwrap();
    let header = target.headers.get(name).unwrap();
    assert_eq!(header, value);
    assert!(header.is_sensitive());
    assert!(!format!("{target:?}").contains("topsecret"));
    assert!(!format!("{target:?}").contains("azure.com"));
}

#[test]
fn an_empty_key_is_sent_only_nowhere() {
    let empty = Given { secret: "".into(), ..given("openai-compatible", "http://127.0.0.1/v1") };
    let target = empty.call(Capability::Chat, "m", false, &ClientHints::default()).unwrap();
    assert!(target.headers.get(AUTHORIZATION).is_none());
    let openai = Given { secret: " ".into(), ..given("openai", "") };
    assert_eq!(openai.url(Capability::Chat, "m", None), Err(CallError::Secret));
    let broken = Given { secret: "a\nb".into(), ..given("openai", "") };
    let error = broken.url(Capability::Chat, "m", None).unwrap_err();
    assert!(!format!("{error:?}{error}").contains("a\nb"));
}

#[test]
fn headers_come_from_the_caller_where_they_may_and_from_us_otherwise() {
    let openai = given("openai", "");
    let header = |target: &Target, name: &str| target.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let plain = openai.call(Capability::Chat, "m", false, &ClientHints::default()).unwrap();
    assert_eq!(header(&plain, "content-type").as_deref(), Some("application/json"));
    assert_eq!(header(&plain, "accept").as_deref(), Some("application/json"));
    assert_eq!(header(&plain, "accept-encoding").as_deref(), Some("identity"));
    let streamed = openai.call(Capability::Chat, "m", true, &ClientHints::default()).unwrap();
    assert_eq!(header(&streamed, "accept").as_deref(), Some("text/event-stream"));
    let (accept, beta) = (HeaderValue::from_static("*/*"), HeaderValue::from_static("assistants=v2"));
    let hints = ClientHints { accept: Some(&accept), openai_beta: Some(&beta), ..ClientHints::default() };
    let asked = openai.call(Capability::Chat, "m", true, &hints).unwrap();
    assert_eq!(header(&asked, "accept").as_deref(), Some("*/*"));
    assert_eq!(header(&asked, "openai-beta").as_deref(), Some("assistants=v2"));
    let listed = openai.call(Capability::Models, "", false, &ClientHints::default()).unwrap();
    assert_eq!((listed.method, listed.headers.get(CONTENT_TYPE)), (Method::GET, None));
}

#[test]
fn the_organization_is_sent_when_there_is_one() {
    let catalog = Catalog::shipped().unwrap();
    let provider = catalog.get("openai").unwrap();
    let (base_url, secret) = (provider.parse_base_url("").unwrap(), SecretString::from("k"));
    let channel = ChannelAddress {
        base_url: &base_url,
        secret: &secret,
        api_version: None,
        organization: Some("org-1"),
        strip_dots: false,
        extra: &[],
    };
    let target = provider.call(&channel, Capability::Chat, "m", false, &ClientHints::default()).unwrap();
    assert_eq!(target.headers.get("openai-organization").unwrap(), "org-1");
    let broken = ChannelAddress { organization: Some("a\r\nb"), ..channel };
    let error = provider.call(&broken, Capability::Chat, "m", false, &ClientHints::default()).unwrap_err();
    assert_eq!(error, CallError::Organization);
}

#[test]
fn every_path_of_every_provider_makes_an_address() {
    let catalog = Catalog::shipped().unwrap();
    for provider in catalog.iter() {
        let secret = SecretString::from(match provider.auth.scheme {
            AuthScheme::OauthJson => r#"{"access_token":"t"}"#,
            AuthScheme::GoogleServiceAccount => r#"{"client_email":"a@b","project_id":"p","private_key":"k"}"#,
            AuthScheme::TencentTc3 | AuthScheme::SparkAddress => "a|b|c",
            AuthScheme::ZhipuJwt => "a.b",
            AuthScheme::Bearer | AuthScheme::Header | AuthScheme::Aws | AuthScheme::BaiduToken => "a|b-1",
        });
        let typed = match provider.base_url.meaning {
            BaseUrlMeaning::Prefix if provider.needs_base_url() => "https://x.example",
            BaseUrlMeaning::Prefix => "",
            BaseUrlMeaning::FullUrl => "https://x.example/{model}",
        };
        let versions = [None, provider.versions.as_ref().and_then(|versions| versions.unversioned.as_deref())];
        let mut bases = vec![provider.parse_base_url(typed).unwrap()];
        bases.extend(provider.plans.iter().map(|plan| provider.parse_base_url(&plan.name).unwrap()));
        for capability in Capability::ALL {
            let mut made = 0;
            // names that meet the conditions of special endpoints
            let tries = ["qwen-plus", "bot-1", "@cf/a/b", "claude-opus-4-6", "meta/llama-maas"]
                .into_iter()
                .flat_map(|model| versions.map(|version| (model, version)));
            for ((model, api_version), base_url) in tries.flat_map(|one| bases.iter().map(move |base| (one, base))) {
                let extra = &[(FieldName::AccountId, "acc")];
                let channel =
                    ChannelAddress { base_url, secret: &secret, api_version, organization: None, strip_dots: false, extra };
                for is_streamed in [false, true] {
                    match provider.call(&channel, capability, model, is_streamed, &ClientHints::default()) {
                        Ok(target) => {
                            let url = target.url.as_str();
                            assert!(url.starts_with("https://") || url.starts_with("http://"), "{url}");
                            assert!(!url.contains(['{', '}']) && !target.url.path().contains("//"), "{url}");
                            made += 1;
                        }
                        Err(error) => assert!(matches!(error, CallError::NotServed { .. }), "{} {error}", provider.slug),
                    }
                }
            }
            assert_eq!(made > 0, provider.serves(capability), "{} {}", provider.slug, capability.as_str());
        }
    }
}

#[test]
fn gemini_names_model_verb_and_version_in_the_address() {
    let gemini = given("google-gemini", "");
    let front = "https://generativelanguage.googleapis.com";
    let model = "gemini-2.5-flash";
    assert_eq!(
        gemini.url(Capability::GenerateContent, model, Some("alt=sse&key=callers")).unwrap(),
        format!("{front}/v1beta/models/{model}:generateContent")
    );
    assert_eq!(
        gemini.stream_url(Capability::GenerateContent, model).unwrap(),
        format!("{front}/v1beta/models/{model}:streamGenerateContent?alt=sse")
    );
    let older = Given { api_version: Some("v1"), ..given("google-gemini", "") };
    assert_eq!(
        older.stream_url(Capability::GeminiBatchEmbeddings, "gemini-embedding-001").unwrap(),
        format!("{front}/v1/models/gemini-embedding-001:batchEmbedContents")
    );
    assert_eq!(gemini.url(Capability::GenerateContent, "..", None), Err(CallError::Model));
    let climbing = Given { api_version: Some(".."), ..given("google-gemini", "") };
    assert_eq!(climbing.url(Capability::Models, "", None), Err(CallError::Version));
}

#[test]
fn azures_responses_name_their_own_version_except_on_older_resources() {
    let url = |base| given("azure-openai", base).url(Capability::Responses, "gpt-5", None).unwrap();
    assert_eq!(url(AZURE), format!("{AZURE}/openai/v1/responses?api-version=preview"));
    let older = "https://res.cognitiveservices.azure.com";
    assert_eq!(url(older), format!("{older}/openai/responses?api-version=2025-04-01-preview"));
}

#[test]
fn endpoints_of_some_models_are_used_for_those() {
    let ark = given("volcengine-ark", "");
    assert!(ark.url(Capability::Chat, "bot-2024", None).unwrap().ends_with("/api/v3/bots/chat/completions"));
    assert!(ark.url(Capability::Chat, "ep-2024", None).unwrap().ends_with("/api/v3/chat/completions"));
    assert!(ark.url(Capability::Messages, "ep-2024", None).is_err());
    let ali = given("ali-dashscope", "");
    assert!(ali.url(Capability::Messages, "qwen3-max", None).unwrap().ends_with("/apps/anthropic/v1/messages"));
    assert!(ali.url(Capability::Messages, "deepseek-v3", None).is_err());
    assert!(given("openai", "").url(Capability::Chat, "o3-pro-2025-06-10", None).is_err());
    assert!(given("openai", "https://proxy.example").url(Capability::Chat, "o3-pro", None).is_ok());
}

#[test]
fn an_account_stands_in_the_address_as_one_step() {
    let cloudflare = Given { extra: &[(FieldName::AccountId, " a/c ")], ..given("cloudflare-workers-ai", "") };
    let front = "https://api.cloudflare.com/client/v4/accounts/a%2Fc/ai";
    assert_eq!(cloudflare.url(Capability::Chat, "@cf/m", None).unwrap(), format!("{front}/v1/chat/completions"));
    assert_eq!(cloudflare.url(Capability::Completions, "@cf/meta/m", None).unwrap(), format!("{front}/run/@cf/meta/m"));
    assert_eq!(cloudflare.url(Capability::Completions, "@cf/../m", None), Err(CallError::Model));
    let missing = given("cloudflare-workers-ai", "").url(Capability::Chat, "m", None).unwrap_err();
    assert_eq!(missing.to_string(), "the channel's account_id is missing or cannot be sent");
}

#[test]
fn endings_that_hooks_read_are_not_in_the_address() {
    let azure = given("azure-openai", AZURE);
    for model in ["gpt-5-mini-high", "my-model-high"] {
        let url = azure.url(Capability::Chat, model, None).unwrap();
        assert!(url.contains(&format!("/deployments/{model}/")), "a name is what it is here: {url}");
    }
}

#[test]
fn messages_carry_version_and_features_once() {
    let header = |target: &Target, name: &str| target.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let anthropic = given("anthropic", "");
    let plain = anthropic.call(Capability::Messages, "m", false, &ClientHints::default()).unwrap();
    assert_eq!(header(&plain, "anthropic-version").as_deref(), Some("2023-06-01"));
    assert_eq!(header(&plain, "anthropic-beta"), None);
    assert_eq!(header(&plain, "x-api-key").as_deref(), Some("topsecret"));
    let (version, beta) = (HeaderValue::from_static("2024-01-01"), HeaderValue::from_static("a-1, b-2 ,a-1"));
    let hints = ClientHints {
        anthropic_version: Some(&version),
        anthropic_beta: Some(&beta),
        openai_beta: Some(&beta),
        betas: &["b-2", "c-3"],
        query: Some("x=1&beta=true"),
        ..ClientHints::default()
    };
    let asked = anthropic.call(Capability::CountTokens, "m", false, &hints).unwrap();
    assert_eq!(header(&asked, "anthropic-version").as_deref(), Some("2024-01-01"));
    assert_eq!(header(&asked, "anthropic-beta").as_deref(), Some("a-1,b-2,c-3"));
    assert_eq!(header(&asked, "openai-beta"), None);
    assert_eq!(asked.url.as_str(), "https://api.anthropic.com/v1/messages/count_tokens?beta=true");
    let listed = anthropic.call(Capability::Models, "", false, &hints).unwrap();
    assert_eq!(header(&listed, "anthropic-version").as_deref(), Some("2024-01-01"));
    assert_eq!(listed.url.query(), None);

    for (slug, capability) in [("deepseek", Capability::Chat), ("google-gemini", Capability::GenerateContent)] {
        let elsewhere = given(slug, "").call(capability, "m", false, &hints).unwrap();
        assert_eq!((header(&elsewhere, "anthropic-version"), header(&elsewhere, "anthropic-beta")), (None, None), "{slug}");
        assert_eq!(elsewhere.url.query(), None, "{slug}");
    }
    let native = given("deepseek", "").call(Capability::Messages, "m", false, &hints).unwrap();
    assert_eq!(header(&native, "anthropic-beta").as_deref(), Some("a-1,b-2,c-3"));
    let forced = Given { extra: &[(FieldName::BetaQuery, "true")], ..given("anthropic", "") };
    assert!(forced.url(Capability::Messages, "m", None).unwrap().ends_with("/v1/messages?beta=true"));
}

#[test]
fn a_key_of_two_parts_goes_to_two_headers() {
    type Sent = Result<(Option<String>, Option<String>), CallError>;
    let sent = |secret: &'static str| -> Sent {
        let given = Given { secret: secret.into(), ..given("baidu-qianfan-v2", "") };
        let target = given.call(Capability::Chat, "m", false, &ClientHints::default())?;
        let header = |name: &str| target.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(target.headers.get("appid").is_none_or(HeaderValue::is_sensitive));
        Ok((header("authorization"), header("appid")))
    };
    assert_eq!(sent("key | app-1"), Ok((Some("Bearer key".into()), Some("app-1".into()))));
    assert_eq!(sent("key"), Ok((Some("Bearer key".into()), None)));
    assert_eq!(sent("|app-1"), Err(CallError::Secret));
    assert_eq!(sent("key|"), Err(CallError::Secret));
}

#[test]
fn headers_of_the_catalogue_are_sent_when_they_have_a_value() {
    let names = |given: &Given, is_streamed| {
        let target = given.call(Capability::Chat, "m", is_streamed, &ClientHints::default()).unwrap();
        let own = target.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-") || *name == "http-referer");
        own.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let ali = given("ali-dashscope", "");
    assert_eq!(names(&ali, false), Vec::<String>::new());
    assert_eq!(names(&ali, true), ["x-dashscope-sse: enable"]);
    let router =
        Given { extra: &[(FieldName::Title, "Sluice"), (FieldName::Referer, "https://a.example")], ..given("openrouter", "") };
    assert_eq!(names(&router, false), ["http-referer: https://a.example", "x-title: Sluice"]);
    let broken = Given { extra: &[(FieldName::Title, "a\r\nb")], ..given("openrouter", "") };
    let error = broken.url(Capability::Chat, "m", None).unwrap_err();
    assert_eq!(error, CallError::Setting { field: FieldName::Title });
}

#[test]
fn vertex_has_an_address_for_each_maker_and_region() {
    let account = r#"{"client_email":"a@b","project_id":"p-1","private_key":"k"}"#;
    let at = |region: &'static [(FieldName, &'static str)]| Given {
        secret: account.into(),
        extra: region,
        ..given("google-vertex", "")
    };
    let url = |given: &Given, capability, model| given.stream_url(capability, model).unwrap();
    let global = at(&[]);
    let front = "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global/publishers";
    assert_eq!(
        url(&global, Capability::GenerateContent, "gemini-2.5-pro"),
        format!("{front}/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse")
    );
    assert_eq!(
        url(&global, Capability::Messages, "claude-sonnet-4-5-20250929"),
        format!("{front}/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict")
    );
    let regional = at(&[(FieldName::Region, "us-central1")]);
    assert_eq!(
        url(&regional, Capability::Chat, "meta/llama-3.3-70b-instruct-maas"),
        "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p-1/locations/us-central1/endpoints/openapi/chat/completions"
    );
    let each = at(&[(FieldName::Region, r#"{"claude-opus-4-6":"us-east5","default":"europe-west1"}"#)]);
    assert!(url(&each, Capability::Messages, "claude-opus-4-6").starts_with("https://us-east5-aiplatform.googleapis.com/"));
    assert!(url(&each, Capability::GenerateContent, "gemini-x").contains("/locations/europe-west1/"));
    let hostile = at(&[(FieldName::Region, "evil.example/")]);
    let error = hostile.stream_url(Capability::GenerateContent, "gemini-x").unwrap_err();
    assert_eq!(error, CallError::Setting { field: FieldName::Region });
    for (capability, model) in [(Capability::GenerateContent, "claude-opus-4-6"), (Capability::Messages, "gemini-x")] {
        assert!(matches!(global.stream_url(capability, model), Err(CallError::NotServed { .. })), "{model}");
    }
}

#[test]
fn clouds_have_version_and_features_in_the_body() {
    let bedrock = Given { secret: "ak|sk|us-east-1".into(), ..given("aws-bedrock", "") };
    let beta = HeaderValue::from_static("a-1,b-2");
    let hints = ClientHints { anthropic_beta: Some(&beta), betas: &["c-3"], ..ClientHints::default() };
    let target = bedrock.call(Capability::Messages, "claude-opus-4-6", false, &hints).unwrap();
    assert!(target.headers.keys().all(|name| !name.as_str().starts_with("anthropic")), "{target:?}");
    let catalog = Catalog::shipped().unwrap();
    let put = |slug: &str, hints: &ClientHints<'_>, body: serde_json::Value| -> serde_json::Value {
        let mut fields = sluice_dialect::json::Fields::parse(body.to_string().into()).unwrap();
        catalog.get(slug).unwrap().put_betas(hints, &mut fields);
        serde_json::from_slice(&fields.finish()).unwrap()
    };
    let own = serde_json::json!({"anthropic_beta": ["b-2"]});
    let all = ClientHints { allowed_betas: Some("*"), ..hints };
    assert_eq!(put("aws-bedrock", &all, own.clone()), serde_json::json!({"anthropic_beta": ["b-2", "a-1", "c-3"]}));
    assert_eq!(put("aws-bedrock", &ClientHints::default(), serde_json::json!({})), serde_json::json!({}));
    assert_eq!(put("anthropic", &hints, own.clone()), own);
}

#[test]
fn clouds_are_asked_only_for_features_that_they_take() {
    let catalog = Catalog::shipped().unwrap();
    // what a coding agent sends to whoever it takes for Anthropic
    let said = "claude-code-20250219,oauth-2025-04-20,prompt-caching-scope-2026-01-05,interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20";
    let beta = HeaderValue::from_static(said);
    let asked = |slug: &str, allowed: Option<&'static str>| {
        let hints =
            ClientHints { anthropic_beta: Some(&beta), betas: &["c-3"], allowed_betas: allowed, ..ClientHints::default() };
        let body = serde_json::json!({"anthropic_beta": ["b-2", "context-1m-2025-08-07"]});
        let mut fields = sluice_dialect::json::Fields::parse(body.to_string().into()).unwrap();
        catalog.get(slug).unwrap().put_betas(&hints, &mut fields);
        let body: serde_json::Value = serde_json::from_slice(&fields.finish()).unwrap();
        body["anthropic_beta"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for cloud in ["aws-bedrock", "google-vertex"] {
        let taken = ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19", "c-3"];
        assert_eq!(asked(cloud, None), taken, "{cloud}");
        assert_eq!(asked(cloud, Some("b-2, oauth-2025-04-20")), ["b-2", "oauth-2025-04-20", "c-3"]);
        assert_eq!(asked(cloud, Some("advanced-tool-use-2025-11-20")), ["tool-search-tool-2025-10-19", "c-3"]);
    }
    // Anthropic itself takes whatever a caller asks for, unless the channel says otherwise
    let anthropic = given("anthropic", "");
    let sent = |allowed| {
        let hints = ClientHints { anthropic_beta: Some(&beta), allowed_betas: allowed, ..ClientHints::default() };
        let target = anthropic.call(Capability::Messages, "claude-opus-4-6", false, &hints).unwrap();
        target.headers.get("anthropic-beta").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(sent(None).as_deref(), Some(said));
    assert_eq!(sent(Some("oauth-2025-04-20")).as_deref(), Some("oauth-2025-04-20"));
    assert_eq!(sent(Some("x")), None);
}

#[test]
fn an_apps_kind_says_its_address_by_setting_or_by_the_models_name() {
    let catalog = Catalog::shipped().unwrap();
    let dify = catalog.get("dify").unwrap();
    let (base_url, secret) = (dify.parse_base_url("https://dify.example/v1").unwrap(), SecretString::from("app-1"));
    let capability = Capability::Vendor(sluice_dialect::vendor::Vendor::Dify);
    for (setting, model, expected) in [
        (None, "anything", "https://dify.example/v1/chat-messages"),
        (None, "workflow-7", "https://dify.example/v1/workflows/run"),
        (Some("completion"), "anything", "https://dify.example/v1/completion-messages"),
        (Some("chatflow"), "workflow-7", "https://dify.example/v1/chat-messages"),
    ] {
        let extra: Vec<(FieldName, &str)> = setting.map(|kind| (FieldName::BotType, kind)).into_iter().collect();
        let channel = ChannelAddress {
            base_url: &base_url,
            secret: &secret,
            api_version: None,
            organization: None,
            strip_dots: false,
            extra: &extra,
        };
        let target = dify.call(&channel, capability, model, true, &ClientHints::default()).unwrap();
        assert_eq!(target.url.as_str(), expected, "{setting:?} {model}");
        assert_eq!(Provider::app(&extra).kind.as_deref(), setting);
    }
}

#[test]
fn a_stored_response_is_under_the_address_that_responses_are_made_at() {
    let at = |given: Given, call, query: Option<&str>| {
        let catalog = Catalog::shipped().unwrap();
        let provider = catalog.get(given.slug).unwrap();
        let base_url = provider.parse_base_url(given.base).unwrap();
        let Given { secret, api_version, extra, .. } = &given;
        let channel = ChannelAddress {
            base_url: &base_url,
            secret,
            api_version: *api_version,
            organization: None,
            strip_dots: false,
            extra,
        };
        let client = ClientHints { query, ..ClientHints::default() };
        let target = provider.stored_call(&channel, (call, "resp_1"), "gpt-4o", false, &client)?;
        let has_type = target.headers.contains_key(CONTENT_TYPE);
        assert_eq!(target.headers.contains_key(AUTHORIZATION), given.slug == "openai", "the key is on it");
        Ok::<_, CallError>((target.method.to_string(), target.url.to_string(), has_type))
    };
    let told = |method: &str, url: &str, has_type| Ok((method.to_owned(), url.to_owned(), has_type));
    let openai = || given("openai", "");
    let query = Some("stream=true&key=topsecret&starting_after=3&include[]=a&api-version=9");
    let url = "https://api.openai.com/v1/responses/resp_1";
    let kept = format!("{url}?stream=true&starting_after=3&include[]=a");
    assert_eq!(at(openai(), StoredCall::Retrieve, query), told("GET", &kept, false));
    assert_eq!(at(openai(), StoredCall::Delete, query), told("DELETE", url, false));
    assert_eq!(at(openai(), StoredCall::Cancel, None), told("POST", &format!("{url}/cancel"), true));
    let items = format!("{url}/input_items?limit=2&order=asc");
    assert_eq!(at(openai(), StoredCall::InputItems, Some("limit=2&stream=true&order=asc")), told("GET", &items, false));
    let azure = || given("azure-openai", "https://x.openai.azure.com");
    let cancel = "https://x.openai.azure.com/openai/v1/responses/resp_1/cancel?api-version=preview";
    assert_eq!(at(azure(), StoredCall::Cancel, None), told("POST", cancel, true));
    at(given("anthropic", ""), StoredCall::Retrieve, None).unwrap_err();
}
