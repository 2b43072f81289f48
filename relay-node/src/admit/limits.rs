//! The limits of a request: of its caller, of its model, and of each channel it is tried at. How they are kept is `sluice_limits`.
//!
//! What the caller and the model allow is taken once, before the plan. What a channel allows is taken for each attempt: one that allows
//! nothing at the moment is left out of the plan, and the next candidate is tried.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::SmallRng;
use sluice_domain::{Counted, Usage};
use sluice_limits::{Ask, Held, Limiter, Refused, Standing, Subject};
use sluice_routing::{Candidate, Next, Plan, Reason};
use sluice_snapshot::{Channel, Table};

use super::Admitted;
use crate::error::{Kind, Refusal};
use crate::ingress::request::Asked;

/// What a request took from limits. Its end has to be told; dropped, it gives back what was only estimated.
#[derive(Debug)]
pub struct Kept {
    limiter: Limiter,
    caller: Held,
    /// Of the channel that is tried.
    channel: Held,
    /// Estimate of the whole request, in tokens.
    tokens: u64,
    /// Its tokens count at all.
    weighs: bool,
}

impl Kept {
    /// Of a request that nobody limits.
    #[must_use]
    pub fn nothing(limiter: &Limiter) -> Self {
        Self { limiter: limiter.clone(), caller: Held::nothing(), channel: Held::nothing(), tokens: 0, weighs: false }
    }

    /// Takes what a channel allows for an attempt at it, and gives back what the attempt before took of its own.
    ///
    /// # Errors
    /// When the channel allows nothing more at the moment: how long until it does.
    async fn attempt(&mut self, channel: &Channel) -> Result<(), Duration> {
        self.failed();
        if channel.limits.is_empty() {
            return Ok(());
        }
        let ask = |limit| Ask::new(Subject::Channel(channel.id), limit, self.tokens);
        let held = self.limiter.admit(channel.limits.iter().map(ask).collect()).await;
        self.channel = held.map_err(|refused| refused.worst().map_or(Duration::ZERO, |worst| worst.wait))?;
        Ok(())
    }

    /// The attempt failed: its channel is free for others.
    pub fn failed(&mut self) {
        self.channel = Held::nothing();
    }

    /// The request ended: what it used is known, and whether its caller got an answer.
    pub fn settle(&mut self, usage: &Usage, status: u16) {
        let tokens = if self.weighs { usage.total_input().saturating_add(usage.total_output()) } else { 0 };
        let is_success = (1..400).contains(&status);
        for held in [&mut self.caller, &mut self.channel] {
            std::mem::replace(held, Held::nothing()).settle(tokens, is_success);
        }
    }
}

/// Takes what the caller, their group and the model allow. `usual`: how long the model's answers are, in tokens; 0 when not known.
/// `rates` is told how the caller's limits stand, whatever comes of it.
///
/// # Errors
/// When one of them allows nothing more at the moment.
pub async fn take(
    limiter: &Limiter,
    table: &Table,
    (admitted, asked): (&Admitted, &Asked),
    usual: u64,
    rates: &mut Rates,
) -> Result<Kept, Refusal> {
    let tokens = estimate(asked, usual);
    match limiter.admit(asks(table, admitted, asked, tokens)).await {
        Ok(caller) => {
            *rates = Rates::of(caller.standings());
            let weighs = asked.request.surface().weighs();
            Ok(Kept { limiter: limiter.clone(), caller, channel: Held::nothing(), tokens, weighs })
        }
        Err(refused) => {
            *rates = Rates::of(refused.standings.iter().cloned());
            Err(refuse(&refused, admitted, asked))
        }
    }
}

/// The next candidate whose channel allows an attempt. Those that do not are left out of the plan.
///
/// # Errors
/// When none does: how long until the first of them would, as far as it is known.
pub async fn next_within(
    kept: &mut Kept,
    plan: &mut Plan,
    rng: &mut SmallRng,
    first: Option<Candidate>,
) -> Result<Candidate, Option<Duration>> {
    let (mut candidate, mut soonest) = (first, None::<Duration>);
    while let Some(found) = candidate {
        match kept.attempt(&found.channel).await {
            Ok(()) => return Ok(found),
            Err(wait) => soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait))),
        }
        plan.leave_out(found.id(), Reason::Limited);
        candidate = plan.next(Next::Channel, rng);
    }
    Err(soonest)
}

