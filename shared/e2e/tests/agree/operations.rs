//! Random operations, done to both sides, and what both sides must have after each.

use std::collections::BTreeMap;

use sluice_billing::lease::Terms;
use sluice_control_plane::jobs::leader::Work;
use sluice_control_plane::leases::{self, Answer, Ask, Life, Pending, Refused, Said, State, jobs};
use sluice_control_plane::nodes::{self, Registration};
use sluice_control_plane::settlement::{Batch, Incoming, Settled};
use sluice_domain::{
    AccountId, ChannelId, Dialect, Epoch, GroupName, LeaseCharge, LeaseId, ModelName, NodeId, Outcome, Quota, Record, RequestId,
    RequestRecord, TokenId, UnixMillis, Usage,
};
use sluice_e2e::sim::Ledger;
use sluice_e2e::sim::chance::Dice;
use sluice_e2e::sim::ledger;
use sluice_testkit::database::Engine;

use crate::store::{Rows, START, Store};

/// Both sides, and what the operations need to know.
pub(crate) struct Pair {
    store: Store,
    ledger: Ledger,
    now: UnixMillis,
    accounts: Vec<AccountId>,
    lives: BTreeMap<NodeId, i64>,
    /// What each life has to report.
    logs: BTreeMap<Life, Vec<Record>>,
    next_ask: i64,
    next_request: u64,
}

impl Pair {
    pub(crate) async fn on(engine: Engine, seed: u64) -> Self {
        let mut store = Store::on(engine).await;
        let terms = Terms::default();
        let long = |millis: u64| i64::try_from(millis).unwrap();
        let terms = ledger::Terms {
            life: long(terms.life_millis),
            grace: long(terms.grace_millis),
            hold: long(terms.in_doubt_hold_millis.unwrap_or_default()),
        };
        let mut ledger = Ledger::new(&store.lineage, terms);
        let mut accounts = Vec::new();
        for number in 0..2 {
            let (token, row) = store.customer(number, (seed + number.unsigned_abs()).is_multiple_of(2)).await;
            ledger.open(row.wallet, row.user, row.user.get(), true);
            ledger.open(row.cap, row.user, token.get(), false);
            if let Some(uses) = row.uses {
                ledger.open(uses, row.user, token.get(), false);
            }
            accounts.extend([row.wallet, row.cap].into_iter().chain(row.uses));
            ledger.tokens.insert(token, row);
        }
        for account in &accounts {
            store.credit(*account, 60_000).await;
            ledger.credit(*account, 60_000);
        }
        Self { store, ledger, now: START, accounts, lives: BTreeMap::new(), logs: BTreeMap::new(), next_ask: 0, next_request: 0 }
    }

    pub(crate) fn settled(&self) -> usize {
        self.ledger.settled.len()
    }

    /// Both sides hold the same.
    pub(crate) async fn compare(&self, what: &str) {
        let (theirs, ours) = (self.store.rows(&self.accounts).await, self.rows());
        for (name, value) in &ours {
            assert_eq!(theirs.get(name), Some(value), "{what}: {name} is not the same");
        }
        assert_eq!(theirs.len(), ours.len(), "{what}: {theirs:#?}");
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for account in self.ledger.accounts.values() {
            let spent = self.ledger.spent.get(&account.id).copied().unwrap_or(0);
            let figures = [account.balance, account.leased, account.in_doubt, spent];
            rows.insert(format!("account {}", account.id), format!("{figures:?}"));
        }
        for (id, kept) in &self.ledger.leases {
            let lease = &kept.lease;
            let longs = [
                lease.account.get(),
                lease.life.epoch.0,
                lease.granted,
                lease.settled,
                lease.returned,
                kept.expires_at.0,
                kept.recall_seq,
            ];
            let texts = [lease.life.node.as_str(), lease.state.as_str()];
            rows.insert(format!("lease {id}"), format!("{longs:?} {texts:?}"));
        }
        for (life, cursor) in &self.ledger.cursors {
            rows.insert(format!("cursor {} {}", life.node, life.epoch), format!("{} {}", cursor.next_seq, cursor.ended));
        }
        for ((life, seq), row) in &self.ledger.settled {
            rows.insert(format!("settled {} {} {seq}", life.node, life.epoch), format!("{} {}", row.request, row.quota));
        }
        for ((life, seq), reason) in &self.ledger.quarantined {
            rows.insert(format!("quarantined {} {} {seq}", life.node, life.epoch), (*reason).to_owned());
        }
        rows
    }

