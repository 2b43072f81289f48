//! How a relay proves that it belongs: metadata of every call.

use secrecy::SecretString;
use sluice_domain::NodeId;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Metadata key of the proof.
pub const AUTHORIZATION: &str = "authorization";
/// Metadata key of the node's name.
pub const NODE: &str = "sluice-node";

/// Metadata key of the session, in decimal: which registration of the node a stream belongs to.
pub const SESSION: &str = "sluice-session";

/// Adds the proof, the node's name and, once it has registered, its session to every call of a relay.
#[derive(Clone)]
pub struct JoinProof {
    authorization: Option<MetadataValue<Ascii>>,
    node: MetadataValue<Ascii>,
    session: Option<MetadataValue<Ascii>>,
}

impl JoinProof {
    /// A proof for a node; without one (loopback only) calls carry just the node's name.
    ///
    /// # Errors
    /// When the proof has characters that metadata cannot carry.
    pub fn new(node: &NodeId, proof: Option<&SecretString>) -> Result<Self, crate::Malformed> {
        use secrecy::ExposeSecret;
        let bearer = |secret: &SecretString| {
            let mut value = MetadataValue::try_from(format!("Bearer {}", secret.expose_secret()))
                .map_err(|_| crate::Malformed::new("authorization", "must be printable ASCII"))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let node = MetadataValue::try_from(node.as_str()).map_err(crate::Malformed::at("node_id"))?;
        Ok(Self { authorization: proof.map(bearer).transpose()?, node, session: None })
    }

    /// The same for calls of a session; 0, as an older control plane answers, is none.
    #[must_use]
    pub fn in_session(self, session: i64) -> Self {
        Self { session: (session > 0).then(|| MetadataValue::from(session)), ..self }
    }
}

impl Interceptor for JoinProof {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert(AUTHORIZATION, authorization.clone());
        }
        request.metadata_mut().insert(NODE, self.node.clone());
        if let Some(session) = &self.session {
            request.metadata_mut().insert(SESSION, session.clone());
        }
        Ok(request)
    }
}

/// The proof that came with a call, without its scheme.
#[must_use]
pub fn presented_proof<T>(request: &Request<T>) -> Option<&str> {
    request.metadata().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The node that a call says it comes from.
///
/// # Errors
/// `unauthenticated` when there is none or it is not a node name.
pub fn presented_node<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let text = request.metadata().get(NODE).and_then(|value| value.to_str().ok());
    let refuse = || Status::unauthenticated("metadata `sluice-node` must name the node");
    NodeId::parse(text.ok_or_else(refuse)?).map_err(|_| refuse())
}

/// The session that a call says it belongs to; `None` when it says nothing that can be read.
#[must_use]
pub fn presented_session<T>(request: &Request<T>) -> Option<i64> {
    request.metadata().get(SESSION)?.to_str().ok()?.parse().ok()
}
