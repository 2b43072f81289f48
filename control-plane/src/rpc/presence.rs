//! Which sessions of relays are in force, by whichever replica they registered at, and what relays last said of themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sluice_domain::{Epoch, NodeId};
use sluice_telemetry::drain::Drain;
use tokio::sync::watch;
use tonic::Status;
use tracing::warn;

use super::{superseded, unavailable};
use crate::app::App;
use crate::leases::Life;
use crate::nodes::{self, NodeStatus};

/// How often it is looked whether relays have registered elsewhere, and how soon news of a relay are written down, all in one statement.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is written down that a relay is there which has no news.
const WRITE_EVERY: Duration = Duration::from_secs(3);

/// Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Inner>);

#[derive(Default)]
struct Inner {
    said: Mutex<HashMap<Life, Said>>,
    in_force: Mutex<HashMap<NodeId, watch::Sender<i64>>>,
    fleet: AtomicUsize,
}

/// What a relay said, and what of it is written down.
#[derive(Default)]
struct Said {
    status: NodeStatus,
    is_fresh: bool,
    written: Option<(NodeStatus, Instant)>,
}

impl Said {
    /// Figures alone can wait; what people wait for cannot.
    fn is_due(&self, write_every: Duration) -> bool {
        let is_news = |before: &NodeStatus| {
            (before.config_seq, before.denied_seq, &before.rejected)
                != (self.status.config_seq, self.status.denied_seq, &self.status.rejected)
        };
        self.is_fresh && self.written.as_ref().is_none_or(|(before, at)| is_news(before) || at.elapsed() >= write_every)
    }
}

/// A session of a relay. Its streams end when a later one begins, at any replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    node: NodeId,
    number: i64,
}

impl Presence {
    /// A life has registered here: streams of its relay's earlier sessions end.
    pub(super) fn registered(&self, life: &Life, session: i64) {
        self.learn(&life.node, session);
    }

    fn learn(&self, node: &NodeId, session: i64) {
        let mut in_force = self.0.in_force.lock();
        let newest = in_force.entry(node.clone()).or_insert_with(|| watch::Sender::new(session));
        newest.send_if_modified(|newest| std::mem::replace(newest, session.max(*newest)) < session);
    }

    /// The session that a call belongs to: the one it says, or else the newest, wherever that was registered. With the epoch it speaks for,
    /// if it does.
    ///
    /// # Errors
    /// When a later session or life of the relay has begun, or that cannot be found out.
    pub(super) async fn session(
        &self,
        app: &App,
        node: &NodeId,
        epoch: Option<Epoch>,
        presented: Option<i64>,
    ) -> Result<Session, Status> {
        let known = nodes::sessions(app.db.read(), std::slice::from_ref(node)).await;
        let known = known.map_err(|error| unavailable("cannot find out which session of a relay is in force", &error))?;
        let (current, newest) = known.get(node).copied().unwrap_or((Epoch(0), 0));
        self.learn(node, newest);
        if epoch.is_some_and(|epoch| epoch < current) || presented.is_some_and(|session| session < newest) {
            return Err(superseded());
        }
        Ok(Session { node: node.clone(), number: presented.unwrap_or(newest) })
    }

    /// Waits until a later session of the same relay begins.
    pub(super) fn superseded(&self, session: &Session) -> impl Future<Output = ()> + Send + 'static {
        let mut in_force = self.0.in_force.lock();
        let newest = in_force.entry(session.node.clone()).or_insert_with(|| watch::Sender::new(session.number));
        let (mut newest, own) = (newest.subscribe(), session.number);
        async move {
            if newest.wait_for(|newest| *newest > own).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A relay said how it is.
    pub(super) fn said(&self, life: &Life, status: NodeStatus) {
        let mut said = self.0.said.lock();
        let known = said.entry(life.clone()).or_default();
        let denied_seq = known.status.denied_seq;
        known.status = NodeStatus { denied_seq, ..status };
        known.is_fresh = true;
    }

    /// A relay said which revocations it has applied.
    pub(super) fn denied(&self, life: &Life, seq: i64) {
        let mut said = self.0.said.lock();
        let known = said.entry(life.clone()).or_default();
        known.status.denied_seq = known.status.denied_seq.max(seq);
    }

    /// Relays heard of lately by any replica; never below 1.
    pub(super) fn fleet_size(&self) -> usize {
        self.0.fleet.load(Ordering::Relaxed).max(1)
    }

    /// Writes down what was said, looks who registered elsewhere, and counts the fleet, until the process ends.
    pub(super) async fn run(self, app: App, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        // in fast motion a relay counts as lost sooner
        let write_every = WRITE_EVERY.min(Duration::from_millis(app.terms.grace_millis / 10));
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look_around(&app, write_every).await {
                warn!(%error, "cannot write down how relays are");
            }
        }
    }