    /// One random operation on both sides; says which.
    pub(crate) async fn step(&mut self, dice: &mut Dice) -> String {
        let passed = if dice.permille(60) { dice.amount(600_000, 4_000_000) } else { dice.amount(1, 20_000) };
        self.now = self.now.plus_millis(passed);
        match dice.place(100) {
            0..8 => self.register(dice).await,
            8..38 => self.grant(dice).await,
            38..44 => self.greet(dice).await,
            44..50 => self.renew(dice).await,
            50..58 => self.take_back(dice).await,
            58..88 => self.settle(dice).await,
            88..94 => self.tend().await,
            _ => self.credit(dice).await,
        }
    }

    /// A life that registered, the newest of its relay or an earlier one.
    fn some_life(&self, dice: &mut Dice) -> Option<Life> {
        let (node, newest) = self.lives.iter().nth(dice.place(self.lives.len()))?;
        let epoch = if dice.permille(150) { dice.amount(1, *newest) } else { *newest };
        Some(Life { node: node.clone(), epoch: Epoch(epoch) })
    }

    fn some_leases(&self, dice: &mut Dice, life: &Life) -> Vec<LeaseId> {
        let all = self.ledger.leases.values().map(|kept| &kept.lease);
        let of_node: Vec<LeaseId> = all.filter(|lease| lease.life.node == life.node).map(|lease| lease.id).collect();
        of_node.into_iter().filter(|_| dice.permille(600)).take(6).collect()
    }

    async fn register(&mut self, dice: &mut Dice) -> String {
        let node = NodeId::parse(&format!("relay-{}", dice.place(3))).unwrap();
        let newest = self.lives.get(&node).copied().unwrap_or(0);
        let epoch = if dice.permille(200) { newest.max(1) } else { newest + 1 };
        let (life, boot) = (Life { node: node.clone(), epoch: Epoch(epoch) }, dice.between(0, 1));
        let registration = Registration {
            life: life.clone(),
            boot_id: boot.to_string(),
            build: "test".into(),
            address: "127.0.0.1:3000".into(),
        };
        let theirs = nodes::register(&self.store.db, &registration, self.now).await.is_ok();
        let ours = self.ledger.register(&life, boot, self.now);
        assert_eq!(theirs, ours, "registering {life:?}");
        self.lives.insert(node, newest.max(epoch));
        format!("register {life:?}: {ours}")
    }

    async fn grant(&mut self, dice: &mut Dice) -> String {
        let mut pending = Vec::new();
        for _ in 0..dice.between(1, 3) {
            let Some(life) = self.some_life(dice) else { return "nobody is there".into() };
            let repeats = dice.permille(150) && self.next_ask > 1;
            let grant_seq = if repeats { dice.amount(1, self.next_ask - 1) } else { self.next_ask };
            self.next_ask += i64::from(!repeats);
            let need = Quota::clamped(dice.amount(0, 12_000));
            let account = self.accounts[dice.place(self.accounts.len())];
            let want = Quota::clamped(need.get() + dice.amount(0, 30_000));
            let ask = Ask { life, grant_seq, account, need, want, up_to_want: dice.permille(150) };
            let recall_seq = dice.permille(500).then(|| dice.amount(0, 9));
            let is_known = |known: &Pending| known.ask.life == ask.life && known.ask.grant_seq == ask.grant_seq;
            if !pending.iter().any(is_known) {
                pending.push(Pending { ask, recall_seq, is_over: dice.permille(200) });
            }
        }
        let theirs = leases::grant(&self.store.db, &Terms::default(), &pending, self.now).await.unwrap();
        let ours: Vec<_> = pending.iter().map(|one| self.ledger.grant(one, self.now)).collect();
        let tell = |answers: &[Option<Answer>]| answers.iter().map(|answer| told(answer.as_ref())).collect::<Vec<_>>();
        assert_eq!(tell(&theirs), tell(&ours), "{pending:?}");
        format!("grant {pending:?}: {ours:?}")
    }

