//! Who may serve a request, and what it costs there: decided once, before anything is held or sent.

pub mod ejection;

use sluice_billing::{PriceError, Rate, Unpriced};
use sluice_domain::{GroupName, ModelName, suffix};
use sluice_routing::{Ask, NoPlan, Plan};
use sluice_snapshot::Table;

use crate::admit::{AUTO, Admitted};
use crate::error::{Kind, Refusal};
use crate::forward::Engine;
use crate::ingress::request::Asked;
use crate::responses::{Previous, previous_not_found};

/// Candidates and price of one request.
#[derive(Debug)]
pub struct Planned {
    /// Who may be tried.
    pub plan: Plan,
    /// What the usage is priced with, before a channel's own cache price.
    pub rate: Rate,
}

/// Finds the candidates and the price. All candidates are of one group, so every attempt has the same price and hold.
///
/// # Errors
/// When nobody can serve it, or the model has no price.
pub fn make(
    table: &Table,
    admitted: &Admitted,
    (asked, previous): (&Asked, &Previous),
    engine: &Engine,
    now: u64,
) -> Result<Planned, Refusal> {
    if admitted.group.as_str() == AUTO && table.group(AUTO).is_none() {
        return Err(Refusal::new(Kind::NoChannel, "auto groups are not enabled"));
    }
    let model = &asked.request.facts().model;
    let ask = |model| Ask { group: admitted.group.as_str(), model, pin: admitted.pin, bound: previous.place() };
    let recent = engine.ejections.recent(now);
    let standing = |channel, key| recent.standing((channel, key), model.as_str());
    let plain = asked.request.plain_model();
    let splits = asked.request.surface().asked_as().converses() && !table.settings.keeps_suffix(plain);
    let plan = sluice_routing::plan(table, ask(model.as_str()), standing)
        // the full name is looked up first, and what stands behind it taken off only if nobody has it
        .or_else(|error| match error {
            NoPlan::UnknownModel if plain != model.as_str() => sluice_routing::plan(table, ask(plain), standing),
            error => Err(error),
        })
        .or_else(|error| match suffix::bare(plain).filter(|_| splits) {
            Some(bare) if error == NoPlan::UnknownModel => sluice_routing::plan(table, ask(bare), standing),
            _ => Err(error),
        })
        .map_err(|error| match (&error, asked.request.storing().previous) {
            (NoPlan::NoneUsable(_), Some(id)) if previous.place().is_some() => previous_not_found(&id),
            _ => no_plan(&error, &admitted.group, model, admitted.pin.is_some()),
        })?;
    let rate = rate(table, &admitted.group, model)?;
    Ok(Planned { plan: plan.with_turns(&engine.turns), rate })
}

/// The price of a model in a group.
fn rate(table: &Table, group: &GroupName, model: &ModelName) -> Result<Rate, Refusal> {
    let price = table.prices.find(model.as_str(), Unpriced::Refuse).ok_or_else(|| unpriced(PriceError::Unpriced, model))?;
    let ratio = table
        .group_ratio(group.as_str())
        .ok_or_else(|| Refusal::new(Kind::GroupNotFound, format!("the group {group} does not exist")))?;
    Ok(Rate::new(price, *ratio))
}

/// What a caller is told whose request has no price.
#[must_use]
pub fn unpriced(error: PriceError, model: &ModelName) -> Refusal {
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
