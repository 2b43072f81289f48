//! Where channels are, and what is special about them: judged once, and kept while the configuration stays.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use sluice_dialect::Surface;
use sluice_dialect::capabilities::Table;
use sluice_dialect::exchange::Way;
use sluice_dialect::target::Options;
use sluice_domain::ChannelId;
use sluice_providers::{BaseUrl, Catalog, ChannelAddress, FieldName, HeaderOverrideError, ParamOverrideError, Provider};
use sluice_routing::Candidate;
use sluice_snapshot::Channel;
use sluice_upstream::ProxyError;

use super::lacking::Lacking;
use super::shape::Shape;

/// A channel whose provider and address are known to be good.
#[derive(Debug)]
pub(super) struct Place {
    /// Its provider.
    pub(super) provider: Arc<Provider>,
    /// Its address, or its provider's.
    pub(super) base_url: BaseUrl,
    /// The provider's slug, as metric label.
    pub(super) label: Arc<str>,
    /// What writers of bodies are to do.
    pub(super) writer: Options,
    /// Interfaces that were not found there.
    pub(super) lacking: Lacking,
    /// What its administrator wants of requests and answers.
    pub(super) shape: Shape,
}

impl Place {
    /// The channel as its provider addresses it. `fields`: its settings, [`Shape::fields`].
    pub(super) fn channel<'a>(&'a self, candidate: &'a Candidate, fields: &'a [(FieldName, &'a str)]) -> ChannelAddress<'a> {
        ChannelAddress {
            base_url: &self.base_url,
            secret: &candidate.key.secret,
            api_version: candidate.channel.api_version.as_deref().or_else(|| self.shape.field(FieldName::ApiVersion)),
            organization: self.shape.field(FieldName::Organization),
            strip_dots: self.shape.field(FieldName::StripDots) == Some("true"),
            extra: fields,
        }
    }

    /// The way of a candidate's request to the surface it is asked at. `table`: what models take by the site's own rows.
    pub(super) fn way<'w>(&'w self, candidate: &Candidate, (surface, model): (Surface, &'w str), table: &'w Table) -> Way<'w> {
        Way {
            surface,
            model,
            suffix: None,
            table,
            family: self.provider.family,
            host: self.provider.host,
            options: &self.writer,
            output_limit: None,
            account: u64::try_from(candidate.channel.id.get()).ok(),
            stream_options: self.provider.stream_options,
            losses: self.shape.losses(),
            manner: self.shape.manner(),
        }
    }
}

/// Why a channel has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// This relay does not know its provider. Another one may.
    Provider,
    /// Its address cannot be one.
    Address,
    /// The same of its proxy's.
    Proxy(ProxyError),
    /// Its rules for bodies cannot be followed.
    Params(ParamOverrideError),
    /// Its entries for headers cannot be sent.
    Headers(HeaderOverrideError),
}

/// The places of channels met so far.
#[derive(Debug)]
pub(super) struct Addresses {
    catalog: Arc<Catalog>,
    known: RwLock<HashMap<ChannelId, Entry>>,
}

/// A place, and the form of the channel it was worked out from.
#[derive(Debug)]
struct Entry {
    channel: Arc<Channel>,
    place: Result<Arc<Place>, NoPlace>,
}

/// More channels than anybody has; beyond it the memory starts anew.
const MAX_KNOWN: usize = 50_000;

impl Addresses {
    /// Knows no channel yet.
    #[must_use]
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, known: RwLock::default() }
    }

    /// Where a channel is.
    pub(super) fn of(&self, channel: &Arc<Channel>) -> Result<Arc<Place>, NoPlace> {
        // A changed configuration brings new channel objects, so the same object means the same address.
        if let Some(entry) = self.known.read().get(&channel.id)
            && Arc::ptr_eq(&entry.channel, channel)
        {
            return entry.place.clone();
        }
        let place = self.work_out(channel).map(Arc::new);
        let mut known = self.known.write();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(channel.id, Entry { channel: Arc::clone(channel), place: place.clone() });
        place
    }

    fn work_out(&self, channel: &Channel) -> Result<Place, NoPlace> {
        let provider = match &channel.definition {
            Some(definition) => Arc::new(Provider::from_definition(definition).map_err(|_| NoPlace::Provider)?),
            None => Arc::clone(self.catalog.get(&channel.provider).ok_or(NoPlace::Provider)?),
        };
        let base_url = provider.parse_base_url(channel.base_url.as_deref().unwrap_or_default()).map_err(|_| NoPlace::Address)?;
        let (shape, lacking) = (Shape::of(&channel.settings)?, Lacking::default());
        let mut app = Provider::app(&shape.fields());
        app.kind = app.kind.or_else(|| channel.api_version.as_deref().map(str::to_owned));
        let writer = Options { app, ..provider.writer.clone() };
        let label = provider.slug.as_str().into();
        Ok(Place { provider, base_url, label, writer, lacking, shape })
    }
}

#[cfg(test)]
mod tests {
    use sluice_domain::Status;

    use super::*;

    #[test]
    fn a_channel_with_a_description_of_its_provider_goes_by_it() {
        let channel = |provider: &str, definition: Option<&str>| {
            Arc::new(Channel {
                id: ChannelId::new(1),
                name: "one".into(),
                provider: provider.into(),
                base_url: None,
                api_version: None,
                keys: vec![],
                models: vec![],
                groups: vec![],
                priority: 0,
                weight: 1,
                status: Status::Enabled,
                model_mapping: std::collections::BTreeMap::new(),
                cache_read_ratio: None,
                policy: sluice_snapshot::ChannelPolicy::default(),
                limits: sluice_domain::Limits::default(),
                settings: Arc::default(),
                definition: definition.map(Arc::from),
            })
        };
        let described = r#"{"slug":"our-own","name":"Our own","stream_options":"force","models":[],
            "base_url":{"meaning":"prefix","default":"https://llm.example","help":"h"},
            "auth":{"scheme":"bearer","key_example":"k"},"endpoints":{"chat":"/v1/chat/completions"}}"#;
        let addresses = Addresses::new(Arc::new(Catalog::served().unwrap()));
        let place = addresses.of(&channel("our-own", Some(described))).unwrap();
        assert_eq!((place.base_url.as_str(), &*place.label), ("https://llm.example", "our-own"));
        let elsewhere = described.replace("llm.example", "other.example");
        let moved = addresses.of(&channel("our-own", Some(&elsewhere))).unwrap();
        assert_eq!(moved.base_url.as_str(), "https://other.example", "another configuration brings other channels");
        assert_eq!(addresses.of(&channel("our-own", None)).unwrap_err(), NoPlace::Provider);
        assert_eq!(addresses.of(&channel("our-own", Some("{}"))).unwrap_err(), NoPlace::Provider);
        assert_eq!(&*addresses.of(&channel("openai", None)).unwrap().label, "openai");
    }
}
