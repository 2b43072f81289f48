//! One connection to the control plane: what its streams share, and how it ends.

use std::fmt;

use sluice_rpc::auth::JoinProof;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::configured::NotDone;
use super::endpoint::ConnectError;
use super::node::Node;
use crate::health::Load;

/// What the streams of one connection share.
#[derive(Clone)]
pub(super) struct Wire {
    /// Registration, leases, identities and usage.
    pub(super) money: Channel,
    /// The config stream has a connection of its own, so that a large snapshot delays no grant (ruling R21).
    pub(super) config: Channel,
    pub(super) proof: JoinProof,
    pub(super) node: Node,
    pub(super) load: Load,
}

/// A call to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Register,
    Config,
    Leases,
    Usage,
    Resolve,
}

impl Call {
    /// For `map_err`: that call failed.
    pub(super) fn failed(self) -> impl FnOnce(Status) -> SessionError {
        move |status| SessionError::Failed { call: self, status: Box::new(status) }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "registration",
            Self::Config => "config stream",
            Self::Leases => "lease stream",
            Self::Usage => "usage stream",
            Self::Resolve => "look-up of keys",
        })
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{call} failed with {:?}: {}", .status.code(), .status.message())]
    Failed { call: Call, status: Box<Status> },
    #[error("{0} ended")]
    Closed(Call),
    /// A snapshot came in the middle of the stream, of another history or without the identities that belong to it: begin anew.
    #[error("the configuration was replaced")]
    Replaced,
    #[error("no heartbeat came in time")]
    Silent,
    #[error("the control plane sent a registration that cannot be used: {0}")]
    Registration(&'static str),
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

impl SessionError {
    /// Whether the control plane said that another process took over this node: this one must not go on.
    pub(super) fn is_fenced(&self) -> bool {
        let Self::Failed { call: Call::Register, status } = self else { return false };
        matches!(status.code(), Code::FailedPrecondition | Code::AlreadyExists)
    }

    /// Whether what answered at the address does not speak gRPC: most likely the console's port.
    pub(super) fn is_no_grpc(&self) -> bool {
        let Self::Failed { call: Call::Register, status } = self else { return false };
        status.message().starts_with("grpc-status header missing")
    }

    /// Whether the join secret was refused: worth telling as an error, because waiting does not help.
    pub(super) fn is_refused(&self) -> bool {
        let Self::Failed { status, .. } = self else { return false };
        matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
    }
}