/// The first candidate whose channel allows an attempt.
///
/// # Errors
/// When there is none.
pub async fn first_within(kept: &mut Kept, plan: &mut Plan, rng: &mut SmallRng) -> Result<Candidate, Refusal> {
    let first = plan.next(Next::Channel, rng);
    next_within(kept, plan, rng, first).await.map_err(|soonest| match soonest {
        None => Refusal::new(Kind::NoChannel, "no channel can be used"),
        Some(wait) => {
            let mut refusal =
                Refusal::new(Kind::NoChannel, "every channel for the model is at its limit at the moment, try again");
            refusal.retry_after = Some(wait.max(Duration::from_secs(1)));
            refusal
        }
    })
}

/// All limits a request falls under.
fn asks(table: &Table, admitted: &Admitted, asked: &Asked, tokens: u64) -> Vec<Ask> {
    let (token, user, group) = (&admitted.caller.token, &admitted.caller.user, &admitted.group);
    let model = &asked.request.facts().model;
    let mut asks = Vec::new();
    asks.extend(user.limits.iter().map(|limit| Ask::new(Subject::User(user.id), limit, tokens)));
    asks.extend(token.limits.iter().map(|limit| Ask::new(Subject::Token(user.id, token.id), limit, tokens)));
    let of_member = table.request_limits.of(group.as_str());
    asks.extend(of_member.map(|limit| Ask::new(Subject::Member(user.id, group.clone()), &limit, tokens)));
    let of_group = table.group(group.as_str()).map(|group| &group.limits);
    asks.extend(
        of_group.into_iter().flat_map(|limits| limits.iter()).map(|limit| Ask::new(Subject::Group(group.clone()), limit, tokens)),
    );
    let of_model = table.limits_of_model(model.as_str());
    asks.extend(
        of_model
            .into_iter()
            .flat_map(|(model, limits)| limits.iter().map(|limit| Ask::new(Subject::Model(model.clone()), limit, tokens))),
    );
    asks
}

/// About how many tokens a request will take: its prompt, and as much output as is usual, or as it allows where that is less.
fn estimate(asked: &Asked, usual: u64) -> u64 {
    let (facts, surface) = (asked.request.facts(), asked.request.surface());
    if !surface.weighs() {
        return 0;
    }
    if !surface.generates() {
        return asked.prompt;
    }
    let most = facts.max_output.map(u64::from);
    let each = if usual > 0 { most.map_or(usual, |most| most.min(usual)) } else { most.unwrap_or_default() };
    asked.prompt.saturating_add(each.saturating_mul(facts.choices.into()))
}

fn refuse(refused: &Refused, admitted: &Admitted, asked: &Asked) -> Refusal {
    let Some(worst) = refused.worst() else { return Refusal::new(Kind::RateLimited, "too many requests, try again later") };
    let who = match &worst.key.subject {
        Subject::Token(..) => format!("the token {}", admitted.caller.token.name),
        Subject::User(_) => "the user".to_owned(),
        Subject::Member(_, group) => format!("the user in group {group}"),
        Subject::Group(group) => format!("the group {group}"),
        Subject::Model(model) => format!("the model {model}"),
        Subject::Channel(_) => "the channel".to_owned(),
    };
    let (limit, window) = (worst.limit, worst.limit.window_secs);
    let message = match limit.of {
        Counted::Concurrency => format!("{who} is limited to {} requests at the same time, try again in a moment", limit.count),
        Counted::Tokens if worst.is_too_large => {
            let tokens = estimate(asked, 0);
            format!(
                "{who} is limited to {} tokens in {window} s, which this request of {tokens} and more exceeds by itself",
                limit.count
            )
        }
        Counted::Tokens => format!("{who} is limited to {} tokens in {window} s", limit.count),
        Counted::Requests => format!("{who} is limited to {} requests in {window} s", limit.count),
        Counted::Successes => format!("{who} is limited to {} answered requests in {window} s", limit.count),
    };
    let mut refusal = Refusal::new(Kind::RateLimited, message);
    refusal.retry_after = Some(worst.wait.max(Duration::from_secs(1)));
    refusal
}

