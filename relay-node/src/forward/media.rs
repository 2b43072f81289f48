//! Media that a request names by address, fetched where its upstream is to get them as data.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sluice_dialect::Surface;
use sluice_dialect::exchange::{Fetched, Remote, Way};
use sluice_dialect::target::Host;
use sluice_routing::Candidate;
use sluice_snapshot::MediaByUrl;
use sluice_upstream::{MediaError, Medium};
use tokio::time::{Duration, timeout};

use super::Journey;
use super::address::Place;
use super::failure::Failure;
use crate::budget::HeldBytes;
use crate::error::{Kind, Refusal};

/// Media of one request that are fetched.
const MAX_MEDIA: usize = 16;
/// The largest medium, in bytes.
const MAX_BYTES: usize = 20 << 20;
/// Media of one request that are fetched at once.
const AT_ONCE: usize = 2;
/// The longest all of them may take.
const MAX_TIME: Duration = Duration::from_secs(30);
/// A medium stands in memory as it came, as base64, and in the body that is sent.
const COPIES: usize = 3;

/// What was fetched for a request, for all of its attempts, and the memory it takes.
#[derive(Debug, Default)]
pub(super) struct Media(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    fetched: Fetched,
    held: Vec<HeldBytes>,
}

impl Journey {
    /// The media that an upstream is to get as data: fetched, unless an earlier attempt did.
    pub(super) async fn media(&self, candidate: &Candidate, place: &Place, way: &Way<'_>) -> Result<Fetched, Failure> {
        // clouds take no addresses where the provider itself does
        let is_in_cloud = way.surface == Surface::Messages && place.provider.host != Host::Own;
        let by_url = candidate.channel.settings.media_by_url.unwrap_or(self.terms.settings.media_by_url);
        let inlines = is_in_cloud || by_url == MediaByUrl::Inline;
        let mut wanted = self.request.remote_media(way, inlines);
        if wanted.is_empty() {
            return Ok(Fetched::default());
        }
        wanted.sort_by(|one, other| one.url.cmp(&other.url));
        wanted.dedup_by(|one, other| one.url == other.url);
        if let Some(beyond) = wanted.get(MAX_MEDIA) {
            return Err(refused(beyond, &format!("is one medium too many: {MAX_MEDIA} may be named by address")));
        }
        wanted.retain(|remote| !self.fetched.0.lock().fetched.has(&remote.url));
        let all = stream::iter(wanted).map(|remote| self.fetch(place, remote)).buffered(AT_ONCE).try_collect::<Vec<()>>();
        let late =
            |_| Failure::callers(Refusal::new(Kind::InvalidRequest, "the media of the request could not be fetched in time"));
        timeout(MAX_TIME, Box::pin(all)).await.map_err(late)??;
        Ok(self.fetched.0.lock().fetched.clone())
    }

    async fn fetch(&self, place: &Place, remote: Remote) -> Result<(), Failure> {
        let no_room = |_| Failure::no_memory(http::StatusCode::OK);
        let mut held = self.app.bytes.hold(MAX_BYTES).map_err(no_room)?;
        let proxy = place.shape.media_proxy().or(self.app.settings.requests.media_proxy.as_ref());
        let fetching = self.app.engine.media.fetch(&remote.url, proxy, MAX_BYTES);
        let Medium { mime, data } = fetching.await.map_err(|error: MediaError| refused(&remote, &error.to_string()))?;
        held.resize(&self.app.bytes, data.len() * COPIES).map_err(no_room)?;
        let mut kept = self.fetched.0.lock();
        kept.fetched.put(remote.url, mime, data);
        kept.held.push(held);
        Ok(())
    }
}

/// The caller named it.
fn refused(remote: &Remote, rule: &str) -> Failure {
    let refusal = Refusal::new(Kind::InvalidRequest, format!("`{}` {rule}", remote.path));
    Failure::callers(refusal.with_param(remote.path.clone()))
}
