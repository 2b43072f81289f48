//! Media that a request names by address, fetched for upstreams that are to get them as data.
//!
//! The address comes from a caller, so it must not reach what only we can reach: every name is looked up by a resolver that gives away no
//! address of a private network, of this machine, or of a cloud's own services, and the connection goes to what it gave. Redirects are
//! followed by hand, a few of them, each under the same rules.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use moka::sync::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use sluice_dialect::media;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::{Host, Url};

use crate::error::chain;
use crate::route::ProxyUrl;
use crate::{Failure, SendError};

mod reach;

pub use reach::Reach;

/// The longest a medium may take, redirects and the wait for its turn included.
const MAX_TIME: Duration = Duration::from_secs(10);
/// The longest a connection may take to make.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;
/// Media fetched at once; more wait.
const MAX_AT_ONCE: usize = 64;
/// Proxies whose clients are kept; the one unused for longest goes first.
const MAX_PROXIES: u64 = 64;
/// A client nobody used for this long is closed, and so is a connection.
const IDLE: Duration = Duration::from_mins(1);
/// The longest address, in bytes.
const MAX_ADDRESS_BYTES: usize = 8 << 10;
/// What servers are asked for.
const WANTED: &str = "image/*, application/pdf, audio/*, text/plain";

/// Fetches media. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct MediaFetcher {
    direct: reqwest::Client,
    proxied: Cache<ProxyUrl, reqwest::Client>,
    reach: Reach,
    turns: Arc<Semaphore>,
    user_agent: String,
}

/// A medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Its media type, without parameters.
    pub mime: String,
    /// Its bytes.
    pub data: Bytes,
}

/// Why a medium could not be fetched: a clause that follows the field which names it. It shows no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// It is not one of the web.
    #[error("must be an http or https address without user")]
    Address,
    /// It leads where callers have no business.
    #[error("leads to an address that is not public")]
    Private,
    /// Nobody answers there.
    #[error("could not be fetched: nobody answers at its address")]
    Unreachable,
    /// It took too long.
    #[error("could not be fetched in {} seconds", MAX_TIME.as_secs())]
    Late,
    /// Somebody answers, and does not give it.
    #[error("could not be fetched: its address answers with status {0}")]
    Status(u16),
    /// Redirects lead to redirects.
    #[error("is redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    /// It is too large.
    #[error("is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was allowed.
        limit_bytes: usize,
    },
    /// It is no medium that can be sent on.
    #[error("must be an image, sound, a PDF document or plain text")]
    Type,
}

