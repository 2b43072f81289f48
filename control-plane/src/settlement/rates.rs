//! What prices, groups and channels' cache ratios were at each config version, remembered in memory.

mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use sea_orm::DbErr;
use sluice_billing::{ModelPrice, PriceBook, Rate, Ratio, Unpriced};
use sluice_domain::ChannelId;
use tracing::warn;

use self::store::Row;
use crate::db::Db;
use crate::publish::log::RateKind;

/// Price books of different versions kept ready. Relays use one or two versions at a time.
const MAX_BOOKS: usize = 16;

/// The rates of every config version. Clones are the same memory.
#[derive(Clone, Default)]
pub struct Rates(Arc<RwLock<History>>);

/// Changes by name, each with the version it came with, in order of versions.
type Changes<K, V> = HashMap<K, BTreeMap<i64, Option<V>>>;

#[derive(Default)]
struct History {
    /// Everything up to this version is here.
    loaded_to: i64,
    /// How often everything was forgotten.
    generation: u64,
    prices: Changes<String, ModelPrice>,
    groups: Changes<String, Ratio>,
    channels: Changes<ChannelId, Ratio>,
    /// Versions at which some price changed.
    price_seqs: BTreeSet<i64>,
    /// Ready price books, by the version from which they hold; those used last at the end.
    books: Vec<(i64, Arc<PriceBook>)>,
}

/// Why a request has no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRate {
    /// The model had no price.
    Model,
    /// The group was not there.
    Group,
}

impl Rates {
    /// Nothing remembered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rates of these rows: kind, name, version, body. For tests and the simulation.
    #[doc(hidden)]
    #[must_use]
    pub fn of_rows<const N: usize>(rows: [(&str, &str, i64, Option<&str>); N]) -> Self {
        let rates = Self::new();
        for (kind, name, seq, body) in rows {
            let mut history = rates.0.write();
            history.add(Row { seq, kind: kind.into(), name: name.into(), body: body.map(Into::into) });
            history.loaded_to = Ord::max(history.loaded_to, seq);
        }
        rates
    }

    /// Sees to it that every version up to `seq` is remembered. A version the database does not have stays unknown.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn load(&self, db: &Db, seq: i64) -> Result<(), DbErr> {
        if self.0.read().loaded_to >= seq {
            return Ok(());
        }
        let tx = db.begin_snapshot().await?;
        let head = store::head(&tx).await?;
        let mut after = (self.0.read().loaded_to, String::new(), String::new());
        let from = after.0;
        let mut rows = Vec::new();
        loop {
            let page = store::page(&tx, from, &after, head).await?;
            let is_last = u64::try_from(page.len()).is_ok_and(|len| len < store::PAGE);
            if let Some(last) = page.last() {
                after = (last.seq, last.kind.clone(), last.name.clone());
            }
            rows.extend(page);
            if is_last {
                break;
            }
        }
        let mut history = self.0.write();
        for row in rows {
            history.add(row);
        }
        history.loaded_to = Ord::max(history.loaded_to, head);
        Ok(())
    }

    /// Forgets everything: another history began, whose versions are others.
    pub fn forget(&self) {
        let mut history = self.0.write();
        *history = History { generation: history.generation + 1, ..History::default() };
    }

    /// As long as this stays the same, nothing that was loaded was forgotten.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.read().generation
    }

    /// The newest version that is remembered.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.0.read().loaded_to
    }

    /// What a request was priced with at a version.
    ///
    /// # Errors
    /// When the model had no price or the group was not there.
    pub fn rate(&self, seq: i64, model: &str, group: &str, channel: Option<ChannelId>) -> Result<Rate, NoRate> {
        let book = self.book(seq);
        let history = self.0.read();
        let group_ratio = at(&history.groups, group, seq).copied().ok_or(NoRate::Group)?;
        let price = book.find(model, Unpriced::Refuse).ok_or(NoRate::Model)?;
        let channel_ratio = channel.and_then(|channel| at(&history.channels, &channel, seq).copied());
        Ok(Rate { channel_cache_read_ratio: channel_ratio, ..Rate::new(price, group_ratio) })
    }

    /// The price book of a version: all versions between two changes of prices share one.
    fn book(&self, seq: i64) -> Arc<PriceBook> {
        let from = self.0.read().price_seqs.range(..=seq).next_back().copied().unwrap_or_default();
        if let Some((_, book)) = self.0.read().books.iter().find(|(since, _)| *since == from) {
            return Arc::clone(book);
        }
        let mut history = self.0.write();
        let current = history.prices.iter().filter_map(|(model, changes)| Some((model.as_str(), latest(changes, from)?.clone())));
        let book = Arc::new(PriceBook::new(current));
        if history.books.len() >= MAX_BOOKS {
            history.books.remove(0);
        }
        history.books.push((from, Arc::clone(&book)));
        book
    }
}

