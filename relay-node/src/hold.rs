//! What a request is held for. How much is `sluice_billing`'s rule; here it is set aside from the leases, and where there is less than
//! may come, it follows what the upstream is told, or that the stream is followed.

use std::sync::Arc;

use sluice_billing::{Beyond, Cover, HoldCost, HoldRules, Rate, Surcharge, Wanted, Window, standing_surcharge};
use sluice_domain::{ModelName, Quota, UserId};
use sluice_snapshot::{RelaySettings, Token};
use tokio::time::{Instant, timeout_at};

use crate::admit::Admitted;
use crate::error::{Kind, Refusal};
use crate::ingress::request::Asked;
use crate::plan::unpriced;
use crate::quota::{Chain, GRANT_WAIT, Quotas, Reservation, ReserveError};

/// Money set aside for a request, and what it goes for.
#[derive(Debug)]
pub struct Held {
    /// The money.
    pub reservation: Reservation,
    /// The limit to send upstream for each answer, in tokens, in place of the caller's own or the lack of one.
    pub output_limit: Option<u32>,
    /// How its stream is followed, if more is held for as it comes.
    pub follow: Option<Follow>,
}

/// How a stream is followed: its output uses up what is held for, and more is set aside in time.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The output that is held for.
    pub window: Window,
    /// The least prompt that is held for, in tokens.
    pub least_prompt: u64,
    /// More was asked for, and has not been used yet.
    pub has_wished: bool,
    /// Whose caller is told when there is no more.
    pub token: Arc<Token>,
}

/// A request, as its hold goes by it.
#[derive(Debug)]
struct Needs<'a> {
    rules: HoldRules,
    /// `None`: its price is known beforehand, and held exactly.
    wanted: Option<Wanted>,
    cost: HoldCost<'a>,
    model: &'a ModelName,
}

/// Who pays, and from where.
#[derive(Debug)]
struct Payer<'a> {
    quotas: &'a Quotas,
    user: UserId,
    token: &'a Arc<Token>,
    chain: Chain,
}

/// Where the price is known beforehand, output adds nothing to it.
const EXACT: Cover = Cover { least: 0, most: 0, beyond: Beyond::Nothing };

/// Sets aside what a request may cost: on the token's cap, if it has one, and on its owner's wallet, unless it is free; and one use of
/// the token, if those are limited. `usual` is what an answer of the model brought lately, in tokens.
///
/// # Errors
/// When one of them cannot pay, or nobody can say.
pub async fn reserve(
    quotas: &Quotas,
    settings: &RelaySettings,
    (admitted, asked): (&Admitted, &Asked),
    rate: &Rate,
    usual: u64,
) -> Result<Held, Refusal> {
    let surcharge = standing_surcharge(asked.request.surface().path(), asked.request.facts().model.as_str());
    let needs = Needs::of(settings, asked, rate, surcharge.as_slice(), usual);
    let payer = Payer::of(quotas, admitted, !rate.is_free() || needs.price(0)?.is_positive());
    let is_low = payer.is_low();
    let cover = needs.cover(is_low);
    let makes_do = if is_low { cover } else { needs.cover(true) };
    if is_low && cover.least < cover.most {
        let reservation = payer.take_up_to(needs.price(cover.least)?, needs.price(cover.most)?).await?;
        return Ok(needs.held(reservation, &cover, payer.token));
    }
    let deadline = Instant::now() + GRANT_WAIT;
    let reserved = quotas.reserve(payer.user, payer.chain, needs.price(cover.most)?).await;
    let error = match reserved {
        Ok(reservation) => return needs.enlarged(&payer, reservation, cover, deadline).await,
        Err(error) => error,
    };
    if makes_do.least >= cover.most {
        return Err(refusal(error, payer.token));
    }
    let (least, most) = (needs.price(makes_do.least)?, needs.price(makes_do.most)?);
    let reservation = match error {
        ReserveError::Exhausted { account } if payer.chain.uses != Some(account) => {
            // one wait for a request, however often it asks
            let waited = timeout_at(deadline, payer.take_up_to(least, most)).await;
            waited.unwrap_or_else(|_| Err(refusal(ReserveError::Unavailable, payer.token)))?
        }
        // nobody says what there is: what is here may do for a shorter answer
        ReserveError::Unavailable => {
            quotas.reserve_here(payer.user, payer.chain, least, most).map_err(|error| refusal(error, payer.token))?
        }
        error => return Err(refusal(error, payer.token)),
    };
    Ok(needs.held(reservation, &makes_do, payer.token))
}

