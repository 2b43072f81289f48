//! The providers that come with Sluice.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use crate::base_url::MODEL;
use crate::{AuthScheme, BaseUrl, BaseUrlMeaning, Provider};

/// Every catalogue file, in the order they are offered.
const FILES: [(&str, &str); 4] = [
    ("openai", include_str!("../catalog/openai.toml")),
    ("openai-compatible", include_str!("../catalog/openai-compatible.toml")),
    ("azure-openai", include_str!("../catalog/azure-openai.toml")),
    ("custom", include_str!("../catalog/custom.toml")),
];

/// A catalogue file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is not what a catalogue file looks like.
    #[error("cannot read provider {slug}")]
    Parse {
        /// The file's name without `.toml`.
        slug: String,
        /// What the parser says.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It contradicts itself.
    #[error("provider {slug}: {rule}")]
    Rule {
        /// The file's name without `.toml`.
        slug: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Two files share a slug or a number.
    #[error("provider {slug} has a slug or number of another one")]
    Doubled {
        /// The later one.
        slug: String,
    },
}

/// Providers by slug.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    in_order: Vec<Arc<Provider>>,
    by_slug: HashMap<String, usize>,
}

impl Catalog {
    /// The providers that come with Sluice.
    ///
    /// # Errors
    /// When an embedded file is broken, which a test rules out.
    pub fn shipped() -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (slug, text) in FILES {
            catalog.add(slug, text)?;
        }
        Ok(catalog)
    }

    /// Adds a provider from the text of its file.
    ///
    /// # Errors
    /// When the text is no catalogue file, contradicts itself, or repeats a slug or number.
    pub fn add(&mut self, slug: &str, text: &str) -> Result<(), CatalogError> {
        let provider: Provider =
            toml::from_str(text).map_err(|source| CatalogError::Parse { slug: slug.to_owned(), source: Box::new(source) })?;
        if let Some(rule) = broken_rule(slug, &provider) {
            return Err(CatalogError::Rule { slug: slug.to_owned(), rule });
        }
        if self.in_order.iter().any(|other| other.slug == provider.slug || other.id == provider.id) {
            return Err(CatalogError::Doubled { slug: slug.to_owned() });
        }
        self.by_slug.insert(provider.slug.clone(), self.in_order.len());
        self.in_order.push(Arc::new(provider));
        Ok(())
    }

    /// The provider of a slug.
    #[must_use]
    pub fn get(&self, slug: &str) -> Option<&Arc<Provider>> {
        self.by_slug.get(slug).and_then(|place| self.in_order.get(*place))
    }

    /// All providers, in the order they are offered.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.in_order.iter()
    }

    /// The provider of a New API channel type.
    #[must_use]
    pub fn by_new_api_id(&self, id: u32) -> Option<&Arc<Provider>> {
        self.iter().find(|provider| provider.new_api_id == Some(id))
    }

    /// The provider of a One API channel type.
    #[must_use]
    pub fn by_one_api_id(&self, id: u32) -> Option<&Arc<Provider>> {
        self.iter().find(|provider| provider.one_api_id == Some(id))
    }
}

/// The first rule a file breaks beyond its grammar.
fn broken_rule(slug: &str, provider: &Provider) -> Option<&'static str> {
    let is_slug =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if provider.slug != slug || !is_slug(slug) {
        return Some("the slug must be the file's name, of a-z, 0-9 and -");
    }
    let is_full = provider.base_url.meaning == BaseUrlMeaning::FullUrl;
    if is_full != provider.endpoints.is_empty() || is_full == provider.base_url.serves.is_empty() {
        return Some("a prefix needs endpoints, a full URL needs a list of what it serves");
    }
    let unversioned = provider.versions.iter().flat_map(|versions| versions.endpoints.values());
    if !provider.endpoints.values().chain(unversioned).all(|path| is_path(path)) {
        return Some("every path must start with / and hold no query and no braces but {model}");
    }
    if provider.base_url.default.as_ref().is_some_and(|text| BaseUrl::parse(text, provider.base_url.meaning).is_err()) {
        return Some("the default base URL must be a base URL");
    }
    let header = provider.auth.header.as_deref().map(|name| HeaderName::try_from(name).is_ok());
    match (provider.auth.scheme, header) {
        (AuthScheme::Bearer, None) | (AuthScheme::Header, Some(true)) => None,
        _ => Some("only the scheme `header` names a header, and it must be one"),
    }
}

fn is_path(path: &str) -> bool {
    let rest = path.replace(MODEL, "");
    path.starts_with('/') && !path.ends_with('/') && !rest.contains(['{', '}', '?', '#', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BaseUrlError, Capability};

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

    #[test]
    fn every_provider_serves_chat_and_explains_its_fields() {
        for provider in Catalog::shipped().unwrap().iter() {
            assert!(provider.serves(Capability::Chat), "{}", provider.slug);
            assert!(provider.fields.iter().all(|field| !field.help.is_empty() && !field.label.is_empty()), "{}", provider.slug);
            assert!(!provider.base_url.help.is_empty(), "{}", provider.slug);
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
}
