//! Which lives are in force here, and what relays last said of themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sluice_domain::{Epoch, NodeId};
use sluice_telemetry::drain::Drain;
use tokio::sync::watch;
use tracing::warn;

use crate::app::App;
use crate::leases::Life;
use crate::nodes::{self, NodeStatus};

/// How often what relays said is written down, all in one statement.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<Inner>);

#[derive(Default)]
struct Inner {
    said: Mutex<HashMap<Life, NodeStatus>>,
    in_force: Mutex<HashMap<NodeId, watch::Sender<Epoch>>>,
    fleet: AtomicUsize,
}

impl Presence {
    /// A life has registered: streams of earlier ones end.
    pub(super) fn registered(&self, life: &Life) {
        let mut in_force = self.0.in_force.lock();
        let epoch = in_force.entry(life.node.clone()).or_insert_with(|| watch::Sender::new(life.epoch));
        epoch.send_if_modified(|epoch| std::mem::replace(epoch, life.epoch.max(*epoch)) < life.epoch);
    }

    /// Waits until a later life of the same relay registers.
    pub(super) fn superseded(&self, life: &Life) -> impl Future<Output = ()> + Send + 'static {
        let mut in_force = self.0.in_force.lock();
        let epoch = in_force.entry(life.node.clone()).or_insert_with(|| watch::Sender::new(life.epoch));
        let (mut epoch, own) = (epoch.subscribe(), life.epoch);
        async move {
            if epoch.wait_for(|epoch| *epoch > own).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A relay said how it is.
    pub(super) fn said(&self, life: &Life, status: NodeStatus) {
        self.0.said.lock().insert(life.clone(), status);
    }

    /// Relays heard of lately by any replica; never below 1.
    pub(super) fn fleet_size(&self) -> usize {
        self.0.fleet.load(Ordering::Relaxed).max(1)
    }

    /// Writes down what was said and counts the fleet, until the process ends.
    pub(super) async fn run(self, app: App, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = tokio::time::sleep(WRITE_EVERY) => {}
            }
            let said: Vec<(Life, NodeStatus)> = std::mem::take(&mut *self.0.said.lock()).into_iter().collect();
            match write(&app, &said).await {
                Ok(fleet) => {
                    self.0.fleet.store(fleet, Ordering::Relaxed);
                    app.metrics.fleet(fleet);
                }
                Err(error) => warn!(%error, "cannot write down how relays are"),
            }
        }
    }
}

/// Answers how many relays there are.
async fn write(app: &App, said: &[(Life, NodeStatus)]) -> Result<usize, sea_orm::DbErr> {
    let now = app.clock.wall();
    if !said.is_empty() {
        let tx = app.db.begin().await?;
        nodes::touch(&tx, said, now).await?;
        tx.commit().await?;
    }
    nodes::fleet(app.db.read(), now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(epoch: i64) -> Life {
        Life { node: NodeId::parse("relay-1").unwrap(), epoch: Epoch(epoch) }
    }

    #[tokio::test]
    async fn streams_of_an_earlier_life_end_and_those_of_the_current_one_do_not() {
        let presence = Presence::default();
        presence.registered(&life(1));
        let (earlier, current) = (presence.superseded(&life(1)), presence.superseded(&life(2)));
        presence.registered(&life(2));
        presence.registered(&life(1));
        earlier.await;
        tokio::pin!(current);
        assert!(futures_util::poll!(&mut current).is_pending());
    }
}
