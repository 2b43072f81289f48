//! What travels between a relay and a replica: the messages of `proto/`, as values.

use sluice_billing::lease::{Grant, GrantRequest, Recalled, Returned, Verdict};
use sluice_control_plane::leases::Life;
use sluice_control_plane::settlement::Incoming;
use sluice_domain::{AccountId, ChannelId, LeaseId, TokenId, UnixMillis};
use sluice_snapshot::{Delta, StateHash, Token, Upsert, User, Version};

/// From a relay.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    /// The first message of a connection: register, greet and subscribe in one.
    Hello {
        /// Who.
        life: Life,
        /// Its process.
        boot_id: u64,
        /// The leases it holds.
        held: Vec<LeaseId>,
        /// The history they are of. A relay says which it holds only once it knows the control plane's.
        history: Option<std::sync::Arc<str>>,
        /// The configuration it has.
        have: Version,
        /// The hash of that.
        hash: StateHash,
    },
    /// Asks for money.
    Ask(GrantRequest),
    /// Asks for longer life.
    Renew(Vec<LeaseId>),
    /// Gives money back.
    Returns(Vec<Returned>, Option<Recalled>),
    /// Reports usage.
    Report {
        /// The stream it travels on: an answer names no batch, so it counts only on the stream of its batch.
        stream: u64,
        /// Which life wrote it.
        life: Life,
        /// The number of the first record.
        first_seq: i64,
        /// The records.
        records: Vec<Incoming>,
        /// Nothing follows in that life.
        has_ended: bool,
        /// Records of it are lost.
        is_damaged: bool,
        /// The relay's wall clock.
        sent_at: UnixMillis,
        /// The history in which everything below the first number was settled, when nothing else is said.
        settled_in: Option<std::sync::Arc<str>>,
    },
    /// Whose key is it?
    Resolve(TokenId),
    /// Asks for a snapshot.
    Nack,
    /// Says that it is alive.
    Status,
}

/// From a replica.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    /// A later life of this relay has registered.
    Superseded,
    /// It is registered, in this history.
    Welcome(std::sync::Arc<str>),
    /// Money.
    Grant(Grant),
    /// No money.
    Refused(i64, Verdict),
    /// A lease lives on.
    Renewed(LeaseId),
    /// Leases that are no more.
    Void {
        /// As the control plane names them.
        leases: Vec<LeaseId>,
        /// Those that the ledger has as closed, for the checkers.
        closed: Vec<LeaseId>,
    },
    /// A larger ask took the place of this one.
    Overtaken(i64),
    /// Money came in.
    Credit(AccountId),
    /// Remainders are asked back.
    Recall(AccountId, i64),
    /// A channel was switched off at this number.
    DenyChannel(ChannelId, i64),
    /// A token was switched off at this number; forms below the revision are revoked.
    DenyToken(TokenId, i64, i64),
    /// Everything.
    Snapshot(Version, Vec<Upsert>),
    /// A change, with the tokens that changed.
    Delta(Delta, Vec<Token>),
    /// Every identity, as of a number.
    Page(i64, Vec<(Token, User)>),
    /// Where the history is.
    Heartbeat(Version, StateHash),
    /// Whose key it is, as of a number.
    Identity(TokenId, Box<(Token, User)>, i64),
    /// Usage below a number is settled.
    Settled {
        /// The stream of the batch.
        stream: u64,
        /// The epoch of the life it is about.
        epoch: sluice_domain::Epoch,
        /// The number.
        below: i64,
        /// Whether to go on from there instead of from what was sent last.
        goes_back: bool,
        /// Whether the life is over. Without it the answer to a batch could be taken for one to the end that follows it: an answer names
        /// no batch, and one that is ahead of what was sent answers more than one.
        has_ended: bool,
        /// How long the relay is to wait before it goes on.
        pause: u64,
    },
}