/// How the caller's limits stand, for the headers of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    requests: Option<Figures>,
    tokens: Option<Figures>,
}

/// The limit that is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    limit: u64,
    left: u64,
    reset: Duration,
}

impl Rates {
    /// The nearest of the caller's own limits. What others share is nobody's business.
    fn of(standings: impl Iterator<Item = Standing>) -> Self {
        let mut rates = Self::default();
        for standing in standings.filter(|standing| standing.key.subject.is_callers() && !standing.limit.is_shadow) {
            let place = match standing.limit.of {
                Counted::Requests | Counted::Successes => &mut rates.requests,
                Counted::Tokens => &mut rates.tokens,
                Counted::Concurrency => continue,
            };
            let found = Figures { limit: standing.limit.count, left: standing.left, reset: standing.reset };
            // whose share that is left is the smallest: left ÷ limit, without a division
            let is_nearer = |known: &Figures| {
                u128::from(found.left) * u128::from(known.limit) < u128::from(known.left) * u128::from(found.limit)
            };
            if place.as_ref().is_none_or(is_nearer) {
                *place = Some(found);
            }
        }
        rates
    }

    /// Puts the headers on an answer that clients look for.
    pub fn put_on(&self, headers: &mut HeaderMap) {
        let figures = [(self.requests, &REQUESTS), (self.tokens, &TOKENS)];
        for (figures, [limit, left, reset]) in figures {
            let Some(figures) = figures else { continue };
            headers.insert(limit, HeaderValue::from(figures.limit));
            headers.insert(left, HeaderValue::from(figures.left));
            if let Ok(text) = HeaderValue::try_from(duration(figures.reset)) {
                headers.insert(reset, text);
            }
        }
    }
}

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// A time as OpenAI writes it in these headers: `120ms`, `8.64s`, `6m0s`, `1h30m0s`.
fn duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let fraction = format!(".{:03}", rest % 1_000);
    let seconds = format!("{}{}s", rest / 1_000, fraction.trim_end_matches('0').trim_end_matches('.'));
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use sluice_domain::{Limit, UserId};
    use sluice_limits::Key;

    use super::*;

    fn standing(of: Counted, count: u64, left: u64, subject: Subject, is_shadow: bool) -> Standing {
        let limit = Limit { of, count, window_secs: 60, is_shadow };
        let key = Key { subject, of, window_secs: 60 };
        Standing { key, limit, left, reset: Duration::from_secs(90), wait: Duration::ZERO, fits: true, is_too_large: false }
    }

    fn user() -> Subject {
        Subject::User(UserId::new(1))
    }

    #[test]
    fn callers_are_told_of_the_nearest_of_their_own_limits() {
        let model = Subject::Model(sluice_domain::ModelName::parse("m").unwrap());
        let rates = Rates::of(
            [
                standing(Counted::Requests, 100, 50, user(), false),
                standing(Counted::Successes, 10, 4, user(), false),
                standing(Counted::Requests, 10, 0, user(), true),
                standing(Counted::Requests, 10, 0, model, false),
                standing(Counted::Tokens, 1_000, 900, user(), false),
            ]
            .into_iter(),
        );
        let mut headers = HeaderMap::new();
        rates.put_on(&mut headers);
        let told: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            told,
            [
                ("x-ratelimit-limit-requests", "10"),
                ("x-ratelimit-remaining-requests", "4"),
                ("x-ratelimit-reset-requests", "1m30s"),
                ("x-ratelimit-limit-tokens", "1000"),
                ("x-ratelimit-remaining-tokens", "900"),
                ("x-ratelimit-reset-tokens", "1m30s"),
            ]
        );
    }

    #[test]
    fn times_are_written_as_clients_read_them() {
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!([0, 120, 1_000, 8_640, 360_000].map(of), ["0ms", "120ms", "1s", "8.64s", "6m0s"]);
        assert_eq!(of(5_400_500), "1h30m0.5s");
    }
}
