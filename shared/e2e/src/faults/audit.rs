//! Whether the money is right, once everything has settled. The oracle is the provider's own log; our tables are only what is judged.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use sluice_testkit::simulator::LogEntry;

use super::figure::Figure;
use super::store::{Account, Books, Lease, Row};
use crate::oracle::{self, PerThousand};

/// An estimate of a broken answer counts by other rules than the provider does: by so much, and so many units, it may be beside it.
const ESTIMATE_FACTOR: i64 = 3;
const ESTIMATE_UNITS: i64 = 30;
/// Relays that live on renew leases: the books are read again when money moved meanwhile, so often at the most.
const MOST_LOOKS: usize = 50;

/// What an installation says of itself, read at one time when nothing moves.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Σ ledger.amount of each.
    pub sums: HashMap<i64, i64>,
    /// The accounts that limit somebody.
    pub limiting: HashSet<i64>,
    /// The leases that are not closed.
    pub leases: Vec<Lease>,
    /// The settled requests.
    pub rows: Vec<Row>,
    /// Why records were set aside.
    pub quarantined: Vec<String>,
}

impl Ledger {
    /// Reads it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn read(books: &Books) -> Result<Self> {
        let mut looks = 1;
        loop {
            let ledger = Self::look(books).await?;
            if looks == MOST_LOOKS || books.accounts().await? == ledger.accounts {
                return Ok(ledger);
            }
            looks += 1;
        }
    }

    async fn look(books: &Books) -> Result<Self> {
        Ok(Self {
            accounts: books.accounts().await?,
            sums: books.ledger_sums().await?,
            limiting: books.limiting().await?,
            leases: books.leases().await?,
            rows: books.rows().await?,
            quarantined: books.quarantined().await?,
        })
    }

    /// Accounts whose ledger, columns and leases do not say the same, with what each says.
    #[must_use]
    pub fn unbalanced(&self) -> Vec<String> {
        let held = |account: i64, state: &str| -> i64 {
            let of_it = self.leases.iter().filter(|lease| lease.account == account && lease.state == state);
            of_it.map(|lease| lease.remainder).sum()
        };
        let told = |account: &Account| {
            let Account { id, kind, balance, leased, in_doubt, .. } = account;
            let sum = self.sums.get(id).copied().unwrap_or_default();
            let (open, doubted) = (held(*id, "open"), held(*id, "in_doubt"));
            let is_right = sum == balance + leased + in_doubt && open == *leased && doubted == *in_doubt;
            (!is_right).then(|| {
                format!(
                    "{kind} {id}: ledger {sum}, balance {balance} + leased {leased} + in doubt {in_doubt}, leases {open} + {doubted}"
                )
            })
        };
        self.accounts.iter().filter_map(told).collect()
    }

    /// Accounts that are below zero: somebody spent what was not there.
    #[must_use]
    pub fn overdrawn(&self) -> Vec<String> {
        let below = self.accounts.iter().filter(|account| self.limiting.contains(&account.id));
        let below = below.filter(|account| account.balance + account.leased + account.in_doubt < 0);
        below.map(|account| format!("{} {}", account.kind, account.id)).collect()
    }

    /// What a user's wallet is worth.
    #[must_use]
    pub fn worth(&self, user: i64) -> i64 {
        let wallets = self.accounts.iter().filter(|account| account.user == user && account.kind == "wallet");
        wallets.map(|account| account.balance + account.leased + account.in_doubt).sum()
    }
}

/// What the ledger is held against.
pub struct Truth<'a> {
    /// The provider's log.
    pub log: &'a [LogEntry],
    /// What the model costs.
    pub price: PerThousand,
    /// What each user was given.
    pub credits: &'a HashMap<i64, i64>,
    /// Relays were stopped for a while: what was sent to them meanwhile they have not read.
    pub was_paused: bool,
}

/// What is wrong.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// The provider heard of it and it was never settled.
    pub lost: Vec<String>,
    /// Settled more than once.
    pub doubled: Vec<String>,
    /// Whole answers that did not cost what the provider counted, and broken ones far beyond or far below.
    pub mispriced: Vec<String>,
    /// Charged, and the provider never heard of it.
    pub invented: Vec<String>,
    /// Accounts whose figures do not add up.
    pub unbalanced: Vec<String>,
    /// Wallets that moved by something else than their rows say.
    pub unexplained: Vec<String>,
    /// Accounts below zero.
    pub overdrawn: Vec<String>,
    /// Records that were set aside.
    pub quarantined: Vec<String>,
    /// Whole answers that were compared to the unit.
    pub compared: usize,
    /// Accounts that were looked at.
    pub accounts: usize,
}

