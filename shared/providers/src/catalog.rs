//! The providers that come with Sluice.

use std::collections::HashMap;
use std::sync::Arc;

use self::shipped::FILES;
use crate::Provider;

pub(crate) use self::rules::broken_rule;

mod rules;
mod shipped;

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

    /// Those of them that a relay can serve: their keys are sent as they are.
    ///
    /// # Errors
    /// As [`Catalog::shipped`].
    pub fn served() -> Result<Self, CatalogError> {
        let mut served = Self::default();
        for provider in Self::shipped()?.in_order.into_iter().filter(|provider| provider.is_served()) {
            served.by_slug.insert(provider.slug.clone(), served.in_order.len());
            served.in_order.push(provider);
        }
        Ok(served)
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

    /// The provider of a number of ours.
    #[must_use]
    pub fn by_number(&self, id: u32) -> Option<&Arc<Provider>> {
        self.iter().find(|provider| provider.id == id)
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

#[cfg(test)]
mod tests;
