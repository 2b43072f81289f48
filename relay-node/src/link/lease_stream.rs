//! The lease stream: asks for grants, renews, and takes in what must not wait.

use std::convert::Infallible;
use std::sync::Arc;

use sluice_billing::lease::{Grant, Recalled, Verdict};
use sluice_domain::{AccountId, ChannelId, LeaseId, Quota, TokenId, UserId};
use sluice_rpc::{MAX_MESSAGE_BYTES, pb};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, warn};

use super::configured::Configured;
use super::errands::errand_of;
use super::session::{Call, SessionError, Wire};
use crate::errands::Errand;
use crate::quota::{Demand, GiveBack, Quotas, Refused};
use crate::view::{Deny, DenyTarget, View};

/// Messages that may wait to be sent.
const MAX_OUTGOING: usize = 16;
/// Grants asked for in one message.
const MAX_GRANTS: usize = 256;

/// What the stream works on.
pub(super) struct LeaseStream<'a> {
    pub(super) wire: &'a Wire,
    pub(super) configured: &'a Arc<Configured>,
    pub(super) view: &'a View,
    pub(super) quotas: &'a Quotas,
    pub(super) demands: &'a mut mpsc::Receiver<Demand>,
    pub(super) renewals: &'a mut mpsc::Receiver<Vec<LeaseId>>,
    /// Tells that the control plane knows which leases are held.
    pub(super) greeted: watch::Sender<bool>,
    /// Where errands are run.
    pub(super) errands: &'a mpsc::Sender<Errand>,
}

impl LeaseStream<'_> {
    /// Says what is held, asks again for what was not answered, and follows until the stream breaks.
    pub(super) async fn run(self) -> Result<Infallible, SessionError> {
        let (outgoing, receiver) = mpsc::channel(MAX_OUTGOING);
        // what waits in the queue is also outstanding, and comes with the greeting
        while self.demands.try_recv().is_ok() {}
        let hello = pb::LeaseHello {
            node_id: self.wire.node.id.to_string(),
            epoch: self.wire.node.epoch.0,
            held: self.quotas.held().into_iter().map(LeaseId::get).collect(),
            runs_errands: true,
        };
        let outstanding = self.quotas.outstanding();
        let returns = self.quotas.returned().await.into_iter().map(return_of).collect();
        let mut first = pb::LeaseUp { hello: Some(hello), returns, ..pb::LeaseUp::default() };
        let mut parts = outstanding.chunks(MAX_GRANTS);
        first.grants = parts.next().unwrap_or_default().iter().map(request_of).collect();
        send(&outgoing, first).await?;
        let mut client = pb::leases_client::LeasesClient::with_interceptor(self.wire.money.clone(), self.wire.proof.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let opened = client.exchange(ReceiverStream::new(receiver)).await;
        let mut incoming = opened.map_err(Call::Leases.failed())?.into_inner();
        for part in parts {
            send(&outgoing, asking(part)).await?;
        }
        let mut waiting = Vec::with_capacity(MAX_GRANTS);
        // kept over the turns of the loop: what it has taken out of the leases must not be dropped unsaid
        let giving_back = self.quotas.giving_back();
        tokio::pin!(giving_back);
        loop {
            tokio::select! {
                message = incoming.message() => {
                    let mut message = message.map_err(Call::Leases.failed())?.ok_or(SessionError::Closed(Call::Leases))?;
                    self.greeted.send_replace(true);
                    for errand in std::mem::take(&mut message.errands).into_iter().filter_map(errand_of) {
                        // where there is no room it is given out again
                        let _ = self.errands.try_send(errand);
                    }
                    if let Some(denied_seq) = take(self.configured, self.view, self.quotas, message).await? {
                        send(&outgoing, pb::LeaseUp { denied_seq, ..pb::LeaseUp::default() }).await?;
                    }
                }
                count = self.demands.recv_many(&mut waiting, MAX_GRANTS) => {
                    if count == 0 {
                        return Err(SessionError::Closed(Call::Leases));
                    }
                    send(&outgoing, asking(&waiting)).await?;
                    waiting.clear();
                }
                given = &mut giving_back => {
                    send(&outgoing, giving(given)).await?;
                    giving_back.set(self.quotas.giving_back());
                }
                Some(leases) = self.renewals.recv() => {
                    let renew = leases.into_iter().map(LeaseId::get).collect();
                    send(&outgoing, pb::LeaseUp { renew, ..pb::LeaseUp::default() }).await?;
                }
            }
        }
    }
}

