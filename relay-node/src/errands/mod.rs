//! What an administrator has this relay try: a model of a channel, its upstream's list of models, what is left of its money.
//!
//! Errands come on the lease stream and are carried out here, a few at once, with exactly the channel and key they name: enabled or not,
//! outside of plans, limits and money. Nothing of them is charged. What came of each is told by `link`, best effort: the control plane
//! gives one out again that it hears nothing of.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluice_dialect::Surface;
use sluice_domain::{ChannelId, ChannelKeyId, Status, Usage};
use sluice_providers::{Amount, Probe};
use sluice_routing::Candidate;
use sluice_snapshot::ChannelKey;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::app::RelayApp;
use crate::forward::{self, Tried, Trouble};

/// Errands that wait here. The control plane gives out far fewer at once.
const WAITING: usize = 64;
/// Errands that are run at once.
const AT_ONCE: usize = 4;
/// The longest an errand takes. The control plane waits longer before it gives it to another relay.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How long an errand waits for the configuration it is about.
const CONFIG_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether that is in force.
const CONFIG_LOOK: Duration = Duration::from_millis(20);

/// What is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Ask a model something short.
    Test,
    /// Fetch the upstream's list of models.
    Models,
    /// Ask what is left of the money.
    Balance,
}

/// Something to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Names it.
    pub id: i64,
    /// What.
    pub deed: Deed,
    /// With this channel.
    pub channel: ChannelId,
    /// And this key; `None`: the channel has none.
    pub key: Option<ChannelKeyId>,
    /// Of a test, by the name callers use.
    pub model: String,
    /// From this config sequence on the channel is as it was meant to be.
    pub config_seq: i64,
}

/// What it brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The model answered.
    Answer(Tried),
    /// The names in a list of models.
    Models(Vec<String>),
    /// What is left of the money.
    Balance(Amount),
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The errand.
    pub errand: i64,
    /// What it brought, or why nothing.
    pub outcome: Result<Found, Trouble>,
    /// How long it took.
    pub latency: Duration,
}

/// The end where errands come in and reports go out.
#[derive(Debug)]
pub struct Counter {
    /// Errands to be run. One that finds no room is dropped: it is given out again.
    pub errands: mpsc::Sender<Errand>,
    /// What came of them.
    pub reports: mpsc::Receiver<Report>,
}

/// The end where errands are run.
#[derive(Debug)]
pub struct Runner {
    errands: mpsc::Receiver<Errand>,
    reports: mpsc::Sender<Report>,
}

/// Both ends.
#[must_use]
pub fn counter() -> (Counter, Runner) {
    let ((errands, waiting), (told, reports)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
    (Counter { errands, reports }, Runner { errands: waiting, reports: told })
}

impl Runner {
    /// Runs what comes, until `end`. What is under way then is dropped.
    pub async fn run(mut self, app: RelayApp, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = &mut end => return,
                Some(report) = running.next(), if !running.is_empty() => {
                    // nobody is there to tell: it is given out again
                    let _ = self.reports.try_send(report);
                }
                errand = self.errands.recv(), if running.len() < AT_ONCE => match errand {
                    Some(errand) => running.push(run(&app, errand, PATIENCE)),
                    None => return,
                },
            }
        }
    }
}

/// Runs one errand to its end, which comes within `patience`.
pub async fn run(app: &RelayApp, errand: Errand, patience: Duration) -> Report {
    wait_for(app, errand.config_seq).await;
    let began = Instant::now();
    let outcome = match timeout(patience, carry_out(app, &errand, patience)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Trouble::ours("total_timeout", "the upstream did not answer in time")),
    };
    Report { errand: errand.id, outcome, latency: began.elapsed() }
}

/// Waits for a moment until this configuration is in force; what is tried then is what is here.
async fn wait_for(app: &RelayApp, config_seq: i64) {
    let until = Instant::now() + CONFIG_WAIT;
    while app.view.table().version.seq < config_seq && Instant::now() < until {
        sleep(CONFIG_LOOK).await;
    }
}

async fn carry_out(app: &RelayApp, errand: &Errand, patience: Duration) -> Result<Found, Trouble> {
    let candidate = candidate(app, errand).map_err(|(word, message)| Trouble::ours(word, message))?;
    match errand.deed {
        Deed::Test => test(app, &candidate, &errand.model, patience).await.map(Found::Answer),
        Deed::Models => forward::models(app, &candidate, patience).await.map(Found::Models),
        Deed::Balance => forward::balance(app, &candidate, patience).await.map(Found::Balance),
    }
}

/// What is to be tried, or a word of ours and a sentence why that cannot be.
fn candidate(app: &RelayApp, errand: &Errand) -> Result<Candidate, (&'static str, &'static str)> {
    let table = app.view.table();
    let channel = table.channel(errand.channel).cloned();
    let channel = channel.ok_or(("no_channel", "the relay does not know the channel"))?;
    let key = match errand.key {
        Some(id) => channel.keys.iter().find(|key| key.id == id).cloned(),
        None => Some(ChannelKey { id: ChannelKeyId::new(0), secret: String::new().into(), status: Status::Enabled }),
    };
    let key = key.ok_or(("no_key", "the channel does not have the key any more"))?;
    Ok(Candidate { channel, key })
}

async fn test(app: &RelayApp, candidate: &Candidate, model: &str, patience: Duration) -> Result<Tried, Trouble> {
    let probe = Probe::of(candidate.channel.upstream_model(model));
    let Some(body) = probe.body(model) else {
        return Err(Trouble::ours("not_tested", "a model that makes images is not tested: it would cost what an image does"));
    };
    let body = Bytes::from(body.to_string());
    let surface = match probe {
        Probe::Rerank => Surface::Rerank,
        Probe::Embeddings => Surface::Embeddings,
        Probe::Responses => Surface::Responses,
        Probe::Chat | Probe::Images => Surface::ChatCompletions,
    };
    forward::attempt(app, candidate, (surface, body), patience).await
}

impl Report {
    /// What a test used, where the upstream said so.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match &self.outcome {
            Ok(Found::Answer(tried)) => tried.usage,
            _ => Usage::default(),
        }
    }
}
