//! Row 21: callers hang up at random points.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_testkit::client::Caller;
use sluice_testkit::simulator::{Ending, LogEntry};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::upstream::{CHAT, body};
use crate::faults::Stage;
use crate::faults::figure::Figure;
use crate::faults::site::{PRICE, Plan, SETTLE_LIMIT, Site};
use crate::faults::store::Row;
use crate::faults::traffic::failures;
use crate::fleet::{PROVIDER_KEY, settle_config};
use crate::sim::chance::Dice;

/// The models whose callers leave: one channel cancels, the other one reads on.
const CANCEL: &str = "gpt-4.1";
const DRAIN: &str = "gpt-4.1-mini";
/// The model of answers that are longer than anything is read on, and how many of them there are.
const LONG: &str = "gpt-4.1-nano";
const LONG_ANSWERS: usize = 6;
/// Callers of short answers that leave, at the least.
const LEAVING: usize = 8;
/// Callers of short answers get so many tokens; of long ones as many as come in 40 s.
const SHORT: &str = "[sim: tokens=80 delay_ms=15] go on";
const ENDLESS: &str = "[sim: tokens=160 delay_ms=250] go on";
/// For so long an answer is read on whose caller left, and not much longer.
const DRAIN_CAP: Duration = Duration::from_secs(15);
const A_LITTLE: Duration = Duration::from_secs(2);

pub(super) async fn row(stage: &Stage) -> Vec<Figure> {
    let site = Site::start(stage, &Plan::new(stage)).await;
    for (model, policy) in [(CANCEL, "cancel"), (DRAIN, "drain"), (LONG, "drain")] {
        let channel = json!({"name": model, "provider": "openai", "base_url": site.simulator.base_url(), "key": PROVIDER_KEY,
            "models": [model], "client_abort": policy});
        site.apis[0].create("/api/channels", &channel).await;
        site.apis[0].price(model, "0.75", "4").await;
    }
    settle_config(&site.apis[0], site.relays.len()).await;
    let traffic = site.traffic();
    let (mut dice, mut leaving, begun) = (Dice::new(21, 0), JoinSet::new(), Instant::now());
    for place in 0..LONG_ANSWERS {
        leaving.spawn(leave_after(caller(&site, place), LONG, format!("leave-{LONG}-{place}"), 2));
    }
    let pause = Duration::from_secs(2) / stage.options.rate.max(2);
    let mut turn = 0_usize;
    while begun.elapsed() < stage.lasting() || turn < LEAVING {
        let model = if turn.is_multiple_of(2) { CANCEL } else { DRAIN };
        leaving.spawn(leave_after(caller(&site, turn), model, format!("leave-{turn}-{model}"), dice.between(1, 60)));
        turn += 1;
        sleep(pause).await;
    }
    let heard: HashMap<String, i64> = leaving.join_all().await.into_iter().flatten().collect();
    let seen = traffic.stop().await;
    let (settled, ledger, audit) = site.settle().await;

    let rows: Vec<&Row> = ledger.rows.iter().filter(|row| row.request_id.starts_with("leave-")).collect();
    let with_row: HashSet<&str> = rows.iter().map(|row| row.request_id.as_str()).collect();
    let mut figures = vec![
        Figure::at_least("callers that left", LEAVING, turn),
        Figure::share("of them with a settled request", 90.0, (with_row.len(), turn + LONG_ANSWERS)),
    ];
    figures.extend(Judged::of(&rows, &site.simulator.log(), &heard).figures());
    figures.push(Figure::none("failures of callers that stayed", &failures(&seen)));
    figures.push(Figure::within("everything settled after the load", SETTLE_LIMIT, settled));
    figures.extend(audit.figures());
    figures
}

fn caller(site: &Site, turn: usize) -> Caller {
    Caller::new(site.relays[turn % site.relays.len()].base_url()).with_key(&site.payers[turn % 4].token.key)
}