impl History {
    fn add(&mut self, row: Row) {
        let seq = row.seq;
        match row.kind.as_str() {
            kind if kind == RateKind::Price.as_str() => {
                let price = row.body.as_deref().and_then(|body| readable(&row, serde_json::from_str(body).ok()));
                self.prices.entry(row.name).or_default().insert(seq, price);
                self.price_seqs.insert(seq);
            }
            kind if kind == RateKind::Group.as_str() => {
                let ratio = row.body.as_deref().and_then(|body| readable(&row, body.parse().ok()));
                self.groups.entry(row.name).or_default().insert(seq, ratio);
            }
            kind if kind == RateKind::Channel.as_str() => {
                let ratio = row.body.as_deref().and_then(|body| readable(&row, body.parse().ok()));
                if let Ok(id) = row.name.parse() {
                    self.channels.entry(ChannelId::new(id)).or_default().insert(seq, ratio);
                }
            }
            _ => warn!("rate history holds a kind of a later version: {}", row.kind),
        }
    }
}

fn readable<T>(row: &Row, value: Option<T>) -> Option<T> {
    if value.is_none() {
        warn!("the {} of {} at version {} cannot be read; requests priced with it are set aside", row.kind, row.name, row.seq);
    }
    value
}

fn at<'a, K: std::hash::Hash + Eq + std::borrow::Borrow<Q>, Q: std::hash::Hash + Eq + ?Sized, V>(
    changes: &'a Changes<K, V>,
    name: &Q,
    seq: i64,
) -> Option<&'a V> {
    latest(changes.get(name)?, seq)
}

fn latest<V>(changes: &BTreeMap<i64, Option<V>>, seq: i64) -> Option<&V> {
    changes.range(..=seq).next_back().and_then(|(_, value)| value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: RateKind, name: &str, seq: i64, body: Option<&str>) -> Row {
        Row { seq, kind: kind.as_str().into(), name: name.into(), body: body.map(Into::into) }
    }

    fn rates(rows: Vec<Row>) -> Rates {
        let rates = Rates::new();
        for row in rows {
            rates.0.write().add(row);
        }
        rates
    }

    fn model_ratio(rates: &Rates, seq: i64) -> Option<String> {
        rates.rate(seq, "gpt-4o", "default", None).ok().map(|rate| rate.model.model_ratio.unwrap().to_string())
    }

    #[test]
    fn each_version_keeps_the_price_it_had() {
        let rates = rates(vec![
            row(RateKind::Group, "default", 1, Some("1")),
            row(RateKind::Price, "gpt-4o", 2, Some(r#"{"model_ratio":"1.25"}"#)),
            row(RateKind::Price, "gpt-4o", 5, Some(r#"{"model_ratio":"2.5"}"#)),
            row(RateKind::Price, "gpt-4o", 7, None),
        ]);
        let prices: Vec<_> = (1..=8).map(|seq| model_ratio(&rates, seq)).collect();
        let text = |price: &str| Some(price.to_owned());
        assert_eq!(prices, [None, text("1.25"), text("1.25"), text("1.25"), text("2.5"), text("2.5"), None, None]);
    }

    #[test]
    fn group_and_channel_ratios_have_versions_too() {
        let rates = rates(vec![
            row(RateKind::Price, "gpt-4o", 1, Some(r#"{"model_ratio":"1"}"#)),
            row(RateKind::Group, "vip", 2, Some("0.8")),
            row(RateKind::Channel, "7", 3, Some("0.25")),
            row(RateKind::Channel, "7", 4, None),
        ]);
        let rate = |seq| rates.rate(seq, "gpt-4o", "vip", Some(ChannelId::new(7)));
        assert_eq!(rate(1).unwrap_err(), NoRate::Group);
        assert_eq!(rate(2).unwrap().group_ratio.to_string(), "0.8");
        assert_eq!(rate(3).unwrap().channel_cache_read_ratio.map(|ratio| ratio.to_string()), Some("0.25".into()));
        assert_eq!(rate(4).unwrap().channel_cache_read_ratio, None);
    }

    #[test]
    fn many_versions_do_not_pile_up_price_books() {
        let rows = (1..=100).map(|seq| row(RateKind::Price, "gpt-4o", seq, Some(r#"{"model_ratio":"1"}"#)));
        let rates = rates(std::iter::once(row(RateKind::Group, "default", 1, Some("1"))).chain(rows).collect());
        assert!((1..=100).all(|seq| model_ratio(&rates, seq).is_some()));
        assert_eq!(rates.0.read().books.len(), MAX_BOOKS);
    }
}
