//! What is seen of a request from outside: one access line and its metrics, whatever became of it.
//!
//! Code writes here and decides nothing by it. The line and the metrics are written when the record is dropped, so no request goes
//! unseen: not a refused one, not one whose caller left, not one that panicked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sluice_dialect::openai::Facts;
use sluice_domain::{ChannelId, ModelName, Outcome, Quota, RequestId, RequestRecord, TokenId, Usage, UserId};
use sluice_telemetry::metrics::Held;
use tokio::time::Instant;
use tracing::{Level, event};

use crate::app::RelayApp;
use crate::auth::Caller;
use crate::error::{Kind, Refusal};
use crate::health::InFlight;
use crate::metrics::{ByAttempt, ByEnd, ByInterface, ByTokens, End, TokenClass};

/// One request, as operators see it.
#[derive(Debug)]
pub struct Observed {
    /// Names the request.
    pub request_id: RequestId,
    /// What was asked for.
    pub interface: ByInterface,
    /// Where the caller is.
    pub client: IpAddr,
    token: Option<TokenId>,
    user: Option<UserId>,
    model: Option<ModelName>,
    is_stream: bool,
    /// The status the caller got; 0 when none was sent.
    status: u16,
    /// What went wrong.
    pub reason: Option<Kind>,
    /// Time spent waiting for upstreams.
    pub upstream_time: Duration,
    end: Option<End>,
    channel: Option<ChannelId>,
    attempts: u32,
    usage: Usage,
    quota: Quota,
    is_estimated: bool,
    /// What of the request the upstream was not sent.
    dropped: Vec<&'static str>,
    began: Instant,
    first_byte: Option<Duration>,
    app: RelayApp,
    _in_flight: (Held, InFlight),
}

impl Observed {
    /// A request comes in.
    #[must_use]
    pub fn new(app: &RelayApp, request_id: RequestId, interface: ByInterface, client: IpAddr) -> Self {
        let in_flight = (app.metrics.requests.in_flight.hold(), app.load.begin());
        Self {
            request_id,
            interface,
            client,
            token: None,
            user: None,
            model: None,
            is_stream: false,
            status: 0,
            reason: None,
            upstream_time: Duration::ZERO,
            end: None,
            channel: None,
            attempts: 0,
            usage: Usage::default(),
            quota: Quota::ZERO,
            is_estimated: false,
            dropped: Vec::new(),
            began: Instant::now(),
            first_byte: None,
            app: app.clone(),
            _in_flight: in_flight,
        }
    }

    /// It is known who calls.
    pub fn caller(&mut self, caller: &Caller) {
        self.token = Some(caller.token.id);
        self.user = Some(caller.user.id);
    }

    /// It is known what is asked for.
    pub fn asked(&mut self, facts: &Facts) {
        self.model = Some(facts.model.clone());
        self.is_stream = facts.stream;
    }