    async fn greet(&mut self, dice: &mut Dice) -> String {
        let Some(life) = self.some_life(dice) else { return "nobody is there".into() };
        let held = self.some_leases(dice, &life);
        let theirs = leases::greet(&self.store.db, &life, &held).await.unwrap();
        let ours = self.ledger.greet(&life, &held);
        assert_eq!((theirs.resend, theirs.void), (ours.resend, ours.void), "{life:?} greets with {held:?}");
        format!("greet {life:?} with {held:?}")
    }

    async fn renew(&mut self, dice: &mut Dice) -> String {
        let Some(life) = self.some_life(dice) else { return "nobody is there".into() };
        let held = self.some_leases(dice, &life);
        let theirs = leases::renew(&self.store.db, &Terms::default(), &life, &held, self.now).await.unwrap();
        let ours = self.ledger.renew(&life, &held, self.now);
        assert_eq!(theirs, ours, "{life:?} renews {held:?}");
        format!("renew {held:?} of {life:?}")
    }

    async fn take_back(&mut self, dice: &mut Dice) -> String {
        let Some(life) = self.some_life(dice) else { return "nobody is there".into() };
        let some = self.some_leases(dice, &life);
        let returns = some.iter().map(|lease| (*lease, Quota::clamped(dice.amount(0, 9_000)))).collect();
        let account = self.accounts[dice.place(self.accounts.len())];
        let recalled = if dice.permille(600) { vec![(account, dice.amount(1, 9), some)] } else { Vec::new() };
        let said = Said { returns, recalled };
        let mut theirs = leases::take_back(&self.store.db, &life, &said).await.unwrap();
        theirs.sort_unstable();
        let ours: Vec<AccountId> = self.ledger.take_back(&life, &said).into_iter().collect();
        assert_eq!(theirs, ours, "{life:?} says {said:?}");
        format!("{life:?} gives back {said:?}")
    }

    async fn settle(&mut self, dice: &mut Dice) -> String {
        let Some(life) = self.some_life(dice) else { return "nobody is there".into() };
        for _ in 0..dice.between(0, 4) {
            let lost = self.lost_end(dice, &life);
            let record = lost.unwrap_or_else(|| self.record(dice, &life));
            self.logs.entry(life.clone()).or_default().push(record);
        }
        let log = self.logs.get(&life).cloned().unwrap_or_default();
        let next = self.ledger.cursors.get(&life).map_or(1, |cursor| cursor.next_seq);
        // from before the cursor, from it, or beyond a gap
        let first_seq = (next + [-2, 0, 0, 0, 0, 0, 1][dice.place(7)]).max(1);
        let skipped = usize::try_from(first_seq - 1).unwrap();
        let records: Vec<Incoming> = log.into_iter().skip(skipped).map(Incoming::Record).collect();
        let epoch_ended = dice.permille(60);
        let sent_at = self.now.plus_millis(if dice.permille(50) { 900_000 } else { 0 });
        // a relay that lost a part of its log says so with its end
        let is_damaged = epoch_ended && dice.permille(400);
        let batch = Batch { first_seq, records, epoch_ended, is_damaged, sent_at };
        let theirs = self.store.settler.settle(&life, std::slice::from_ref(&batch), self.now).await.unwrap();
        let ours = self.ledger.settle(&self.store.rates, &life, std::slice::from_ref(&batch), self.now);
        assert_eq!(figures(&theirs), figures(&ours), "{life:?} reports {batch:?}");
        format!("{life:?} reports {} records from {first_seq}", batch.records.len())
    }

    /// A request that was reported already, told as one that was cut off: its relay lost the record of its end.
    fn lost_end(&self, dice: &mut Dice, life: &Life) -> Option<Record> {
        let log = self.logs.get(life)?;
        let Record::Request(known) = log.get(dice.place(log.len()))?.clone() else { return None };
        let orphan = RequestRecord { outcome: Outcome::Orphaned, ..*known };
        dice.permille(100).then(|| Record::Request(Box::new(orphan)))
    }

    async fn tend(&mut self) -> String {
        let theirs = jobs::run(&Work::alone(self.store.db.clone()), &Terms::default(), self.now).await.unwrap();
        let ours = self.ledger.tend(self.now);
        assert_eq!(theirs.richer, ours, "the job that looks after leases");
        "tend".into()
    }