    async fn look_around(&self, app: &App, write_every: Duration) -> Result<(), sea_orm::DbErr> {
        let now = app.clock.wall();
        let due = self.due(write_every);
        if !due.is_empty() {
            let tx = app.db.begin().await?;
            nodes::touch(&tx, &due, now).await?;
            tx.commit().await?;
            self.written(due);
        }
        let connected: Vec<NodeId> = self.connected();
        for (node, (_, session)) in nodes::sessions(app.db.read(), &connected).await? {
            self.learn(&node, session);
        }
        let fleet = nodes::fleet(app.db.read(), now).await?;
        self.0.fleet.store(fleet, Ordering::Relaxed);
        app.metrics.fleet(fleet);
        Ok(())
    }

    fn due(&self, write_every: Duration) -> Vec<(Life, NodeStatus)> {
        let said = self.0.said.lock();
        said.iter().filter(|(_, said)| said.is_due(write_every)).map(|(life, said)| (life.clone(), said.status.clone())).collect()
    }

    fn written(&self, statuses: Vec<(Life, NodeStatus)>) {
        let mut said = self.0.said.lock();
        for (life, status) in statuses {
            if let Some(known) = said.get_mut(&life) {
                (known.is_fresh, known.written) = (false, Some((status, Instant::now())));
            }
        }
    }

    /// The relays with streams here. Those without are forgotten.
    fn connected(&self) -> Vec<NodeId> {
        let mut in_force = self.0.in_force.lock();
        in_force.retain(|_, newest| newest.receiver_count() > 0);
        self.0.said.lock().retain(|life, said| said.is_fresh || in_force.contains_key(&life.node));
        in_force.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::parse("relay-1").unwrap()
    }

    fn session(number: i64) -> Session {
        Session { node: node(), number }
    }

    #[tokio::test]
    async fn streams_of_an_earlier_session_end_and_those_of_the_current_one_do_not() {
        let presence = Presence::default();
        presence.learn(&node(), 1);
        let (earlier, current) = (presence.superseded(&session(1)), presence.superseded(&session(2)));
        presence.learn(&node(), 2);
        presence.learn(&node(), 1);
        earlier.await;
        tokio::pin!(current);
        assert!(futures_util::poll!(&mut current).is_pending());
        assert_eq!(presence.connected(), [node()]);
    }

    #[test]
    fn news_are_written_at_once_and_mere_figures_now_and_then() {
        let presence = Presence::default();
        let life = Life { node: node(), epoch: Epoch(1) };
        let at = |config_seq, in_flight| NodeStatus { config_seq, in_flight, ..NodeStatus::default() };
        let long = Duration::from_mins(1);
        presence.said(&life, at(1, 0));
        assert_eq!(presence.due(long).len(), 1);
        presence.written(presence.due(long));
        presence.said(&life, at(1, 5));
        assert_eq!(presence.due(long), []);
        assert_eq!(presence.due(Duration::ZERO).len(), 1, "now and then");
        presence.said(&life, at(2, 5));
        assert_eq!(presence.due(long).len(), 1, "it serves another configuration");
        presence.written(presence.due(long));
        presence.denied(&life, 9);
        presence.said(&life, at(2, 5));
        assert_eq!(presence.due(long)[0].1.denied_seq, 9);
        presence.written(presence.due(long));
        assert_eq!(presence.due(Duration::ZERO), [], "a relay that says nothing is not written down");
    }
}