impl Audit {
    /// Judges.
    #[must_use]
    pub fn of(ledger: &Ledger, truth: &Truth<'_>) -> Self {
        let heard = oracle::accounts(truth.log, truth.price);
        let mut by_id: HashMap<&str, Vec<&Row>> = HashMap::new();
        for row in &ledger.rows {
            by_id.entry(row.request_id.as_str()).or_default().push(row);
        }
        let mut audit = Self {
            lost: heard.keys().filter(|id| !by_id.contains_key(id.as_str())).cloned().collect(),
            unbalanced: ledger.unbalanced(),
            overdrawn: ledger.overdrawn(),
            quarantined: ledger.quarantined.clone(),
            accounts: ledger.accounts.len(),
            ..Self::default()
        };
        for (id, rows) in by_id {
            let (row, account) = (rows[0], heard.get(id));
            if rows.len() > 1 {
                audit.doubled.push(id.to_owned());
            }
            let Some(account) = account else {
                if row.quota > 0 {
                    audit.invented.push(id.to_owned());
                }
                continue;
            };
            let told = format!("{id} {} for {}: {:?} whole, {:?} cut", row.outcome, row.quota, account.completed, account.cut);
            if row.outcome == "completed" && !row.is_estimated {
                audit.compared += 1;
                // of several attempts the caller got the last one, and pays for that alone
                if account.completed.last() != Some(&row.quota) {
                    audit.mispriced.push(told);
                }
                continue;
            }
            let most = account.completed.iter().chain(&account.cut).max().copied().unwrap_or_default();
            let least = if truth.was_paused { 0 } else { account.least() };
            let is_beyond = row.quota > most.saturating_mul(ESTIMATE_FACTOR).saturating_add(ESTIMATE_UNITS);
            let is_below = least > row.quota.saturating_mul(ESTIMATE_FACTOR).saturating_add(ESTIMATE_UNITS);
            if is_beyond || is_below {
                audit.mispriced.push(format!("{told}, {least} early"));
            }
        }
        for (user, credit) in truth.credits {
            let charged: i64 = ledger.rows.iter().filter(|row| row.user == *user).map(|row| row.quota).sum();
            let worth = ledger.worth(*user);
            if worth != credit - charged {
                audit.unexplained.push(format!("user {user}: given {credit}, charged {charged}, left {worth}"));
            }
        }
        audit
    }