impl std::fmt::Debug for MediaFetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaFetcher").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl MediaFetcher {
    /// A fetcher without connections.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(reach: Reach, user_agent: &str) -> Result<Self, SendError> {
        let direct =
            builder(user_agent).no_proxy().dns_resolver(Arc::new(Guarded(reach))).build().map_err(|error| invalid(&error))?;
        let proxied = Cache::builder().max_capacity(MAX_PROXIES).time_to_idle(IDLE).build();
        Ok(Self { direct, proxied, reach, turns: Arc::new(Semaphore::new(MAX_AT_ONCE)), user_agent: user_agent.to_owned() })
    }

    /// Fetches what is at an address, if it has at most `limit_bytes`. A proxy looks names up itself: what it reaches is up to whoever runs it, but
    /// addresses that are not public by themselves are refused there too.
    ///
    /// # Errors
    /// When it is not there, too large, of another type, or where callers have no business.
    pub async fn fetch(&self, address: &str, proxy: Option<&ProxyUrl>, limit_bytes: usize) -> Result<Medium, MediaError> {
        let url = self.judged(address)?;
        let client = self.client(proxy)?;
        let fetching = async {
            let _turn = self.turns.acquire().await.map_err(|_| MediaError::Unreachable)?;
            self.follow(&client, url, limit_bytes).await
        };
        timeout(MAX_TIME, Box::pin(fetching)).await.map_err(|_| MediaError::Late)?
    }

    async fn follow(&self, client: &reqwest::Client, first: Url, limit_bytes: usize) -> Result<Medium, MediaError> {
        let mut url = first;
        for _ in 0..=MAX_REDIRECTS {
            let sent = client.get(url.clone()).header(ACCEPT, WANTED).send().await;
            let answer = sent.map_err(|error| failed(&error))?;
            let status = answer.status();
            if status == StatusCode::OK {
                return read(answer, limit_bytes).await;
            }
            let next = answer.headers().get(LOCATION).filter(|_| status.is_redirection()).and_then(|next| next.to_str().ok());
            let Some(next) = next else { return Err(MediaError::Status(status.as_u16())) };
            url = self.judged(url.join(next).map_err(|_| MediaError::Address)?.as_str())?;
        }
        Err(MediaError::Redirects)
    }

    /// An address that may be asked, as far as it shows that itself. Numbers in any spelling are addresses to the parser.
    fn judged(&self, address: &str) -> Result<Url, MediaError> {
        if address.len() > MAX_ADDRESS_BYTES {
            return Err(MediaError::Address);
        }
        let url = Url::parse(address).map_err(|_| MediaError::Address)?;
        let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let is_reached = match url.host().filter(|_| is_plain).ok_or(MediaError::Address)? {
            Host::Ipv4(ip) => self.reach.takes(IpAddr::V4(ip)),
            Host::Ipv6(ip) => self.reach.takes(IpAddr::V6(ip)),
            Host::Domain(name) => self.reach.takes_name(name),
        };
        if is_reached { Ok(url) } else { Err(MediaError::Private) }
    }

    fn client(&self, proxy: Option<&ProxyUrl>) -> Result<reqwest::Client, MediaError> {
        let Some(proxy) = proxy else { return Ok(self.direct.clone()) };
        let made = || {
            let through = reqwest::Proxy::all(proxy.as_str())?;
            builder(&self.user_agent).proxy(through).build()
        };
        self.proxied.try_get_with(proxy.clone(), made).map_err(|_| MediaError::Unreachable)
    }
}

/// Looks names up, and gives away no address that is out of reach.
#[derive(Debug, Clone, Copy)]
struct Guarded(Reach);

/// Every address of a name is out of reach.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address within reach")]
struct OutOfReach;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let reached: Vec<SocketAddr> = found.into_iter().filter(|address| reach.takes(address.ip())).collect();
            if reached.is_empty() {
                return Err(Box::new(OutOfReach) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(reached.into_iter()) as Addrs)
        })
    }
}

fn builder(user_agent: &str) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIME)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
}

fn invalid(error: &reqwest::Error) -> SendError {
    SendError::with_cause(Failure::InvalidRoute, error)
}

fn failed(error: &reqwest::Error) -> MediaError {
    if chain(error).any(<dyn Error>::is::<OutOfReach>) {
        MediaError::Private
    } else if error.is_timeout() {
        MediaError::Late
    } else {
        MediaError::Unreachable
    }
}

async fn read(mut answer: reqwest::Response, limit_bytes: usize) -> Result<Medium, MediaError> {
    let too_large = MediaError::TooLarge { limit_bytes };
    let declared = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if answer.content_length().is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit_bytes)) {
        return Err(too_large);
    }
    let mut data = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failed(&error))? {
        if data.len() + piece.len() > limit_bytes {
            return Err(too_large);
        }
        data.extend_from_slice(&piece);
    }
    let mime = media::media_type(&declared, &data);
    let is_known = !declared.is_empty() || media::sniff(&data).is_some();
    if is_known && can_be_sent(&mime) { Ok(Medium { mime, data: data.freeze() }) } else { Err(MediaError::Type) }
}

fn can_be_sent(mime: &str) -> bool {
    mime.starts_with("image/") || mime.starts_with("audio/") || matches!(mime, "application/pdf" | "text/plain")
}