    /// It was refused before anything was sent.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.end = Some(End::Refused);
        self.reason = Some(refusal.kind);
        self.status = refusal.status();
    }

    /// It was answered without asking anybody.
    pub fn answered(&mut self, status: u16) {
        self.end = Some(End::Of(Outcome::Completed));
        self.status = status;
    }

    /// An attempt is decided; the word says what went wrong, and is empty when nothing did.
    pub fn attempt(&mut self, provider: &Arc<str>, word: &'static str) {
        self.attempts += 1;
        let result = if word.is_empty() { "ok" } else { word };
        self.app.metrics.requests.attempts.of(&ByAttempt { provider: Arc::clone(provider), result }).increment();
    }

    /// What the upstream that is asked is not sent of the request.
    pub fn without(&mut self, dropped: &[&'static str]) {
        dropped.clone_into(&mut self.dropped);
    }

    /// The first byte of the answer is here.
    pub fn first_byte(&mut self) {
        self.first_byte.get_or_insert_with(|| self.began.elapsed());
    }

    /// How long the first byte of the answer took, if it is here.
    #[must_use]
    pub const fn waited(&self) -> Option<Duration> {
        self.first_byte
    }

    /// The answer that had begun is not used.
    pub fn forget_first_byte(&mut self) {
        self.first_byte = None;
    }

    /// It is settled.
    pub fn settled(&mut self, record: &RequestRecord) {
        self.end = Some(End::Of(record.outcome));
        self.status = record.status;
        self.channel = record.channel_id;
        self.usage = record.usage;
        self.quota = record.quota;
        self.is_estimated = record.usage_estimated;
    }

    fn count(&self, end: End, total: Duration) {
        let metrics = &self.app.metrics.requests;
        metrics.requests.of(&ByEnd { interface: self.interface, end }).increment();
        metrics.duration_seconds.of(&self.interface).record_time(total);
        if let Some(kind) = self.reason.filter(|_| end == End::Refused) {
            metrics.refusals.of(&kind).increment();
        }
        if self.attempts == 0 {
            return;
        }
        metrics.added_latency_seconds.record_time(total.saturating_sub(self.upstream_time));
        if let Some(waited) = self.first_byte {
            metrics.first_byte_seconds.of(&self.interface).record_time(waited);
        }
        let Usage { output, audio_output, .. } = self.usage;
        let classes = [
            (TokenClass::Input, self.usage.input),
            (TokenClass::CacheRead, self.usage.cache_read),
            (TokenClass::CacheWrite, self.usage.cache_write_5m.saturating_add(self.usage.cache_write_1h)),
            (TokenClass::Media, self.usage.image_input.saturating_add(self.usage.audio_input).saturating_add(audio_output)),
            (TokenClass::Output, output),
        ];
        for (class, tokens) in classes.into_iter().filter(|(_, tokens)| *tokens > 0) {
            metrics.tokens.of(&ByTokens(class)).add(tokens);
        }
        metrics.quota.add(u64::try_from(self.quota.get()).unwrap_or(0));
        if self.is_estimated {
            metrics.estimated.increment();
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let total = self.began.elapsed();
        let panicked = std::thread::panicking().then_some(End::Of(Outcome::Failed));
        // Nobody said how it ended: the caller left before anything was decided.
        let end = self.end.or(panicked).unwrap_or(End::Of(Outcome::Aborted));
        self.count(end, total);
        let (millis, upstream) = (total.as_secs_f64() * 1e3, self.upstream_time.as_secs_f64() * 1e3);
        macro_rules! line {
            ($level:expr) => {
                event!(
                    target: "sluice_relay_node::access",
                    $level,
                    request.id = %self.request_id,
                    interface = self.interface.as_str(),
                    outcome = end.as_str(),
                    reason = self.reason.map(Kind::as_str),
                    status = self.status,
                    token.id = self.token.map(TokenId::get),
                    user.id = self.user.map(UserId::get),
                    channel.id = self.channel.map(ChannelId::get),
                    model = self.model.as_ref().map(ModelName::as_str),
                    stream = self.is_stream,
                    attempts = self.attempts,
                    dropped = (!self.dropped.is_empty()).then(|| self.dropped.join(", ")),
                    tokens.input = self.usage.total_input(),
                    tokens.output = self.usage.total_output(),
                    quota = self.quota.get(),
                    total_ms = millis,
                    upstream_ms = upstream,
                    first_byte_ms = self.first_byte.map(|waited| waited.as_secs_f64() * 1e3),
                    client.address = %self.client,
                    "{} {} with status {}",
                    self.interface.as_str(),
                    end.as_str(),
                    self.status
                )
            };
        }
        // What went wrong on our side of the caller is worth a line without being asked for.
        let is_ours = matches!(end, End::Of(Outcome::Failed | Outcome::Truncated));
        if is_ours {
            line!(Level::INFO);
        } else {
            line!(Level::DEBUG);
        }
    }
}
