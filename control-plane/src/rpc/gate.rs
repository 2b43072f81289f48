//! Who may call: relays that know the join secret, each only in its own name.

use secrecy::{ExposeSecret, SecretString};
use sluice_domain::{Epoch, NodeId};
use sluice_rpc::auth::{presented_node, presented_proof};
use sluice_sealed::is_same_secret;
use sluice_sealed::node::join_proof;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::leases::Life;

/// Looks at the proof of every call before anything else does.
#[derive(Clone)]
pub(super) struct JoinGate {
    /// `None`: the port is bound to this machine only (ruling R8), or the relay is in the same process.
    join_secret: Option<SecretString>,
}

impl JoinGate {
    pub(super) fn new(join_secret: Option<SecretString>) -> Self {
        Self { join_secret }
    }
}

impl Interceptor for JoinGate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let node = presented_node(&request)?;
        if let Some(secret) = &self.join_secret {
            let expected = join_proof(secret, &node);
            let proof = presented_proof(&request).unwrap_or_default();
            if !is_same_secret(proof.as_bytes(), expected.expose_secret().as_bytes()) {
                return Err(Status::unauthenticated(
                    "the join secret of this relay (SLUICE_JOIN_SECRET) is not the control plane's",
                ));
            }
        }
        Ok(request)
    }
}

/// The life a message speaks for; it must be of the node that the call comes from.
pub(super) fn life(caller: &NodeId, node_id: &str, epoch: i64) -> Result<Life, Status> {
    if caller.as_str() != node_id {
        return Err(Status::permission_denied("a relay may only speak for itself: node_id must be the caller's"));
    }
    if epoch < 1 {
        return Err(Status::invalid_argument("epoch must be 1 or more"));
    }
    Ok(Life { node: caller.clone(), epoch: Epoch(epoch) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_rpc::auth::JoinProof;

    fn call(gate: &mut JoinGate, node: &str, proof: Option<&SecretString>) -> Result<Request<()>, Status> {
        let node = NodeId::parse(node).unwrap();
        let request = JoinProof::new(&node, proof).unwrap().call(Request::new(())).unwrap();
        gate.call(request)
    }

    #[test]
    fn only_the_proof_of_the_same_node_and_secret_passes() {
        let secret = SecretString::from("join secret of the fleet");
        let mut gate = JoinGate::new(Some(secret.clone()));
        let proof = |secret: &SecretString, node: &str| join_proof(secret, &NodeId::parse(node).unwrap());
        assert!(call(&mut gate, "relay-1", Some(&proof(&secret, "relay-1"))).is_ok());
        assert!(call(&mut gate, "relay-2", Some(&proof(&secret, "relay-1"))).is_err());
        assert!(call(&mut gate, "relay-1", Some(&proof(&"another".into(), "relay-1"))).is_err());
        assert!(call(&mut gate, "relay-1", None).is_err());
        assert!(gate.call(Request::new(())).is_err(), "a call without a name");
    }

    #[test]
    fn a_relay_speaks_for_itself_only() {
        let caller = NodeId::parse("relay-1").unwrap();
        assert!(life(&caller, "relay-1", 1).is_ok());
        assert_eq!(life(&caller, "relay-2", 1).unwrap_err().code(), tonic::Code::PermissionDenied);
        assert_eq!(life(&caller, "relay-1", 0).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