/// Opens a stream, reads some events, leaves. Answers how many words had come.
async fn leave_after(caller: Caller, model: &'static str, id: String, events: u64) -> Option<(String, i64)> {
    let mut question = body(model, &id, true, if model == LONG { ENDLESS } else { SHORT });
    question["max_tokens"] = 400.into();
    let mut stream = caller.with_request_id(&id).open(CHAT, &question).await.ok()?;
    let mut words = 0;
    for _ in 0..events {
        let event = stream.next().await.ok()??;
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        words += i64::from(data["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()));
    }
    Some((id, words))
}

/// What was wrong with what was charged.
#[derive(Debug, Default)]
struct Judged {
    beside: Vec<String>,
    short: Vec<String>,
    beyond: Vec<String>,
    undrained: Vec<String>,
    uncapped: Vec<String>,
    cancelled: usize,
    drained: usize,
    capped: usize,
    longest: Option<Duration>,
}

impl Judged {
    fn of(rows: &[&Row], log: &[LogEntry], heard: &HashMap<String, i64>) -> Self {
        let sent: HashMap<&str, &LogEntry> = log.iter().filter_map(|entry| Some((entry.request_id.as_deref()?, entry))).collect();
        let mut judged = Self::default();
        for row in rows {
            let Some(entry) = sent.get(row.request_id.as_str()) else { continue };
            if row.quota != PRICE.of(row.input, row.output) {
                judged.beside.push(row.request_id.clone());
            }
            if row.request_id.contains(LONG) {
                judged.take_capped(row, entry);
            } else if row.request_id.contains(DRAIN) {
                judged.take_drained(row, entry);
            } else {
                judged.take_cancelled(row, entry, heard.get(&row.request_id).copied().unwrap_or_default());
            }
        }
        judged
    }

    /// Read to its end, and charged by the provider's figures.
    fn take_drained(&mut self, row: &Row, entry: &LogEntry) {
        self.drained += 1;
        if entry.ending != Ending::Completed || row.quota != PRICE.of(entry.prompt_tokens, entry.sent_tokens) {
            self.undrained.push(format!("{} {:?} {} for {} tokens", row.request_id, entry.ending, row.quota, entry.sent_tokens));
        }
    }

    /// Read until the cap, and charged by what had come until then. Words of the simulator are a little more than a token each.
    fn take_capped(&mut self, row: &Row, entry: &LogEntry) {
        self.capped += 1;
        let lasted = Duration::from_micros(entry.took_us);
        self.longest = self.longest.max(Some(lasted));
        let is_at_cap = entry.ending == Ending::AbortedByClient && lasted >= DRAIN_CAP;
        if !is_at_cap || row.output * 10 < entry.sent_tokens * 8 || row.output > entry.sent_tokens * 2 + 8 {
            let (ending, tokens, charged) = (entry.ending, entry.sent_tokens, row.output);
            self.uncapped.push(format!("{} {ending:?} after {lasted:?}, {charged} charged of {tokens} tokens", row.request_id));
        }
    }

    /// Charged for what the caller had, by an estimate, and not far more than was sent.
    fn take_cancelled(&mut self, row: &Row, entry: &LogEntry, heard: i64) {
        self.cancelled += 1;
        if row.output < heard {
            self.short.push(format!("{}: {} for {heard} heard", row.request_id, row.output));
        }
        if row.output > entry.sent_tokens * 2 + 8 {
            self.beyond.push(format!("{}: {} for {} sent", row.request_id, row.output, entry.sent_tokens));
        }
    }

    fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::none("quota beside the formula of the row's own tokens", &self.beside),
            Figure::at_least("cancelled streams", 1, self.cancelled),
            Figure::none("cancelled streams charged less than the caller had", &self.short),
            Figure::none("cancelled streams charged far more than was sent", &self.beyond),
            Figure::at_least("drained streams", 1, self.drained),
            Figure::none("drained streams not read to their end, or beside the provider's figures", &self.undrained),
            Figure::exactly(
                format!("streams longer than the {} s that they are read on", DRAIN_CAP.as_secs()),
                LONG_ANSWERS,
                self.capped,
            ),
            Figure::none("of them ended sooner or not at all, or not charged by what had come", &self.uncapped),
            Figure::within("the longest of them ended after", DRAIN_CAP + A_LITTLE, self.longest),
        ]
    }
}
