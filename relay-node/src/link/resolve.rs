//! Asks the control plane whose keys they are.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_domain::KeyDigest;
use sluice_rpc::identity::{self, Change};
use sluice_rpc::{Malformed, pb};
use tokio::sync::mpsc;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tracing::warn;

use super::session::{Call, SessionError, Wire};
use crate::view::{Answer, RESOLVE_WAIT, View};

/// Questions asked at the same time.
const MAX_AT_ONCE: usize = 64;
/// How often a question is asked again because the answer was older than a revocation.
const MAX_TRIES: usize = 5;
/// Between two tries. The replica that answered needs a moment to see what this relay saw.
const TRY_AGAIN: Duration = Duration::from_millis(100);

type Client = pb::config_client::ConfigClient<InterceptedService<Channel, sluice_rpc::auth::JoinProof>>;

/// Answers questions until there are no more.
pub(super) async fn run(wire: &Wire, view: &View, questions: &mut mpsc::Receiver<KeyDigest>) -> Result<Infallible, SessionError> {
    let client = pb::config_client::ConfigClient::with_interceptor(wire.money.clone(), wire.proof.clone());
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            question = questions.recv(), if running.len() < MAX_AT_ONCE => {
                let digest = question.ok_or(SessionError::Closed(Call::Resolve))?;
                running.push(answer(client.clone(), view, digest));
            }
            Some(()) = running.next() => {}
        }
    }
}

async fn answer(mut client: Client, view: &View, digest: KeyDigest) {
    let asked = tokio::time::timeout(RESOLVE_WAIT, ask(&mut client, view, &digest)).await;
    if asked != Ok(true) {
        view.not_answered(&digest);
    }
}

/// `false`: there is no answer that can be used.
async fn ask(client: &mut Client, view: &View, digest: &KeyDigest) -> bool {
    for _ in 0..MAX_TRIES {
        let request = pb::ResolveRequest { digest: digest.0.to_vec().into() };
        let Ok(reply) = client.resolve(request).await else { return false };
        let answer = match answer_of(reply.into_inner()) {
            Ok(answer) => answer,
            Err(malformed) => {
                warn!("cannot read an identity: {malformed}; it is not served here");
                return false;
            }
        };
        if view.answered(digest, answer) {
            return true;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    false
}

fn answer_of(reply: pb::ResolveReply) -> Result<Answer, Malformed> {
    let (Some(token), Some(user)) = (reply.token, reply.user) else { return Ok(Answer::Unknown) };
    let token = identity::token_from_pb(token)?;
    let user = identity::user_from_pb(&user)?;
    let (Change::Is(token), Change::Is(user)) = (token, user) else { return Ok(Answer::Unknown) };
    Ok(Answer::Found { token: Box::new(token), user: Box::new(user), as_of_seq: reply.as_of_seq })
}
