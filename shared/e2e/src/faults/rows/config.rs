//! Row 15: the first relay is told nonsense.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_testkit::client::Caller;
use tokio::time::{Instant, sleep};

use super::upstream::{CHAT, body};
use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::forger::{Forger, Poison};
use crate::faults::site::{Payer, Plan, SETTLE_LIMIT, Site, odd_model, until};
use crate::faults::traffic::{failures, success};
use crate::fleet::{PROVIDER_KEY, settle_config};

/// A refused entity is named by the API within this.
const NAMED: Duration = Duration::from_secs(5);
/// A revocation reaches every relay within this, whatever came before it.
const REVOKED: Duration = Duration::from_secs(1);
/// A relay that was told nonsense has everything within this.
const REPAIRED: Duration = Duration::from_secs(30);

/// The nonsense, and how it is called.
#[derive(Debug, Clone, Copy)]
enum Nonsense {
    BadEntity,
    UnknownEnum,
    BadCrc,
    CutChunk,
    Huge,
}

impl Nonsense {
    const ALL: [Self; 5] = [Self::BadEntity, Self::UnknownEnum, Self::BadCrc, Self::CutChunk, Self::Huge];

    fn name(self) -> &'static str {
        match self {
            Self::BadEntity => "bad entity",
            Self::UnknownEnum => "unknown enum",
            Self::BadCrc => "bad checksum",
            Self::CutChunk => "truncated chunk",
            Self::Huge => "a chunk 100 × too large",
        }
    }

    /// What is done to the messages that tell a change of this channel.
    fn poisons(self, channel: i64) -> Vec<Poison> {
        match self {
            Self::BadEntity => vec![Poison::BadEntity(channel)],
            Self::UnknownEnum => vec![Poison::UnknownEnum(channel)],
            Self::BadCrc => vec![Poison::WrongStart, Poison::BadCrc],
            Self::CutChunk => vec![Poison::WrongStart, Poison::CutChunk],
            Self::Huge => vec![Poison::WrongStart, Poison::Huge],
        }
    }

    /// Whether it is one entity that cannot be used, and everything else can.
    fn is_of_one_entity(self) -> bool {
        matches!(self, Self::BadEntity | Self::UnknownEnum)
    }
}

/// A channel that nonsense is told about, and who is revoked after it.
struct Story {
    nonsense: Nonsense,
    channel: i64,
    /// The channel serves it before, and another one only once it was changed.
    model: String,
    later: String,
    victim: Payer,
}

pub(super) async fn poisoned(stage: &Stage) -> Vec<Figure> {
    let mut site = Site::start(stage, &Plan::new(stage).forged()).await;
    let mut stories = Vec::new();
    for (place, nonsense) in Nonsense::ALL.into_iter().enumerate() {
        let (model, later) = (odd_model(2 * place), odd_model(2 * place + 1));
        for one in [&model, &later] {
            site.apis[0].price(one, "0.75", "4").await;
        }
        let channel = site.apis[0].channel(nonsense.name(), &site.simulator.base_url(), PROVIDER_KEY, &[&model]).await;
        let victim = site.payer(&format!("victim-{place}"), 1_000_000).await;
        stories.push(Story { nonsense, channel, model, later, victim });
    }
    settle_config(&site.apis[0], site.relays.len()).await;
    let traffic = site.traffic();
    site.warm(&traffic).await;
    let mut figures = Vec::new();
    for story in &stories {
        figures.extend(story.play(&site).await);
        sleep(stage.lasting() / 10).await;
    }
    let seen = traffic.stop().await;
    let (settled, _, audit) = site.settle().await;
    figures.extend([
        Figure::share("success through all relays", 100.0, success(&seen)),
        Figure::none("failures", &failures(&seen)),
        Figure::within("everything settled after the load", SETTLE_LIMIT, settled),
    ]);
    figures.extend(audit.figures());
    figures
}

impl Story {
    async fn play(&self, site: &Site) -> Vec<Figure> {
        let name = self.nonsense.name();
        site.forgers.iter().for_each(|forger| forger.order(&self.nonsense.poisons(self.channel)));
        // a change makes a delta, which is what the poison waits for
        let models = json!({"models": [self.model, self.later]});
        site.apis[0].patch(&format!("/api/channels/{}", self.channel), &models).await;
        let told = site.until(Duration::from_secs(15), async || site.forgers.iter().any(Forger::is_done)).await;
        let mut figures = vec![Figure::within(format!("{name}: told"), Duration::from_secs(15), told)];
        if self.nonsense.is_of_one_entity() {
            let named = site.until(NAMED * 3, async || self.is_named(site).await).await;
            figures.push(Figure::within(format!("{name}: named in /api/relays"), NAMED, named));
        }
        let kept = self.answers(site, &self.model).await;
        figures.push(Figure::exactly(format!("{name}: the channel serves as before it"), 200, kept.unwrap_or_default()));
        site.apis[0].patch(&format!("/api/tokens/{}", self.victim.token.id), &json!({"status": "disabled"})).await;
        let refused = async || site.poke(0, &self.victim.token.key).await == Some(401);
        figures.push(Figure::within(format!("{name}: a revocation after it"), REVOKED, until(REVOKED * 10, refused).await));
        site.forgers.iter().for_each(Forger::forget);
        let begun = Instant::now();
        let repaired = tokio::time::timeout(REPAIRED, settle_config(&site.apis[0], site.relays.len())).await.is_ok();
        let serves = async || site.is_agreed().await && self.answers(site, &self.later).await == Some(200);
        let serves = until(REPAIRED.saturating_sub(begun.elapsed()), serves).await.filter(|_| repaired);
        let after = serves.map(|_| begun.elapsed());
        figures.push(Figure::within(format!("{name}: the change is in force, and every byte of it, after"), REPAIRED, after));
        figures
    }

    /// What the first relay answers to a request for a model.
    async fn answers(&self, site: &Site, model: &str) -> Option<u16> {
        let id = format!("{model}-{}", sluice_telemetry::clock::boot_millis());
        let caller = Caller::new(site.relays[0].base_url()).with_key(&site.payers[0].token.key).with_request_id(&id);
        let asked = caller.try_post(CHAT, &body(model, &id, false, "[sim: tokens=3] do you know me?")).await;
        asked.ok().map(|answer| answer.status.as_u16())
    }

    /// Whether a relay says that it refused the channel.
    async fn is_named(&self, site: &Site) -> bool {
        let relays = site.apis[0].get("/api/relays").await;
        let key = self.channel.to_string();
        let names_it = |relay: &Value| relay["rejected"].as_array().into_iter().flatten().any(|rejected| rejected["key"] == key);
        relays["items"].as_array().into_iter().flatten().any(names_it)
    }
}
