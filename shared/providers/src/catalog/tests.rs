use super::*;
use crate::{BaseUrlError, Capability, ProviderStatus};

#[test]
fn every_file_of_the_folder_is_shipped_and_parses() {
    let catalog = Catalog::shipped().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".toml", ""))
        .collect();
    files.sort();
    let mut slugs: Vec<_> = catalog.iter().map(|provider| provider.slug.clone()).collect();
    slugs.sort();
    assert_eq!(files, slugs);
}

/// The table of One API's family: every type there is, those of media and tasks too.
const TABLE: &str = include_str!("../../tests/providers.tsv");

/// The provider of text that is not shipped: Google has switched PaLM off.
const MISSING: &str = "google-palm";

#[test]
fn every_provider_of_the_table_is_shipped_with_its_numbers() {
    let catalog = Catalog::shipped().unwrap();
    let number = |text: &str| text.parse::<u32>().ok();
    let mut known = Vec::new();
    for line in TABLE.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, new_api, one_api, key, status, category, _, _, base_url] = cells[..] else { panic!("{line}") };
        let is_text = ["text", "workflow"].contains(&category) || ["replicate", "raw-proxy"].contains(&key);
        if !is_text || key == MISSING {
            assert!(catalog.by_number(number(id).unwrap()).is_none(), "{key}");
            continue;
        }
        let slug = if key == "openai-compatible-generic" { "openai-compatible" } else { key };
        let provider = catalog.get(slug).unwrap_or_else(|| panic!("{slug} is missing"));
        assert_eq!(Some(provider.id), number(id), "{slug}");
        assert_eq!((provider.new_api_id, provider.one_api_id), (number(new_api), number(one_api)), "{slug}");
        if provider.base_url.regional.is_none() {
            // a WebSocket's handshake is a request by HTTP
            let base_url = base_url.replace("wss://", "https://");
            assert_eq!(provider.base_url.default.as_deref().unwrap_or("-"), base_url, "{slug}");
        }
        let expected = match status {
            "legacy" => ProviderStatus::Legacy,
            "dead" => ProviderStatus::Dead,
            _ => ProviderStatus::Active,
        };
        assert_eq!(provider.status, expected, "{slug}");
        known.push(provider.slug.clone());
    }
    for provider in catalog.iter().filter(|provider| !known.contains(&provider.slug)) {
        assert!(provider.id > 2_000 && provider.new_api_id.is_none() && provider.one_api_id.is_none(), "{}", provider.slug);
    }
}

#[test]
fn every_provider_serves_something_and_explains_its_fields() {
    for provider in Catalog::shipped().unwrap().iter() {
        assert!(Capability::ALL.iter().any(|capability| provider.serves(*capability)), "{}", provider.slug);
        assert!(provider.fields.iter().all(|field| !field.help.is_empty() && !field.label.is_empty()), "{}", provider.slug);
        assert!(!provider.base_url.help.is_empty() && !provider.auth.key_example.is_empty(), "{}", provider.slug);
        let has_field = |name| provider.fields.iter().any(|field| field.name == name);
        assert!(provider.headers.iter().filter_map(|rule| rule.setting).all(has_field), "{}", provider.slug);
        let models: std::collections::HashSet<_> = provider.models.iter().collect();
        assert_eq!(models.len(), provider.models.len(), "{}", provider.slug);
        for text in provider.base_url.default.iter().chain(&provider.base_url.alternatives) {
            assert!(provider.parse_base_url(text).is_ok(), "{} {text}", provider.slug);
        }
        for link in provider.docs.iter().chain(&provider.keys_page) {
            assert!(link.starts_with("https://"), "{} {link}", provider.slug);
        }
    }
}

#[test]
fn the_familys_numbers_find_their_provider() {
    let catalog = Catalog::shipped().unwrap();
    let slug = |provider: Option<&Arc<Provider>>| provider.map(|provider| provider.slug.clone());
    assert_eq!(slug(catalog.by_new_api_id(3)).as_deref(), Some("azure-openai"));
    assert_eq!(slug(catalog.by_one_api_id(50)).as_deref(), Some("openai-compatible"));
    assert_eq!(slug(catalog.by_new_api_id(999)), None);
    assert_eq!(slug(catalog.get("custom")).as_deref(), Some("custom"));
}

