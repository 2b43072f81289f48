//! Errands on their way to relays: each replica hands those it claims to a relay that is connected to it, a few at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sluice_domain::{ChannelKeyId, NodeId};
use sluice_rpc::pb;
use sluice_rpc::usage::counters_from_pb;
use sluice_telemetry::drain::Drain;
use tracing::{info, warn};

use super::grants::Replies;
use crate::app::App;
use crate::errands::{self, CLAIM_MILLIS, Errand, Kind, Outcome};

/// How often it is looked for errands while a relay is connected: whoever asks waits for the answer.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Errands that one relay has at once.
const MOST_GIVEN: usize = 4;
/// Characters of a word, of an amount, and of a message that are kept of a report.
const MOST_WORD: usize = 64;
const MOST_MESSAGE: usize = 256;
/// Names of models that are kept of a report, and bytes of a name.
const MOST_MODELS: usize = 5_000;
const MOST_NAME_BYTES: usize = 255;

/// Where relays that run errands are known. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Seats>>);

#[derive(Default)]
struct Seats {
    by_node: BTreeMap<NodeId, Seat>,
    next: u64,
}

/// A relay that is connected here.
struct Seat {
    number: u64,
    replies: Replies,
    /// What it was given and has not told of, and since when.
    given: HashMap<i64, Instant>,
}

/// While it lives a relay is given errands.
pub(super) struct Seated {
    desk: Desk,
    node: NodeId,
    number: u64,
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut seats = self.desk.0.lock();
        // a later stream of the same relay has a seat of its own
        if seats.by_node.get(&self.node).is_some_and(|seat| seat.number == self.number) {
            seats.by_node.remove(&self.node);
        }
    }
}

impl Desk {
    /// A relay that runs errands is connected.
    pub(super) fn join(&self, node: &NodeId, replies: &Replies) -> Seated {
        let mut seats = self.0.lock();
        seats.next += 1;
        let number = seats.next;
        seats.by_node.insert(node.clone(), Seat { number, replies: replies.clone(), given: HashMap::new() });
        Seated { desk: self.clone(), node: node.clone(), number }
    }

    /// A relay told what came of one.
    pub(super) fn told(&self, node: &NodeId, errand: i64) {
        if let Some(seat) = self.0.lock().by_node.get_mut(node) {
            seat.given.remove(&errand);
        }
    }

    /// Hands errands over until the process ends.
    pub(super) async fn run(self, app: App, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let outcome = self.hand_over(&app).await;
            match &outcome {
                Err(error) if !is_failing => warn!(%error, "cannot look for errands of relays, trying again"),
                Ok(()) if is_failing => info!("errands are handed to relays again"),
                _ => {}
            }
            is_failing = outcome.is_err();
        }
    }

    async fn hand_over(&self, app: &App) -> Result<(), sea_orm::DbErr> {
        for (node, room) in self.with_room() {
            let taken = errands::take(&app.db, &node, room, app.clock.wall()).await?;
            if taken.is_empty() {
                return Ok(());
            }
            self.give(&node, &taken);
        }
        Ok(())
    }

    /// Relays with room for more, the idlest first.
    fn with_room(&self) -> Vec<(NodeId, u64)> {
        let life = Duration::from_millis(u64::try_from(CLAIM_MILLIS).unwrap_or(0));
        let mut seats = self.0.lock();
        let mut free: Vec<(NodeId, usize)> = Vec::new();
        for (node, seat) in &mut seats.by_node {
            // of what it is silent about somebody else is asked by now
            seat.given.retain(|_, since| since.elapsed() < life);
            free.push((node.clone(), MOST_GIVEN.saturating_sub(seat.given.len())));
        }
        free.retain(|(_, room)| *room > 0);
        free.sort_by_key(|(_, room)| std::cmp::Reverse(*room));
        free.into_iter().map(|(node, room)| (node, u64::try_from(room).unwrap_or(0))).collect()
    }

    /// A relay that is gone by now, or reads nothing, does not get them: the claim ends, and they are claimed anew.
    fn give(&self, node: &NodeId, taken: &[Errand]) {
        let mut seats = self.0.lock();
        let Some(seat) = seats.by_node.get_mut(node) else { return };
        let errands = taken.iter().map(errand).collect();
        if seat.replies.try_send(Ok(pb::LeaseDown { errands, ..pb::LeaseDown::default() })).is_ok() {
            seat.given.extend(taken.iter().map(|errand| (errand.id, Instant::now())));
        }
    }
}

