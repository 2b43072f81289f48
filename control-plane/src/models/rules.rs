//! Pure decisions about models: which of those that channels serve are shown.

use std::collections::{BTreeMap, BTreeSet};

use sluice_billing::{PriceBook, Unpriced};
use sluice_domain::{GroupName, ModelName};

use super::{Model, ModelFilter, Reach};
use crate::http::{Listing, Page};

/// Models and groups of a channel in use.
type Served = (Vec<ModelName>, Vec<GroupName>);

/// The models of channels that are within reach, by name. When some are named it is these only, and those that nobody serves as well.
pub(super) fn models(served: Vec<Served>, reach: &Reach, named: &[ModelName], prices: &PriceBook) -> Vec<Model> {
    let unserved = named.iter().cloned().map(|name| (name, (BTreeSet::new(), 0)));
    let mut found: BTreeMap<ModelName, (BTreeSet<GroupName>, u32)> = unserved.collect();
    let is_near = |group: &GroupName| reach.groups.as_ref().is_none_or(|groups| groups.contains(group));
    let is_asked = |model: &ModelName| named.is_empty() || named.contains(model);
    let is_allowed = |model: &ModelName| reach.models.as_ref().is_none_or(|models| models.contains(model));
    found.retain(|model, _| is_allowed(model));
    for (models, groups) in served {
        let groups: BTreeSet<GroupName> = groups.into_iter().filter(is_near).collect();
        if groups.is_empty() {
            continue;
        }
        let models: BTreeSet<ModelName> = models.into_iter().filter(|model| is_asked(model) && is_allowed(model)).collect();
        for model in models {
            let (of_model, channels) = found.entry(model).or_default();
            of_model.extend(groups.iter().cloned());
            *channels += 1;
        }
    }
    let model = |(name, (groups, channels)): (ModelName, (BTreeSet<GroupName>, u32))| {
        let price = prices.find(name.as_str(), Unpriced::Refuse).map(|price| (*price).clone());
        Model { name, groups: groups.into_iter().collect(), channels, price }
    };
    found.into_iter().map(model).collect()
}

/// The page that was asked for of all models.
pub(super) fn page(mut models: Vec<Model>, filter: &ModelFilter, listing: &Listing) -> Page<Model> {
    let text = filter.text.as_deref().map(str::to_lowercase).unwrap_or_default();
    models.retain(|model| {
        let is_found = text.is_empty() || model.name.as_str().to_lowercase().contains(&text);
        let is_of_group = filter.group.as_deref().is_none_or(|name| model.groups.iter().any(|group| group.as_str() == name));
        is_found && is_of_group && filter.is_priced.is_none_or(|is_priced| model.price.is_some() == is_priced)
    });
    let total = listing.counts().then(|| u64::try_from(models.len()).unwrap_or(u64::MAX));
    if listing.is_descending() {
        models.reverse();
    }
    if let Some(after) = listing.after_text() {
        models.retain(|model| if listing.is_descending() { model.name.as_str() < after } else { model.name.as_str() > after });
    }
    Page { total, ..listing.cut(models, |model, _| (model.name.as_str().into(), model.name.as_str().into())) }
}

#[cfg(test)]
mod tests {
    use sluice_billing::ModelPrice;

    use super::*;

    fn names<T>(texts: &[&str], parse: impl Fn(&str) -> T) -> Vec<T> {
        texts.iter().map(|text| parse(text)).collect()
    }

    fn channel(models: &[&str], groups: &[&str]) -> (Vec<ModelName>, Vec<GroupName>) {
        (names(models, |text| ModelName::parse(text).unwrap()), names(groups, |text| GroupName::parse(text).unwrap()))
    }

    fn shown(reach: &Reach) -> Vec<String> {
        shown_of(&[], reach)
    }

    fn shown_of(named: &[&str], reach: &Reach) -> Vec<String> {
        let served = vec![channel(&["b", "a"], &["default", "vip"]), channel(&["a"], &["default"]), channel(&["c"], &["vip"])];
        let price = ModelPrice { model_ratio: Some("1".parse().unwrap()), ..ModelPrice::default() };
        let line = |model: Model| {
            let groups: Vec<_> = model.groups.iter().map(GroupName::as_str).collect();
            let priced = if model.price.is_some() { "priced" } else { "unpriced" };
            format!("{} {priced} in {} by {}", model.name, groups.join("+"), model.channels)
        };
        let named = names(named, |text| ModelName::parse(text).unwrap());
        models(served, reach, &named, &PriceBook::new([("a", price)])).into_iter().map(line).collect()
    }

    #[test]
    fn a_model_is_told_once_with_its_groups_channels_and_price() {
        assert_eq!(
            shown(&Reach::default()),
            ["a priced in default+vip by 2", "b unpriced in default+vip by 1", "c unpriced in vip by 1"]
        );
    }

    #[test]
    fn models_that_are_named_are_told_whether_served_or_not() {
        assert_eq!(shown_of(&["a", "z"], &Reach::default()), ["a priced in default+vip by 2", "z unpriced in  by 0"]);
    }

    #[test]
    fn what_is_out_of_reach_is_not_told() {
        let groups = Some(names(&["default"], |text| GroupName::parse(text).unwrap()));
        let models = Some(names(&["b", "c"], |text| ModelName::parse(text).unwrap()));
        let near = Reach { groups: groups.clone(), models: None };
        assert_eq!(shown(&near), ["a priced in default by 2", "b unpriced in default by 1"]);
        assert_eq!(shown(&Reach { groups, models }), ["b unpriced in default by 1"]);
        assert_eq!(shown(&Reach { groups: Some(vec![]), models: None }), [""; 0]);
    }
}