#[test]
fn files_with_unknown_keys_or_contradictions_are_refused() {
    let good = FILES[0].1;
    let add = |slug: &str, text: &str| Catalog::default().add(slug, text);
    assert!(add("openai", good).is_ok());
    assert!(matches!(add("openai", &format!("colour = 1\n{good}")), Err(CatalogError::Parse { .. })));
    assert!(matches!(
        add("openai", &good.replace("[endpoints]", "[endpoints]\nchatt = \"/x\"")),
        Err(CatalogError::Parse { .. })
    ));
    assert!(matches!(add("openai", &good.replace("\"bearer\"", "\"telepathy\"")), Err(CatalogError::Parse { .. })));
    assert!(matches!(add("openai", &good.replace("cf_ai_gateway_prefix", "unheard_of")), Err(CatalogError::Parse { .. })));
    for (from, to) in [
        ("\"openai\"", "\"Open AI\""),
        ("\"/v1/models\"", "\"v1/models\""),
        ("\"/v1/models\"", "\"/v1/models?a={b}\""),
        ("\"https://api.openai.com\"", "\"api.openai.com\""),
        ("\"bearer\"", "\"header\""),
        ("scheme = \"bearer\"", "scheme = \"bearer\"\nword = \"Token\""),
        ("[endpoints]", "[stream_endpoints]\nmessages = \"/v1/messages\"\n\n[endpoints]"),
        ("\"/v1/models\"", "\"/{version}/models\""),
        ("[auth]", "[[headers]]\nname = \"X-Title\"\nvalue = \"a\"\n\n[auth]"),
        ("help = \"Leave", "regional = \"https://x.example\"\nhelp = \"Leave"),
        ("[auth]", "[[headers]]\nname = \"x-title\"\n\n[auth]"),
        ("[auth]", "[[plans]]\nname = \"a plan\"\n\n[plans.endpoints]\n\n[auth]"),
        ("[auth]", "[[plans]]\nname = \"plan\"\n\n[plans.endpoints]\nchat = \"/v1\"\n\n[auth]"),
        ("\"openai_reasoning_rules\"", "{ clamp = { field = \"top_p\", min = 1.0, max = 0.0 } }"),
        ("\"openai_reasoning_rules\"", "{ drop = { fields = [\"n\"], on = [] } }"),
        ("\"prefix\"", "\"full_url\""),
    ] {
        assert!(matches!(add("openai", &good.replace(from, to)), Err(CatalogError::Rule { .. })), "{to}");
    }
    let mut twice = Catalog::shipped().unwrap();
    assert!(matches!(twice.add("openai", good), Err(CatalogError::Doubled { .. })));
}

#[test]
fn base_urls_are_judged_with_the_providers_paths_in_mind() {
    let catalog = Catalog::shipped().unwrap();
    let parse = |slug: &str, text: &str| catalog.get(slug).unwrap().parse_base_url(text).map(|base| base.as_str().to_owned());
    assert_eq!(parse("openai", ""), Ok("https://api.openai.com".into()));
    assert_eq!(parse("openai-compatible", " "), Err(BaseUrlError::Missing));
    assert_eq!(
        parse("openai-compatible", "https://x/v1/chat/completions/"),
        Err(BaseUrlError::HasEndpoint { path: "/chat/completions".into() })
    );
    assert_eq!(parse("custom", "https://x/v1/chat/completions"), Ok("https://x/v1/chat/completions".into()));
    for (typed, path) in [
        ("/openai/deployments/gpt-4o/chat/completions", "/openai/deployments/{model}/chat/completions"),
        ("/openai/deployments/gpt-4o", "/openai/deployments/{model}"),
        ("/openai/deployments", "/openai/deployments"),
        ("/openai/v1/", "/openai/v1"),
        ("/openai/v1/responses", "/openai/v1/responses"),
    ] {
        let refused = parse("azure-openai", &format!("https://my.openai.azure.com{typed}"));
        assert_eq!(refused, Err(BaseUrlError::HasEndpoint { path: path.into() }), "{typed}");
    }
    assert_eq!(parse("azure-openai", "https://gateway.example/openai"), Ok("https://gateway.example/openai".into()));
    assert_eq!(parse("openai", "https://x/v1"), Ok("https://x/v1".into()));
}

#[test]
fn a_subscription_is_a_word_in_place_of_a_base_url() {
    let catalog = Catalog::shipped().unwrap();
    let zhipu = catalog.get("zhipu-v4").unwrap();
    assert_eq!(zhipu.parse_base_url(" glm-coding-plan ").map(|base| base.as_str().to_owned()), Ok("glm-coding-plan".into()));
    assert_eq!(zhipu.parse_base_url("kimi-coding-plan"), Err(BaseUrlError::NotAUrl));
    assert_eq!(catalog.get("deepseek").unwrap().parse_base_url("glm-coding-plan"), Err(BaseUrlError::NotAUrl));
}