/// Takes in one message; revocations first. Returns the highest sequence of those, if there were any.
async fn take(
    configured: &Arc<Configured>,
    view: &View,
    quotas: &Quotas,
    message: pb::LeaseDown,
) -> Result<Option<i64>, SessionError> {
    let denied_seq = message.denies.iter().map(|deny| deny.seq).max();
    let mut channels = Vec::new();
    for deny in message.denies {
        apply(view, &deny, &mut channels);
    }
    if !channels.is_empty() {
        let changed = configured.change(move |state| {
            let changes = channels.iter().filter(|(channel, seq)| state.deny(*channel, *seq)).count();
            if changes > 0 { Ok(()) } else { Err(()) }
        });
        // nothing to change: the configuration says so already
        let _ = changed.await?;
    }
    let void: Vec<LeaseId> = message.void_leases.iter().map(|lease| LeaseId::new(*lease)).collect();
    let credited: Vec<AccountId> = message.credits.iter().map(|credit| AccountId::new(credit.account_id)).collect();
    let life = |renewal: &pb::Renewal| (LeaseId::new(renewal.lease_id), millis(renewal.life_ms));
    let renewed: Vec<(LeaseId, u64)> = message.renewals.iter().map(life).collect();
    quotas.news(&renewed, &credited, &void);
    for grant in message.grants {
        let Some(grant) = grant_of(&grant) else {
            warn!(lease.id = grant.lease_id, "a grant with an amount out of range was ignored");
            continue;
        };
        quotas.granted(grant);
    }
    for refusal in message.refusals {
        if refusal.reason() == pb::RefusalReason::Superseded {
            quotas.superseded(refusal.grant_seq);
        } else {
            quotas.refused(refused_of(&refusal));
        }
    }
    // after the grants of the same message: what they brought beyond needs goes back, too
    for recall in message.recalls {
        quotas.recalled(AccountId::new(recall.account_id), recall.recall_seq);
    }
    Ok(denied_seq)
}

/// A target of a later version is taken for everything it could be: nothing is served that might be revoked.
fn apply(view: &View, deny: &pb::Deny, channels: &mut Vec<(ChannelId, i64)>) {
    let revoked = |target| Deny { seq: deny.seq, rev: deny.rev, target };
    match deny.target {
        Some(pb::deny::Target::TokenId(id)) => view.deny(revoked(DenyTarget::Token(TokenId::new(id)))),
        Some(pb::deny::Target::UserId(id)) => view.deny(revoked(DenyTarget::User(UserId::new(id)))),
        Some(pb::deny::Target::ChannelId(id)) => channels.push((ChannelId::new(id), deny.seq)),
        None => {
            warn!(config.seq = deny.seq, "a revocation of a later version came: identities are asked for again");
            view.forget_identities();
        }
    }
    debug!(config.seq = deny.seq, "applied a revocation");
}

fn asking(demands: &[Demand]) -> pb::LeaseUp {
    pb::LeaseUp { grants: demands.iter().map(request_of).collect(), ..pb::LeaseUp::default() }
}

fn giving(given: GiveBack) -> pb::LeaseUp {
    let recalled = |recalled: Recalled| pb::Recalled {
        account_id: recalled.account.get(),
        recall_seq: recalled.recall_seq,
        lease_ids: recalled.leases.into_iter().map(LeaseId::get).collect(),
    };
    pb::LeaseUp {
        returns: given.returns.into_iter().map(return_of).collect(),
        recalled: given.recalled.into_iter().map(recalled).collect(),
        grants: given.demands.iter().map(request_of).collect(),
        ..pb::LeaseUp::default()
    }
}

fn return_of((lease, total): (LeaseId, Quota)) -> pb::LeaseReturn {
    pb::LeaseReturn { lease_id: lease.get(), returned_total: total.get() }
}

fn request_of(demand: &Demand) -> pb::GrantRequest {
    pb::GrantRequest {
        grant_seq: demand.grant_seq,
        account_id: demand.account.get(),
        need: demand.need.get(),
        want: demand.want.get(),
        up_to_want: demand.up_to_want,
    }
}

fn grant_of(grant: &pb::Grant) -> Option<Grant> {
    Some(Grant {
        grant_seq: grant.grant_seq,
        lease: LeaseId::new(grant.lease_id),
        account: AccountId::new(grant.account_id),
        amount: Quota::new(grant.amount).ok()?,
        life_millis: millis(grant.life_ms),
        low: grant.low,
    })
}

fn refused_of(refusal: &pb::Refusal) -> Refused {
    let verdict = match refusal.reason() {
        pb::RefusalReason::Exhausted => Verdict::Exhausted { need: Quota::clamped(refusal.need) },
        pb::RefusalReason::Frozen => Verdict::Frozen,
        pb::RefusalReason::UnknownAccount => Verdict::UnknownAccount,
        // a reason of a later version is no verdict about money
        pb::RefusalReason::Unavailable | pb::RefusalReason::Superseded | pb::RefusalReason::Unspecified => Verdict::Unavailable,
    };
    Refused { grant_seq: refusal.grant_seq, verdict }
}

fn millis(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}

async fn send(outgoing: &mpsc::Sender<pb::LeaseUp>, message: pb::LeaseUp) -> Result<(), SessionError> {
    outgoing.send(message).await.map_err(|_| SessionError::Closed(Call::Leases))
}