    async fn credit(&mut self, dice: &mut Dice) -> String {
        let (account, amount) = (self.accounts[dice.place(self.accounts.len())], dice.amount(1, 30_000));
        self.store.credit(account, amount).await;
        self.ledger.credit(account, amount);
        format!("{amount} for account {account}")
    }

    /// A request, a closing, or something that cannot be settled.
    fn record(&mut self, dice: &mut Dice, life: &Life) -> Record {
        let of_node: Vec<_> =
            self.ledger.leases.values().map(|kept| &kept.lease).filter(|lease| lease.life.node == life.node).collect();
        let some = (!of_node.is_empty()).then(|| of_node[dice.place(of_node.len())]);
        if let Some(lease) = some.filter(|_| dice.permille(300)) {
            return Record::LeaseClosed(lease.id);
        }
        let tokens: Vec<TokenId> = self.ledger.tokens.keys().copied().collect();
        let token_id = tokens[dice.place(tokens.len())];
        let row = self.ledger.tokens[&token_id];
        let own = [Some(row.wallet), Some(row.cap), row.uses];
        let charge = |lease: &&sluice_control_plane::pure::Lease| LeaseCharge {
            lease_id: lease.id,
            account_id: lease.account,
            amount: Quota::clamped(lease.granted / 3),
        };
        let is_foreign = dice.permille(30);
        let can_pay = |lease: &&sluice_control_plane::pure::Lease| is_foreign || own.contains(&Some(lease.account));
        let charges = of_node.iter().copied().filter(can_pay).filter(|lease| lease.state != State::Closed || dice.permille(200));
        let charges: Vec<LeaseCharge> = charges.take(4).map(|lease| charge(&lease)).collect();
        self.next_request += 1;
        let outcomes = [Outcome::Completed, Outcome::Completed, Outcome::Failed, Outcome::Aborted, Outcome::Orphaned];
        Record::Request(Box::new(RequestRecord {
            request_id: RequestId::parse(&format!("r{}", self.next_request)).unwrap(),
            user_id: row.user,
            token_id,
            charges,
            quota: Quota::clamped(dice.amount(0, 5_000)),
            held: Quota::clamped(5_000),
            config_lineage: if dice.permille(80) { "another".into() } else { self.store.lineage.clone() },
            config_seq: 1,
            model: ModelName::parse(if dice.permille(30) { "no-such-model" } else { "gpt-4o" }).unwrap(),
            upstream_model: String::new(),
            group: GroupName::parse("default").unwrap(),
            channel_id: Some(ChannelId::new(1)),
            usage: Usage { input: dice.between(0, 900), output: dice.between(0, 700), ..Usage::default() },
            usage_estimated: false,
            outcome: outcomes[dice.place(outcomes.len())],
            error_code: String::new(),
            status: 200,
            dialect: Dialect::OpenAi,
            path: "/v1/chat/completions".into(),
            stream: false,
            started_at: self.now,
            total_millis: 1,
            first_byte_millis: None,
            attempts: Vec::new(),
            client_ip: String::new(),
            upstream_request_id: String::new(),
            output_limit: None,
        }))
    }
}

/// An answer without what may differ: the revision of an account, and whether a grant said again came from a low balance.
fn told(answer: Option<&Answer>) -> String {
    match answer {
        None => "nothing".into(),
        Some(Answer::Granted(granted)) => format!("granted {} of {} in {}", granted.grant_seq, granted.amount, granted.lease),
        Some(Answer::Refused(Refused::Exhausted { need, .. })) => format!("exhausted for {need}"),
        Some(Answer::Refused(Refused::Frozen { .. })) => "frozen".into(),
        Some(Answer::Refused(Refused::UnknownAccount)) => "no such account".into(),
        Some(Answer::Waits { .. }) => "waits".into(),
        Some(Answer::Unknown) => "unknown".into(),
        Some(Answer::Closed(lease)) => format!("closed {lease}"),
    }
}

fn figures(settled: &Settled) -> String {
    let counts = settled.counts;
    format!(
        "{} {} {} {} {} {} {} {} {:?}",
        settled.next_seq,
        settled.has_gap,
        counts.requests,
        counts.duplicates,
        counts.repriced,
        counts.quarantined,
        counts.late,
        counts.closed,
        settled.richer
    )
}
