//! One settlement, from the cursor to the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moka::sync::Cache;
use parking_lot::RwLock;
use sea_orm::DbErr;
use sluice_domain::{AccountId, LeaseId, Quota, Record, RequestRecord, TokenId, UnixMillis, UserId};

use tracing::warn;

use super::judge::{Chain, Received, Verdict, is_billable, judge};
use super::rates::Rates;
use super::store::{self, Cursor, Payer, Quarantined, SettledRequest};
use super::take::{Taken, TakenRecord, records_of, request_of, take};
use super::tally::{Sums, Tally};
use super::{Acknowledged, Batch, Counts, Incoming, Settled};
use crate::db::{Db, Tx, Urgency, is_unacceptable, retried};
use crate::leases::store as lease_store;
use crate::leases::{Life, Proof, State};
use crate::wallet::moves::{self, ChargeRow, LockedAccount};

/// Payers and wallets that are remembered: neither ever changes.
const MAX_REMEMBERED: u64 = 200_000;
/// Why a record is set aside that the database will not have.
const REFUSED: &str = "refused by the database";
/// First word of the references of what is charged for reports, and for records that were set aside.
const REPORTS: &str = "usage";
const RETRIES: &str = "retry";
/// Lives of relays that are remembered.
const MAX_LIVES: u64 = 10_000;
/// How exactly the last use of a token is known, in milliseconds.
const LAST_USED_MILLIS: i64 = 60_000;

/// Settles usage. Clones share what they remember.
#[derive(Clone)]
pub struct Settler {
    db: Db,
    lineage: Arc<RwLock<Arc<str>>>,
    rates: Rates,
    payers: Cache<TokenId, Payer>,
    wallets: Cache<UserId, AccountId>,
    touched: Cache<TokenId, i64>,
    /// How far the reports of each life were settled here.
    acknowledged: Cache<Life, Acknowledged>,
}

impl Settler {
    /// A settler of a database in a history.
    #[must_use]
    pub fn new(db: Db, lineage: Arc<str>, rates: Rates) -> Self {
        Self {
            db,
            lineage: Arc::new(RwLock::new(lineage)),
            rates,
            payers: Cache::new(MAX_REMEMBERED),
            wallets: Cache::new(MAX_REMEMBERED),
            touched: Cache::new(MAX_REMEMBERED),
            acknowledged: Cache::new(MAX_LIVES),
        }
    }

    /// Goes on in a history, the same or another one. Rows of another may have the ids of rows that are forgotten there: whatever is
    /// remembered is looked up again.
    pub fn enter_history(&self, lineage: &Arc<str>) {
        if *self.lineage.read() == *lineage {
            return;
        }
        self.rates.forget();
        self.payers.invalidate_all();
        self.wallets.invalidate_all();
        self.touched.invalidate_all();
        // last: who began to settle before sees another history at the end, and does not commit what was judged by half of each
        *self.lineage.write() = Arc::clone(lineage);
    }

    /// Takes note how far a life's reports are settled. When more of them had been settled in the same history, as is known here or by the
    /// relay's own word, the database went back. What was settled in another history proves nothing of this one.
    #[must_use]
    pub fn note_settled(&self, life: &Life, settled: &Settled, told: Option<Acknowledged>) -> Option<Proof> {
        let here = Acknowledged { below: settled.next_seq, lineage: Arc::clone(&settled.lineage) };
        let known = [self.acknowledged.get(life), told].into_iter().flatten();
        let known = known.filter(|known| known.lineage == here.lineage).map(|known| known.below).max();
        if let Some(below) = known.filter(|known| *known > here.below) {
            return Some(Proof::Settled { lineage: here.lineage, life: life.clone(), below });
        }
        self.acknowledged.insert(life.clone(), here);
        None
    }

    fn lineage(&self) -> Arc<str> {
        Arc::clone(&self.lineage.read())
    }

