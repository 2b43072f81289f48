//! Where the control plane is, and how to get there.

use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use sluice_domain::NodeId;
use sluice_rpc::auth::JoinProof;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// The longest a connection may take to be made. One that was begun while the network was away is given up this late after its return; the
/// pauses between attempts are bounded for the same reason.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is asked for a sign of life, and how long it may take. Together they find a black hole well within 5 s.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Buffer of a connection within the process, in bytes.
const IN_PROCESS_BUFFER: usize = 256 * 1024;

/// Where the control plane is.
#[derive(Debug, Clone)]
pub enum ControlEndpoint {
    /// At one of these addresses.
    Urls {
        /// The addresses, tried in turn.
        urls: Vec<Uri>,
        /// The authority of its certificate, in PEM form, for https addresses.
        authority: Option<Vec<u8>>,
    },
    /// In this process: it gets the other end of each connection from here.
    InMemory(mpsc::Sender<DuplexStream>),
}

/// An address that cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no address.
    #[error("no address of the control plane is known")]
    NoAddress,
    /// The connection cannot be made.
    #[error("cannot connect to the control plane at {address}")]
    Transport {
        /// The address.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

impl ControlEndpoint {
    /// Connects to one of the addresses; `attempt` picks which.
    ///
    /// # Errors
    /// When the connection cannot be made within its time.
    pub async fn connect(&self, attempt: usize) -> Result<Channel, ConnectError> {
        match self {
            Self::Urls { urls, authority } => {
                let place = attempt.checked_rem(urls.len()).ok_or(ConnectError::NoAddress)?;
                let uri = urls.get(place).ok_or(ConnectError::NoAddress)?;
                let failed = |source| ConnectError::Transport { address: uri.to_string(), source };
                let endpoint = with_tls(tuned(Endpoint::from(uri.clone())), uri, authority.as_deref()).map_err(failed)?;
                endpoint.connect().await.map_err(failed)
            }
            Self::InMemory(listener) => {
                let listener = listener.clone();
                let dial = tower::service_fn(move |_: Uri| dial(listener.clone()));
                let endpoint = tuned(Endpoint::from_static("http://in-process"));
                let failed = |source| ConnectError::Transport { address: "this process".into(), source };
                endpoint.connect_with_connector(dial).await.map_err(failed)
            }
        }
    }

    /// How many different addresses there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self {
            Self::Urls { urls, .. } => urls.len(),
            Self::InMemory(_) => 1,
        }
    }

    /// The addresses to which everything travels in clear text over a network.
    #[must_use]
    pub fn unprotected(&self) -> Vec<String> {
        let Self::Urls { urls, .. } = self else { return Vec::new() };
        urls.iter().filter(|uri| is_unprotected(uri)).map(ToString::to_string).collect()
    }
}

/// Whether everything travels to this address in clear text over a network.
pub(crate) fn is_unprotected(uri: &Uri) -> bool {
    let is_local = |host: &str| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_local)
}

async fn dial(listener: mpsc::Sender<DuplexStream>) -> io::Result<TokioIo<DuplexStream>> {
    let (near, far) = tokio::io::duplex(IN_PROCESS_BUFFER);
    let gone = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the control plane in this process is gone");
    listener.send(far).await.map_err(gone)?;
    Ok(TokioIo::new(near))
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
}

fn with_tls(endpoint: Endpoint, uri: &Uri, authority: Option<&[u8]>) -> Result<Endpoint, tonic::transport::Error> {
    if uri.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().with_enabled_roots();
    endpoint.tls_config(match authority {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls,
    })
}

/// The proof that comes with every call; without join secret only the node's name.
pub(super) fn proof(join_secret: Option<&SecretString>, node: &NodeId) -> Result<JoinProof, sluice_rpc::Malformed> {
    let proof = join_secret.map(|secret| sluice_sealed::join_proof(secret, node));
    JoinProof::new(node, proof.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_over_a_network_is_told() {
        let urls = [
            "http://127.0.0.1:3001",
            "http://localhost:3001",
            "http://[::1]:3001",
            "https://control:3001",
            "http://control:3001",
        ];
        let urls = urls.into_iter().map(|url| url.parse().unwrap()).collect();
        assert_eq!(ControlEndpoint::Urls { urls, authority: None }.unprotected(), ["http://control:3001/"]);
    }
}
