//! The lease stream: grants, returns, renewals, and the urgent lane.

use sluice_domain::{AccountId, LeaseId, Quota};
use sluice_rpc::auth::{presented_node, presented_session};
use sluice_rpc::pb;
use sluice_rpc::pb::leases_server::Leases;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::gate::life;
use super::grants::{Replies, grant};
use super::presence::Session;
use super::{Answers, QUEUE, Rpc, superseded, unavailable};
use crate::leases::{self, Ask, Life, Said};
use crate::publish::{News, Revoked};

/// Requests, returns and renewals in one message.
const MOST_IN_MESSAGE: usize = 10_000;

#[tonic::async_trait]
impl Leases for Rpc {
    type ExchangeStream = Answers<pb::LeaseDown>;

    async fn exchange(&self, request: Request<Streaming<pb::LeaseUp>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let (caller, presented) = (presented_node(&request)?, presented_session(&request));
        let mut up = request.into_inner();
        let first = up.message().await?.ok_or_else(|| Status::invalid_argument("the first message must be a hello"))?;
        let hello = first.hello.as_ref().ok_or_else(|| Status::invalid_argument("the first message must have a hello"))?;
        let life = life(&caller, &hello.node_id, hello.epoch)?;
        let held: Vec<LeaseId> = hello.held.iter().copied().map(LeaseId::new).collect();
        let session = self.presence.session(&self.app, &life.node, Some(life.epoch), presented).await?;
        let (_, news) = self.feed.listen();
        let greeting = leases::greet(&self.app.db, &life, &held).await;
        let greeting = greeting.map_err(|error| unavailable("cannot compare leases", &error))?;
        let (down, answers) = mpsc::channel(QUEUE);
        let first_answer = pb::LeaseDown {
            grants: greeting.resend.iter().map(|granted| grant(granted, &self.app.terms)).collect(),
            void_leases: greeting.void.iter().map(|lease| lease.get()).collect(),
            ..pb::LeaseDown::default()
        };
        // the receiver is in hand, so this cannot fail
        let _ = down.send(Ok(first_answer)).await;
        let seated = hello.runs_errands.then(|| self.desk.join(&life.node, &down));
        let serving = self.clone().serve_leases((life, session), first, up, news, down);
        self.tasks.spawn("lease stream", async move {
            serving.await;
            drop(seated);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

impl Rpc {
    async fn serve_leases(
        self,
        (life, session): (Life, Session),
        first: pb::LeaseUp,
        mut up: Streaming<pb::LeaseUp>,
        mut news: Receiver<News>,
        down: Replies,
    ) {
        let over = self.presence.superseded(&session);
        let closing = self.tasks.drain().closing();
        tokio::pin!(over, closing);
        let mut next = Some(first);
        loop {
            if let Some(message) = next.take()
                && let Err(status) = self.take_message(&life, message, &down).await
            {
                let _ = down.send(Err(status)).await;
                return;
            }
            let urgent = tokio::select! {
                () = &mut closing => return,
                () = &mut over => {
                    let _ = down.send(Err(superseded())).await;
                    return;
                }
                message = up.message() => match message {
                    Ok(Some(message)) => {
                        next = Some(message);
                        continue;
                    }
                    Ok(None) | Err(_) => return,
                },
                told = news.recv() => match told {
                    Ok(told) => told,
                    // what was missed is on the config stream, too; money verdicts end by themselves within 2 s
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
            };
            if let Some(message) = urgent_message(&urgent)
                && down.send(Ok(message)).await.is_err()
            {
                return;
            }
        }
    }

    async fn take_message(&self, life: &Life, message: pb::LeaseUp, down: &Replies) -> Result<(), Status> {
        let counts = [message.grants.len(), message.returns.len(), message.renew.len(), message.recalled.len()];
        if counts.into_iter().any(|count| count > MOST_IN_MESSAGE) {
            return Err(Status::invalid_argument(format!("a message holds at most {MOST_IN_MESSAGE} of each")));
        }
        if message.denied_seq > 0 {
            self.presence.denied(life, message.denied_seq);
        }
        // who gives back first may ask for it again in the same breath
        if !message.returns.is_empty() || !message.recalled.is_empty() {
            self.take_back(life, &message).await?;
        }
        if !message.grants.is_empty() {
            let asks = message.grants.iter().map(|request| ask(life, request)).collect::<Result<Vec<Ask>, Status>>()?;
            self.granter.ask(asks, down.clone()).await;
        }
        if !message.renew.is_empty() {
            let renew: Vec<LeaseId> = message.renew.iter().copied().map(LeaseId::new).collect();
            let renewed = leases::renew(&self.app.db, &self.app.terms, life, &renew, self.app.clock.wall()).await;
            let renewed = renewed.map_err(|error| unavailable("cannot renew leases", &error))?;
            let life_ms = leases::life_millis(&self.app.terms);
            let renewal = |lease: LeaseId| pb::Renewal { lease_id: lease.get(), life_ms };
            let renewals = renewed.into_iter().map(renewal).collect();
            let _ = down.send(Ok(pb::LeaseDown { renewals, ..pb::LeaseDown::default() })).await;
        }
        Ok(())
    }

    async fn take_back(&self, life: &Life, message: &pb::LeaseUp) -> Result<(), Status> {
        let total = |one: &pb::LeaseReturn| Ok((LeaseId::new(one.lease_id), amount("returned_total", one.returned_total)?));
        let said = Said {
            returns: message.returns.iter().map(total).collect::<Result<_, Status>>()?,
            recalled: message.recalled.iter().map(recalled).collect(),
        };
        if said.recalled.iter().map(|(.., leases)| leases.len()).sum::<usize>() > MOST_IN_MESSAGE {
            return Err(Status::invalid_argument(format!("a message speaks for at most {MOST_IN_MESSAGE} leases")));
        }
        let richer = leases::take_back(&self.app.db, life, &said).await;
        let richer = richer.map_err(|error| unavailable("cannot take returns", &error))?;
        self.feed.tell(richer.into_iter().map(|account| Revoked::Credit(account, 0)).collect());
        self.granter.look();
        Ok(())
    }
}

fn recalled(answer: &pb::Recalled) -> (AccountId, i64, Vec<LeaseId>) {
    let leases = answer.lease_ids.iter().copied().map(LeaseId::new).collect();
    (AccountId::new(answer.account_id), answer.recall_seq, leases)
}

fn ask(life: &Life, request: &pb::GrantRequest) -> Result<Ask, Status> {
    let (need, want) = (amount("need", request.need)?, amount("want", request.want)?);
    Ok(Ask {
        life: life.clone(),
        grant_seq: request.grant_seq,
        account: AccountId::new(request.account_id),
        need,
        want: want.max(need),
        up_to_want: request.up_to_want,
    })
}

fn amount(field: &'static str, units: i64) -> Result<Quota, Status> {
    let amount = Quota::new(units).ok().filter(|amount| *amount >= Quota::ZERO);
    amount.ok_or_else(|| Status::invalid_argument(format!("{field} must be 0 to {}", Quota::LIMIT)))
}

fn urgent_message(news: &News) -> Option<pb::LeaseDown> {
    use pb::deny::Target;
    let (seq, urgent): (i64, &[Revoked]) = match news {
        News::Change(change) => (change.to.seq, &change.urgent),
        News::Urgent(urgent) => (0, urgent),
        News::Reload => return None,
    };
    let mut down = pb::LeaseDown::default();
    for revoked in urgent {
        let (rev, target) = match *revoked {
            Revoked::Token(id, rev) => (rev, Target::TokenId(id.get())),
            Revoked::User(id, rev) => (rev, Target::UserId(id.get())),
            Revoked::Channel(id, rev) => (rev, Target::ChannelId(id.get())),
            Revoked::Credit(id, account_rev) => {
                down.credits.push(pb::Credit { account_id: id.get(), account_rev });
                continue;
            }
            Revoked::Recall(id) => {
                down.recalls.push(pb::Recall { account_id: id.get(), recall_seq: seq });
                continue;
            }
        };
        down.denies.push(pb::Deny { seq, rev, target: Some(target) });
    }
    (!urgent.is_empty()).then_some(down)
}
