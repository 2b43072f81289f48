//! Where channels are, and what is special about them: judged once, and kept while the configuration stays.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use sluice_domain::ChannelId;
use sluice_providers::{BaseUrl, Catalog, HeaderOverrideError, ParamOverrideError, Provider};
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
    /// Interfaces that were not found there.
    pub(super) lacking: Lacking,
    /// What its administrator wants of requests and answers.
    pub(super) shape: Shape,
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
        let provider = self.catalog.get(&channel.provider).ok_or(NoPlace::Provider)?;
        let base_url = provider.parse_base_url(channel.base_url.as_deref().unwrap_or_default()).map_err(|_| NoPlace::Address)?;
        let (shape, lacking) = (Shape::of(&channel.settings)?, Lacking::default());
        Ok(Place { provider: Arc::clone(provider), base_url, label: provider.slug.as_str().into(), lacking, shape })
    }
}
