use rstest::rstest;

use super::*;
use crate::Catalog;

struct Given {
    slug: &'static str,
    base: &'static str,
    secret: SecretString,
    api_version: Option<&'static str>,
    strip_dots: bool,
}

fn given(slug: &'static str, base: &'static str) -> Given {
    Given { slug, base, secret: "topsecret".into(), api_version: None, strip_dots: false }
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
        };
        provider.call(&channel, capability, model, is_streamed, client)
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
    };
    let target = provider.call(&channel, Capability::Chat, "m", false, &ClientHints::default()).unwrap();
    assert_eq!(target.headers.get("openai-organization").unwrap(), "org-1");
    let broken = ChannelAddress { organization: Some("a\r\nb"), ..channel };
    let error = provider.call(&broken, Capability::Chat, "m", false, &ClientHints::default()).unwrap_err();
    assert_eq!(error, CallError::Organization);
}