    /// The figures every row ends with.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![
            Figure::none("requests lost", &self.lost),
            Figure::none("requests settled twice", &self.doubled),
            Figure::none("rows beside the provider's log × price", &self.mispriced),
            Figure::none("charges the provider knows nothing of", &self.invented),
        ];
        figures.extend(self.conservation());
        figures
    }

    /// Those of them that hold even when a disk with facts on it is gone. A load of which nothing could be compared proves nothing.
    #[must_use]
    pub fn conservation(&self) -> Vec<Figure> {
        let mut figures = self.balances();
        figures.push(Figure::at_least("answers compared with the provider's log to the unit", 1, self.compared));
        figures
    }

    /// Those that hold without any load, too.
    #[must_use]
    pub fn balances(&self) -> Vec<Figure> {
        vec![
            Figure::none("accounts where ledger, columns and leases differ", &self.unbalanced),
            Figure::none("wallets not explained by their rows", &self.unexplained),
            Figure::none("accounts overdrawn", &self.overdrawn),
            Figure::none("records set aside", &self.quarantined),
            Figure::at_least("accounts looked at", 1, self.accounts),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::figure::Standing;
    use sluice_testkit::simulator::{Simulator, SimulatorConfig};

    const PRICE: PerThousand = PerThousand { input: 1_000, output: 1_000 };

    async fn one_answer() -> Vec<LogEntry> {
        let simulator = Simulator::start(SimulatorConfig::default());
        let message = serde_json::json!({"role": "user", "content": "[sim: tokens=4] one two three"});
        let body = serde_json::json!({"model": "sim-fast", "user": "r1", "messages": [message]});
        sluice_testkit::client::Caller::new(simulator.base_url()).post("/v1/chat/completions", &body).await;
        simulator.wait_for(1).await
    }

    fn row(id: &str, quota: i64) -> Row {
        let (node, outcome) = ("relay-0".to_owned(), "completed".to_owned());
        Row {
            request_id: id.to_owned(),
            node,
            epoch: 1,
            user: 1,
            outcome,
            quota,
            input: 0,
            output: 0,
            started_at: 0,
            finished_at: 0,
            is_estimated: false,
        }
    }

    fn ledger(rows: Vec<Row>, balance: i64) -> Ledger {
        let account = Account { id: 7, kind: "wallet".into(), user: 1, balance, leased: 5, in_doubt: 0 };
        let (node, state) = ("relay-0".into(), "open".into());
        let lease = Lease { id: 3, account: 7, node, epoch: 1, settled: 0, remainder: 5, expires_at: 0, state };
        let sums = HashMap::from([(7, balance + 5)]);
        Ledger { accounts: vec![account], sums, limiting: HashSet::from([7]), leases: vec![lease], rows, quarantined: Vec::new() }
    }

    #[tokio::test]
    async fn a_ledger_that_says_what_the_provider_says_is_right_and_every_difference_is_named() {
        let log = one_answer().await;
        let usage = log[0].usage.expect("the answer came with its usage");
        let cost = PRICE.of(usage.prompt_tokens, usage.completion_tokens);
        let credits = HashMap::from([(1, 1_000)]);
        let judged =
            |ledger: &Ledger| Audit::of(ledger, &Truth { log: &log, price: PRICE, credits: &credits, was_paused: false });
        let good = judged(&ledger(vec![row("r1", cost)], 1_000 - cost - 5));
        assert!(good.figures().iter().all(|figure| figure.standing != Standing::Fail), "{good:?}");
        assert_eq!(good.compared, 1);

        assert_eq!(judged(&ledger(Vec::new(), 995)).lost, ["r1"]);
        let nothing = judged(&ledger(Vec::new(), 995));
        assert!(nothing.conservation().iter().any(|figure| figure.standing == Standing::Fail), "nothing was compared");
        assert!(nothing.balances().iter().all(|figure| figure.standing == Standing::Pass), "{nothing:?}");
        assert_eq!(judged(&ledger(vec![row("r1", cost), row("r1", cost)], 995 - 2 * cost)).doubled, ["r1"]);
        let dear = judged(&ledger(vec![row("r1", cost + 1)], 994 - cost));
        assert_eq!((dear.mispriced.len(), dear.unexplained.len()), (1, 0));
        assert_eq!(judged(&ledger(vec![row("r1", cost), row("r2", 9)], 0)).invented, ["r2"]);
        assert_eq!(judged(&ledger(vec![row("r1", cost)], 0)).unexplained.len(), 1);
        let mut torn = ledger(vec![row("r1", cost)], 995 - cost);
        torn.sums.insert(7, 0);
        assert_eq!(judged(&torn).unbalanced.len(), 1);
        let mut stolen = ledger(vec![row("r1", cost)], 995 - cost);
        stolen.leases.clear();
        assert_eq!(judged(&stolen).unbalanced.len(), 1, "the money is lent to nobody");
        assert_eq!(judged(&ledger(vec![row("r1", cost)], -6)).overdrawn.len(), 1);
    }

    #[tokio::test]
    async fn a_cut_stream_costs_at_least_what_it_had_brought_early_unless_its_relay_stood_still() {
        let mut log = one_answer().await;
        (log[0].ending, log[0].stream, log[0].usage) = (sluice_testkit::simulator::Ending::Cut, true, None);
        (log[0].sent_tokens, log[0].early_tokens) = (900, 600);
        let least = PRICE.of(log[0].prompt_tokens, 600);
        let credits = HashMap::new();
        let judged = |quota: i64, was_paused| {
            let row = Row { outcome: "orphaned".into(), ..row("r1", quota) };
            let truth = Truth { log: &log, price: PRICE, credits: &credits, was_paused };
            Audit::of(&ledger(vec![row], 0), &truth).mispriced.len()
        };
        let enough = (least - ESTIMATE_UNITS).div_euclid(ESTIMATE_FACTOR) + 1;
        assert_eq!((judged(enough, false), judged(least, false)), (0, 0));
        assert_eq!((judged(enough - 2, false), judged(0, false)), (1, 1));
        assert_eq!(judged(0, true), 0);
    }
}
