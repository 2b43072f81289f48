//! Who may serve a request, and what it costs there: decided once, before anything is held or sent.

pub mod ejection;

use sluice_billing::{PriceError, Rate, Unpriced, hold, standing_surcharge};
use sluice_domain::{GroupName, ModelName, Quota};
use sluice_routing::{Ask, NoPlan, Plan};
use sluice_snapshot::Table;

use crate::admit::{AUTO, Admitted};
use crate::error::{Kind, Refusal};
use crate::ingress::request::Asked;
use crate::plan::ejection::Ejections;
use crate::quota::{Chain, Quotas, Reservation, ReserveError};

/// Candidates and price of one request.
#[derive(Debug)]
pub struct Planned {
    /// Who may be tried.
    pub plan: Plan,
    /// What the usage is priced with, before a channel's own cache price.
    pub rate: Rate,
    /// What the dearest attempt may cost.
    pub hold: Quota,
}

/// Finds the candidates and the price. All candidates are of one group, so every attempt has the same hold.
///
/// # Errors
/// When nobody can serve it, or the model has no price.
pub fn make(table: &Table, admitted: &Admitted, asked: &Asked, ejections: &Ejections, now: u64) -> Result<Planned, Refusal> {
    if admitted.group.as_str() == AUTO && table.group(AUTO).is_none() {
        return Err(Refusal::new(Kind::NoChannel, "auto groups are not enabled"));
    }
    let model = &asked.request.facts().model;
    let ask = Ask { group: admitted.group.as_str(), model: model.as_str(), pin: admitted.pin };
    let recent = ejections.recent(now);
    let plan = sluice_routing::plan(table, ask, |channel, key| recent.standing((channel, key), model.as_str()))
        .map_err(|error| no_plan(&error, &admitted.group, model, admitted.pin.is_some()))?;
    let rate = rate(table, &admitted.group, model)?;
    let output = most_output(table, asked);
    let surcharge = standing_surcharge(asked.request.surface().path(), model.as_str());
    let hold = hold(&rate, asked.prompt, output, table.settings.pre_consumed_tokens, surcharge.as_slice())
        .map_err(|error| unpriced(error, model))?;
    Ok(Planned { plan, rate, hold })
}

/// Sets aside what the request may cost: on the token's cap, if it has one, and on its owner's wallet, unless it is free; and one use of
/// the token, if those are limited.
///
/// # Errors
/// When one of them cannot pay, or nobody can say.
pub async fn reserve(quotas: &Quotas, admitted: &Admitted, planned: &Planned) -> Result<Reservation, Refusal> {
    let (token, user) = (&admitted.caller.token, &admitted.caller.user);
    let is_priced = !planned.rate.is_free() || planned.hold.is_positive();
    let chain = Chain {
        wallet: is_priced.then_some(user.account_id),
        cap: (is_priced && token.capped).then_some(token.account_id),
        uses: token.uses_account_id,
    };
    quotas.reserve(user.id, chain, planned.hold).await.map_err(|error| match error {
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
    })
}

/// The most output a request may bring, over all its answers, in tokens.
fn most_output(table: &Table, asked: &Asked) -> u64 {
    if !asked.request.surface().generates() {
        return 0;
    }
    let facts = asked.request.facts();
    let each = facts.max_output.map_or(table.settings.default_output_hold, u64::from);
    each.saturating_mul(facts.choices.into())
}

/// The price of a model in a group.
fn rate(table: &Table, group: &GroupName, model: &ModelName) -> Result<Rate, Refusal> {
    let price = table.prices.find(model.as_str(), Unpriced::Refuse).ok_or_else(|| unpriced(PriceError::Unpriced, model))?;
    let ratio = table
        .group_ratio(group.as_str())
        .ok_or_else(|| Refusal::new(Kind::GroupNotFound, format!("the group {group} does not exist")))?;
    Ok(Rate::new(price, *ratio))
}

fn unpriced(error: PriceError, model: &ModelName) -> Refusal {
    match error {
        PriceError::Unpriced => Refusal::new(Kind::Unpriced, format!("the price of model {model} is not configured")),
        PriceError::OutOfRange => {
            Refusal::new(Kind::InvalidRequest, "the request could cost more than any balance can hold, lower its output limit")
        }
    }
}

fn no_plan(error: &NoPlan, group: &GroupName, model: &ModelName, is_pinned: bool) -> Refusal {
    match error {
        NoPlan::UnknownModel => {
            Refusal::new(Kind::ModelNotFound, format!("the model {model} does not exist or is not available in group {group}"))
                .with_param("model")
        }
        NoPlan::NoneUsable(_) if is_pinned => Refusal::new(Kind::PinNotAllowed, "the channel asked for is disabled"),
        NoPlan::NoneUsable(_) => {
            Refusal::new(Kind::NoChannel, format!("no channel for model {model} in group {group} can be used at the moment"))
        }
        NoPlan::UnknownPin => Refusal::new(Kind::PinUnknown, "invalid channel id"),
    }
}