fn errand(errand: &Errand) -> pb::Errand {
    let kind = match errand.kind {
        Kind::Test => pb::ErrandKind::Test,
        Kind::Models => pb::ErrandKind::Models,
        Kind::Balance => pb::ErrandKind::Balance,
    };
    pb::Errand {
        id: errand.id,
        kind: kind.into(),
        channel_id: errand.channel.get(),
        key_id: errand.key.map_or(0, ChannelKeyId::get),
        model: errand.model.clone().unwrap_or_default(),
        config_seq: errand.config_seq,
    }
}

/// What a relay says came of an errand, within bounds.
pub(super) fn outcome(report: &pb::ErrandReport) -> Outcome {
    let cut = |text: &str, most: usize| Some(text.chars().take(most).collect::<String>()).filter(|text| !text.is_empty());
    let said = report.evidence.as_ref();
    let is_name = |name: &&String| !name.is_empty() && name.len() <= MOST_NAME_BYTES;
    let models: Vec<String> = report.models.iter().filter(is_name).take(MOST_MODELS).cloned().collect();
    let is_balance = !report.amount.is_empty();
    Outcome {
        ok: report.ok,
        status: report.status.clamp(0, 999),
        error: cut(&report.error, MOST_WORD),
        error_type: said.and_then(|said| cut(&said.r#type, MOST_WORD)),
        error_code: said.and_then(|said| cut(&said.code, MOST_WORD)),
        message: cut(&report.message, MOST_MESSAGE),
        latency_ms: report.latency_ms.max(0),
        first_byte_ms: Some(report.first_byte_ms).filter(|millis| *millis > 0),
        usage: report.usage.as_ref().map(counters_from_pb).unwrap_or_default(),
        quota: None,
        models: (report.ok && !is_balance && !models.is_empty()).then_some(models),
        amount: cut(&report.amount, MOST_WORD),
        currency: cut(&report.currency, 3).filter(|_| is_balance),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::parse(name).unwrap()
    }

    fn some(ids: std::ops::Range<i64>) -> Vec<Errand> {
        let one = |id| Errand {
            id,
            kind: Kind::Test,
            channel: sluice_domain::ChannelId::new(1),
            key: None,
            model: Some("m".into()),
            config_seq: 3,
            asked_by: None,
            asked_at: sluice_domain::UnixMillis(0),
            node: None,
            done_at: None,
            outcome: None,
        };
        ids.map(one).collect()
    }

    #[tokio::test]
    async fn the_idlest_relay_is_first_and_none_has_more_than_a_few() {
        let desk = Desk::default();
        let ((a, mut to_a), (b, _to_b)) = (mpsc::channel(8), mpsc::channel(8));
        let (_a, _b) = (desk.join(&node("a"), &a), desk.join(&node("b"), &b));
        desk.give(&node("a"), &some(1..4));
        assert_eq!(desk.with_room(), [(node("b"), 4), (node("a"), 1)]);
        let down = to_a.recv().await.unwrap().unwrap();
        assert_eq!((down.errands.len(), down.errands[0].key_id, down.errands[0].config_seq), (3, 0, 3));
        desk.give(&node("a"), &some(4..5));
        assert_eq!(desk.with_room(), [(node("b"), 4)]);
        desk.told(&node("a"), 2);
        assert_eq!(desk.with_room(), [(node("b"), 4), (node("a"), 1)]);
    }

    #[tokio::test]
    async fn a_stream_that_ended_gives_its_own_seat_back_and_not_that_of_a_later_one() {
        let desk = Desk::default();
        let (replies, _down) = mpsc::channel(8);
        let earlier = desk.join(&node("a"), &replies);
        let later = desk.join(&node("a"), &replies);
        drop(earlier);
        assert_eq!(desk.with_room().len(), 1);
        drop(later);
        assert_eq!(desk.with_room(), []);
    }

    #[test]
    fn reports_are_kept_within_bounds() {
        let evidence = pb::Evidence { r#type: "t".repeat(100), code: String::new(), ..pb::Evidence::default() };
        let report = pb::ErrandReport {
            status: -7,
            latency_ms: -1,
            message: "m".repeat(1_000),
            error: "e".repeat(1_000),
            models: vec!["x".repeat(300), String::new()],
            evidence: Some(evidence),
            ..pb::ErrandReport::default()
        };
        let outcome = outcome(&report);
        assert_eq!((outcome.status, outcome.latency_ms, outcome.models), (0, 0, None));
        assert_eq!(outcome.message.map(|text| text.len()), Some(MOST_MESSAGE));
        assert_eq!((outcome.error_type.map(|text| text.len()), outcome.error_code), (Some(MOST_WORD), None));
        let models = vec!["m".to_owned(); MOST_MODELS + 1];
        let many = super::outcome(&pb::ErrandReport { ok: true, models, ..pb::ErrandReport::default() });
        assert_eq!(many.models.map(|models| models.len()), Some(MOST_MODELS));
    }
}