    /// How far a life's reports are settled.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next_seq(&self, life: &Life) -> Result<i64, DbErr> {
        store::next_seq(self.db.read(), life).await
    }

    /// Settles reports of one life in one transaction, at most [`MAX_RECORDS`] records. They must be in order; what was settled before
    /// is dropped, and what follows a gap is left.
    ///
    /// # Errors
    /// When the database refuses or is away. Whether it was settled is then unknown, and saying it again is safe.
    pub async fn settle(&self, life: &Life, batches: &[Batch], now: UnixMillis) -> Result<Settled, DbErr> {
        retried(|| self.try_settle(life, batches, now)).await
    }

    /// Like [`Self::settle`], for one report that follows nothing: when the database refuses it, it is settled in halves, and the record
    /// that is at fault is set aside alone. Nothing that a relay reports can hold up what it reports after it.
    ///
    /// # Errors
    /// When the database is away, or cannot write anything at all. What was settled until then stays settled.
    pub async fn settle_whatever_comes(&self, life: &Life, batch: Batch, now: UnixMillis) -> Result<Settled, DbErr> {
        let mut parts = vec![batch];
        let mut done = Settled::default();
        while let Some(part) = parts.pop() {
            match self.settle(life, std::slice::from_ref(&part), now).await {
                Ok(settled) => done.add(settled),
                Err(error) if is_unacceptable(&error) => parts.extend(without_fault(part, &error)?),
                Err(error) => return Err(error),
            }
            if done.has_gap {
                break;
            }
        }
        Ok(done)
    }

    async fn try_settle(&self, life: &Life, batches: &[Batch], now: UnixMillis) -> Result<Settled, DbErr> {
        loop {
            let lineage = self.lineage();
            if let Some(settled) = self.settle_in(&lineage, life, batches, now).await? {
                return Ok(settled);
            }
        }
    }

    /// Settles as long as this is the history. `None`: another one began meanwhile, and nothing was settled.
    async fn settle_in(
        &self,
        lineage: &Arc<str>,
        life: &Life,
        batches: &[Batch],
        now: UnixMillis,
    ) -> Result<Option<Settled>, DbErr> {
        let generation = self.rates.generation();
        let newest = records_of(batches).filter_map(|(_, _, record)| request_of(record)).map(|request| request.config_seq).max();
        self.rates.load(&self.db, newest.unwrap_or_default()).await?;
        let tx = self.db.begin_as(Urgency::Settle).await?;
        let (cursor, written) = store::lock_cursor(&tx, life, now).await?;
        let mut taken = take(cursor, batches);
        let settled = store::settled_before(&tx, life, &taken.orphans().collect::<Vec<_>>()).await?;
        taken.leave_out(&settled);
        if taken.next_seq == cursor.next_seq && !taken.ends {
            // nothing to write, but a cursor made just now is worth keeping
            tx.commit().await?;
            let settled = taken.into_settled(cursor, Counts::default(), Vec::new());
            return Ok(Some(Settled { lineage: Arc::clone(lineage), ..settled }));
        }
        let occasion = Occasion { now, received_at: now, series: REPORTS };
        let (mut counts, richer) = self.settle_taken(&tx, life, &taken, occasion).await?;
        let next = Cursor { next_seq: taken.next_seq, ended: cursor.ended || taken.ends };
        store::move_cursor(&tx, life, next, now).await?;
        if self.lineage() != *lineage || self.rates.generation() != generation {
            // prices may have been forgotten between looking them up and judging by them, by whoever saw the other history first
            return Ok(None);
        }
        tx.commit().await?;
        counts.statements += written + 1;
        Ok(Some(Settled { lineage: Arc::clone(lineage), ..taken.into_settled(next, counts, richer) }))
    }

    /// Settles one record that was set aside, once it can be; received when it was set aside. The reason why it cannot be, otherwise:
    /// nothing is written then. One whose model or group had no price is priced as such requests are by now.
    pub(super) async fn settle_again(
        &self,
        tx: &Tx,
        life: &Life,
        seq: i64,
        mut request: RequestRecord,
        (received_at, now): (UnixMillis, UnixMillis),
    ) -> Result<Result<Counts, &'static str>, DbErr> {
        // up to the newest there is
        self.rates.load(&self.db, i64::MAX).await?;
        let rate = self.rates.rate(request.config_seq, request.model.as_str(), request.group.as_str(), request.channel_id);
        if rate.is_err() {
            request.config_seq = self.rates.newest();
        }
        let record = Incoming::Record(Record::Request(Box::new(request)));
        let records = vec![TakenRecord { seq, sent_at: received_at, record: &record }];
        let taken =
            Taken { first_seq: seq, next_seq: seq + 1, records, duplicates: 0, has_gap: false, ends: false, is_damaged: false };
        let chains = self.chains(tx, &taken).await?;
        if let Some(again) = self.judge_all(&taken, &chains, received_at).reasons.first() {
            return Ok(Err(again));
        }
        let occasion = Occasion { now, received_at, series: RETRIES };
        Ok(Ok(self.settle_taken(tx, life, &taken, occasion).await?.0))
    }

    async fn settle_taken(
        &self,
        tx: &Tx,
        life: &Life,
        taken: &Taken<'_>,
        Occasion { now, received_at, series }: Occasion,
    ) -> Result<(Counts, Vec<AccountId>), DbErr> {
        let chains = self.chains(tx, taken).await?;
        let judged = self.judge_all(taken, &chains, received_at);
        let mut counts = judged.counts;
        let used = self.not_touched_lately(&judged.charged, now);
        counts.statements += store::touch_tokens(tx, &used, now).await?;

        let money = self.move_money(tx, life, taken, &judged, (series, now)).await?;
        counts.late = money.late;
        counts.closed = money.closed;
        counts.statements += money.statements;

        let requests: Vec<SettledRequest<'_>> = judged.charged.iter().map(Charged::to_row).collect();
        counts.statements += store::insert_requests(tx, life, &requests).await?;
        counts.statements += store::insert_explanations(tx, &requests, now).await?;
        counts.statements += store::add_to_hours(tx, &requests).await?;
        counts.statements += store::insert_quarantine(tx, life, judged.quarantined, now).await?;
        for token in used {
            self.touched.insert(token, now.0);
        }
        Ok((counts, money.richer))
    }

    /// Who pays for each request. Looked up once per token and user, then remembered.
    async fn chains(&self, tx: &Tx, taken: &Taken<'_>) -> Result<HashMap<(UserId, TokenId), Chain>, DbErr> {
        let names: BTreeSet<(UserId, TokenId)> = taken.requests().map(|request| (request.user_id, request.token_id)).collect();
        let unknown_tokens: BTreeSet<TokenId> =
            taken.requests().filter(|request| !self.knows_payer(request)).map(|request| request.token_id).collect();
        let unknown_tokens: Vec<TokenId> = unknown_tokens.into_iter().collect();
        for (token, payer) in store::payers(tx, &unknown_tokens).await? {
            self.payers.insert(token, payer);
        }
        let users: BTreeSet<UserId> = names.iter().map(|(user, _)| *user).collect();
        let unknown_users: Vec<UserId> = users.into_iter().filter(|user| !self.wallets.contains_key(user)).collect();
        for (user, wallet) in moves::wallets(tx, &unknown_users).await? {
            self.wallets.insert(user, wallet);
        }
        let chain = |(user, token): (UserId, TokenId)| {
            let payer = self.payers.get(&token);
            let is_theirs = payer.is_none_or(|payer| payer.user == user);
            let chain = Chain {
                wallet: self.wallets.get(&user).filter(|_| is_theirs),
                cap: payer.filter(|_| is_theirs).map(|payer| payer.cap),
                uses: payer.filter(|_| is_theirs).and_then(|payer| payer.uses),
            };
            ((user, token), chain)
        };
        Ok(names.into_iter().map(chain).collect())
    }

    /// Whether the payers of a request are known. Uses may have begun to be counted since they were looked up.
    fn knows_payer(&self, request: &RequestRecord) -> bool {
        let Some(payer) = self.payers.get(&request.token_id) else { return false };
        let own = [Some(payer.cap), payer.uses, self.wallets.get(&request.user_id)];
        payer.uses.is_some() || request.charges.iter().all(|charge| own.contains(&Some(charge.account_id)))
    }

    fn judge_all<'a>(&self, taken: &Taken<'a>, chains: &HashMap<(UserId, TokenId), Chain>, now: UnixMillis) -> Judged<'a> {
        let mut judged = Judged::default();
        judged.counts.duplicates = taken.duplicates;
        let lineage = self.lineage();
        for TakenRecord { seq, sent_at, record } in &taken.records {
            let (seq, received) = (*seq, Received { at: now, sent_at: *sent_at });
            match record {
                Incoming::Record(Record::LeaseClosed(lease)) => judged.steps.push(Step::Close(*lease)),
                Incoming::Record(Record::Request(request)) => {
                    let chain = chains.get(&(request.user_id, request.token_id)).copied();
                    let chain = chain.unwrap_or(Chain { wallet: None, cap: None, uses: None });
                    match judge(request, chain, &self.rates, &lineage, received) {
                        Verdict::Charge { quota, repriced, finished_at } => {
                            judged.counts.requests += 1;
                            judged.counts.repriced += u64::from(repriced);
                            judged.counts.quota += u64::try_from(quota.get()).unwrap_or_default();
                            judged.steps.push(Step::Charge(judged.charged.len()));
                            judged.charged.push(Charged { seq, record: request, chain, quota, repriced, finished_at });
                        }
                        Verdict::Quarantine(reason) => {
                            judged.reasons.push(reason);
                            judged.quarantined.push(set_aside(seq, request, reason));
                        }
                    }
                }
                Incoming::Unreadable { reason, body } => judged.quarantined.push(Quarantined {
                    seq,
                    request_id: String::new(),
                    reason: format!("unreadable: {reason}"),
                    body: body.clone(),
                }),
            }
        }
        judged.counts.quarantined = u64::try_from(judged.quarantined.len()).unwrap_or_default();
        judged
    }

    /// Tokens whose last use is not known to the minute.
    fn not_touched_lately(&self, charged: &[Charged<'_>], now: UnixMillis) -> Vec<TokenId> {
        let tokens: BTreeSet<TokenId> = charged.iter().map(|charged| charged.record.token_id).collect();
        let is_old = |token: &TokenId| self.touched.get(token).is_none_or(|at| now.0.saturating_sub(at) >= LAST_USED_MILLIS);
        tokens.into_iter().filter(is_old).collect()
    }

    /// Accounts by id, then their leases: the sums are made while both are locked, and written as differences.
    async fn move_money(
        &self,
        tx: &Tx,
        life: &Life,
        taken: &Taken<'_>,
        judged: &Judged<'_>,
        (series, now): (&'static str, UnixMillis),
    ) -> Result<Moved, DbErr> {
        let mut named: BTreeSet<LeaseId> = judged.named_leases().collect();
        if taken.ends {
            named.extend(lease_store::not_closed(tx, life).await?.into_iter().map(|lease| lease.id));
        }
        let named: Vec<LeaseId> = named.into_iter().collect();
        let mut accounts: BTreeSet<AccountId> =
            judged.charged.iter().flat_map(Charged::dues).map(|(account, _)| account).collect();
        accounts.extend(lease_store::by_ids(tx, &named).await?.values().map(|lease| lease.account));
        let locked = moves::lock(tx, accounts).await?;
        // read again: until their accounts were locked, leases could still change
        let leases = lease_store::by_ids(tx, &named).await?;
        let ending: Vec<LeaseId> =
            leases.values().filter(|lease| taken.ends && lease.life == *life).map(|lease| lease.id).collect();
        let mut tally = Tally::new(life.node.clone(), leases);
        let lineage = self.lineage();
        for step in &judged.steps {
            match step {
                Step::Close(lease) => tally.close(*lease),
                Step::Charge(place) => {
                    let Some(charged) = judged.charged.get(*place) else { continue };
                    let are_ours = charged.record.config_lineage == lineage;
                    for (account, due) in charged.dues() {
                        tally.charge(account, due, &charged.record.charges, are_ours);
                    }
                }
            }
        }
        for lease in ending {
            if taken.is_damaged { tally.doubt(lease) } else { tally.close(lease) }
        }
        let named = format!("{series}/{}/{}/{}", life.node, life.epoch, taken.first_seq);
        write_sums(tx, &named, tally.finish(), &locked, now).await
    }
}

/// When it happens, when the records came in, and what its charges are called.
#[derive(Clone, Copy)]
struct Occasion {
    now: UnixMillis,
    received_at: UnixMillis,
    series: &'static str,
}

struct Moved {
    late: u64,
    closed: u64,
    richer: Vec<AccountId>,
    statements: u64,
}

/// `named` names the settlement for ever.
async fn write_sums(
    tx: &Tx,
    named: &str,
    sums: Sums,
    locked: &BTreeMap<AccountId, LockedAccount>,
    now: UnixMillis,
) -> Result<Moved, DbErr> {
    let charge = |(account, amount): (&AccountId, &i64)| {
        let before = locked.get(account)?;
        Some(ChargeRow {
            account: *account,
            user_id: before.user_id,
            amount: *amount,
            total_after: before.total().saturating_sub(*amount),
            reference: format!("{named}-{account}"),
        })
    };
    let charges: Vec<ChargeRow> = sums.charged.iter().filter_map(charge).collect();
    let mut statements = 0;
    if !sums.shifts.is_empty() {
        moves::write(tx, &sums.shifts).await?;
        statements += 1;
    }
    if !sums.settled.is_empty() {
        lease_store::add(tx, &sums.settled).await?;
        statements += 1;
    }
    if !sums.closed.is_empty() {
        lease_store::set_state(tx, &sums.closed, State::Closed, now).await?;
        statements += 1;
    }
    if !sums.doubted.is_empty() {
        lease_store::set_state(tx, &sums.doubted, State::InDoubt, now).await?;
        statements += 1;
    }
    if !charges.is_empty() {
        moves::write_charges(tx, charges, now).await?;
        statements += 1;
    }
    let closed = u64::try_from(sums.closed.len()).unwrap_or_default();
    Ok(Moved { late: sums.late, closed, richer: sums.richer, statements })
}

/// What to settle instead of a report the database refuses: its second half and before it its first (they are taken from the end), or
/// its only record set aside.
fn without_fault(mut batch: Batch, error: &DbErr) -> Result<Vec<Batch>, DbErr> {
    let middle = batch.records.len() / 2;
    if middle > 0 {
        let records = batch.records.split_off(middle);
        let first_seq = batch.first_seq.saturating_add(i64::try_from(middle).unwrap_or(i64::MAX));
        let second = Batch { first_seq, records, ..batch.clone() };
        batch.epoch_ended = false;
        return Ok(vec![second, batch]);
    }
    let refused = || DbErr::Custom(format!("a settlement without records is refused: {error}"));
    let Some(Incoming::Record(record)) = batch.records.pop() else { return Err(refused()) };
    warn!(seq = batch.first_seq, %error, "the database refuses record {}, it is set aside", batch.first_seq);
    let body = STANDARD.encode(sluice_rpc::usage::encode(&record));
    batch.records.push(Incoming::Unreadable { reason: REFUSED.to_owned(), body });
    Ok(vec![batch])
}

fn set_aside(seq: i64, request: &RequestRecord, reason: &str) -> Quarantined {
    let body = sluice_rpc::usage::encode(&Record::Request(Box::new(request.clone())));
    Quarantined { seq, request_id: request.request_id.to_string(), reason: reason.to_owned(), body: STANDARD.encode(body) }
}

/// A request that is charged, in the order of the records.
struct Charged<'a> {
    seq: i64,
    record: &'a RequestRecord,
    chain: Chain,
    quota: Quota,
    repriced: bool,
    finished_at: UnixMillis,
}

impl<'a> Charged<'a> {
    /// What each account pays.
    fn dues(&self) -> impl Iterator<Item = (AccountId, Quota)> + use<> {
        self.chain.dues(self.quota, is_billable(self.record))
    }

    fn to_row(&self) -> SettledRequest<'a> {
        SettledRequest {
            seq: self.seq,
            record: self.record,
            quota: self.quota.get(),
            repriced: self.repriced,
            finished_at: self.finished_at,
        }
    }
}

enum Step {
    Charge(usize),
    Close(LeaseId),
}

#[derive(Default)]
struct Judged<'a> {
    steps: Vec<Step>,
    charged: Vec<Charged<'a>>,
    quarantined: Vec<Quarantined>,
    /// Why requests were set aside.
    reasons: Vec<&'static str>,
    counts: Counts,
}

impl Judged<'_> {
    fn named_leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        let charged = self.charged.iter().flat_map(|charged| charged.record.charges.iter().map(|charge| charge.lease_id));
        let closed = self.steps.iter().filter_map(|step| match step {
            Step::Close(lease) => Some(*lease),
            Step::Charge(_) => None,
        });
        charged.chain(closed).filter(|lease| lease.get() != 0)
    }
}