impl<'a> Payer<'a> {
    fn of(quotas: &'a Quotas, admitted: &'a Admitted, is_priced: bool) -> Self {
        let (token, user) = (&admitted.caller.token, &admitted.caller.user);
        let chain = Chain {
            wallet: is_priced.then_some(user.account_id),
            cap: (is_priced && token.capped).then_some(token.account_id),
            uses: token.uses_account_id,
        };
        Self { quotas, user: user.id, token, chain }
    }

    fn is_low(&self) -> bool {
        self.quotas.is_low(self.user, self.chain) == Some(true)
    }

    async fn take_up_to(&self, least: Quota, most: Quota) -> Result<Reservation, Refusal> {
        let reserved = self.quotas.reserve_up_to(self.user, self.chain, least, most).await;
        reserved.map_err(|error| refusal(error, self.token))
    }
}

impl<'a> Needs<'a> {
    fn of(settings: &RelaySettings, asked: &'a Asked, rate: &'a Rate, surcharges: &'a [Surcharge], usual: u64) -> Self {
        let facts = asked.request.facts();
        let is_by_output = asked.request.surface().generates() && rate.model.per_call_usd.is_none() && !rate.is_free();
        let wanted = is_by_output.then(|| Wanted {
            limit: facts.max_output.map(u64::from),
            cap: rate.model.max_output_tokens.map(u64::from),
            usual,
            choices: facts.choices.into(),
            streams: facts.stream,
        });
        let policy = rate.model.hold_policy.unwrap_or(settings.holds.policy);
        let cost = HoldCost { rate, prompt: asked.prompt, least_prompt: settings.pre_consumed_tokens, surcharges };
        Self { rules: HoldRules { policy, ..settings.holds }, wanted, cost, model: &facts.model }
    }

    fn cover(&self, is_low: bool) -> Cover {
        self.wanted.as_ref().map_or(EXACT, |wanted| self.rules.cover(wanted, is_low))
    }

    fn price(&self, output: u64) -> Result<Quota, Refusal> {
        self.cost.of(output).map_err(|error| unpriced(error, self.model))
    }

    /// What came of a reservation. Where its grant told that the balance is low, as much is set aside as there is, and that is the limit.
    /// By the moment until which its request waits at all.
    async fn enlarged(
        &self,
        payer: &Payer<'_>,
        mut reservation: Reservation,
        cover: Cover,
        deadline: Instant,
    ) -> Result<Held, Refusal> {
        let strict = self.cover(true);
        let is_closer = self.rules.clamps && strict.beyond == Beyond::Nothing && cover.beyond != Beyond::Nothing;
        if !is_closer || !payer.is_low() {
            return Ok(self.held(reservation, &cover, payer.token));
        }
        let more = self.price(strict.most)?.saturating_minus(reservation.held());
        // where there is no more, or nobody can say, what is set aside already has to do
        let _ = reservation.extend_up_to_by(deadline, Quota::clamped(1), more).await;
        Ok(self.held(reservation, &strict, payer.token))
    }

    fn held(&self, reservation: Reservation, cover: &Cover, token: &Arc<Token>) -> Held {
        let covered = self.cost.affordable(reservation.held(), cover.most);
        let output_limit = self.wanted.as_ref().and_then(|wanted| self.rules.limit_to_send(wanted, cover, covered));
        let follow = Window::of(cover, covered).map(|window| Follow {
            window,
            least_prompt: self.cost.least_prompt,
            has_wished: false,
            token: Arc::clone(token),
        });
        Held { reservation, output_limit, follow }
    }
}

/// What a caller is told who cannot pay.
#[must_use]
pub fn refusal(error: ReserveError, token: &Token) -> Refusal {
    match error {
        ReserveError::Exhausted { account } if token.uses_account_id == Some(account) => {
            Refusal::new(Kind::TokenUses, format!("token {} may not be used any more: its requests are used up", token.name))
        }
        ReserveError::Exhausted { account } if token.capped && account == token.account_id => {
            Refusal::new(Kind::TokenQuota, format!("the quota of token {} does not cover the request", token.name))
        }
        ReserveError::Exhausted { .. } => Refusal::new(Kind::UserQuota, "the balance does not cover the request"),
        ReserveError::Frozen { .. } => Refusal::new(Kind::AccountFrozen, "the account is frozen"),
        ReserveError::Unavailable => {
            Refusal::new(Kind::AuthorityUnavailable, "the balance cannot be checked at the moment, try again")
        }
    }
}
