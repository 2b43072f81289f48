//! Properties of the lease book under any sequence of operations: no unit appears, vanishes or is promised twice.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sluice_billing::lease::{Charge, Claim, Closing, GivenBack, Grant, GrantRequest, Verdict, Waiter};
use sluice_billing::{LeaseBook, Reservation};
use sluice_domain::{AccountId, LeaseId, Quota};

#[derive(Debug, Clone)]
enum Step {
    Want { account: i64, need: i64 },
    Grant { which: usize, amount: i64, life_millis: u64, low: bool },
    GrantAgain,
    Refuse { which: usize },
    Credit { account: i64 },
    Reserve { chain: Vec<(i64, i64)> },
    Extend { which: usize, account: i64, amount: i64 },
    Settle { which: usize, actual: Vec<(i64, i64)> },
    Release { which: usize },
    Pass { millis: u64 },
    Wait { chain: Vec<(i64, i64)> },
    StopWaiting { which: usize },
    Recall { account: i64 },
    Renew { is_answered: bool },
    Drain,
}

fn any_step() -> impl Strategy<Value = Step> {
    let account = || 1_i64..=3;
    let claims = |most| proptest::collection::vec((1_i64..=3, 0_i64..most), 0..=3);
    prop_oneof![
        3 => (account(), 0_i64..200).prop_map(|(account, need)| Step::Want { account, need }),
        6 => (any::<usize>(), 0_i64..400, 0_u64..900_000, any::<bool>())
            .prop_map(|(which, amount, life_millis, low)| Step::Grant { which, amount, life_millis, low }),
        1 => Just(Step::GrantAgain),
        1 => any::<usize>().prop_map(|which| Step::Refuse { which }),
        1 => account().prop_map(|account| Step::Credit { account }),
        8 => claims(120).prop_map(|chain| Step::Reserve { chain }),
        2 => (any::<usize>(), account(), 0_i64..80).prop_map(|(which, account, amount)| Step::Extend { which, account, amount }),
        6 => (any::<usize>(), claims(200)).prop_map(|(which, actual)| Step::Settle { which, actual }),
        2 => any::<usize>().prop_map(|which| Step::Release { which }),
        2 => claims(200).prop_map(|chain| Step::Wait { chain }),
        1 => any::<usize>().prop_map(|which| Step::StopWaiting { which }),
        4 => account().prop_map(|account| Step::Recall { account }),
        4 => (0_u64..400_000).prop_map(|millis| Step::Pass { millis }),
        2 => any::<bool>().prop_map(|is_answered| Step::Renew { is_answered }),
        1 => proptest::bool::weighted(0.2).prop_map(|is_drain| if is_drain { Step::Drain } else { Step::Pass { millis: 1 } }),
    ]
}

/// What the control plane would have on record about a lease.
#[derive(Default)]
struct Recorded {
    granted: i64,
    charged: i64,
    returned: i64,
    is_closed: bool,
}

/// The relay around the book and the control plane behind it.
#[derive(Default)]
struct World {
    book: LeaseBook,
    now: u64,
    requests: Vec<GrantRequest>,
    answered: Vec<Grant>,
    running: Vec<Reservation>,
    waiters: Vec<(Waiter, Vec<Claim>)>,
    recalls: i64,
    leases: HashMap<LeaseId, Recorded>,
    is_drained: bool,
}

fn claims(amounts: &[(i64, i64)]) -> Vec<Claim> {
    amounts.iter().map(|(account, amount)| Claim { account: AccountId::new(*account), amount: Quota::clamped(*amount) }).collect()
}

fn pick<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(which % list.len()))
}

impl World {
    fn run(&mut self, step: Step) {
        match step {
            Step::Want { account, need } => {
                let request = self.book.want(AccountId::new(account), Quota::clamped(need), self.now);
                let is_new = |request: &GrantRequest| !self.requests.iter().any(|known| known.grant_seq == request.grant_seq);
                self.requests.extend(request.filter(is_new));
            }
            Step::Grant { which, amount, life_millis, low } => self.grant(which, amount, life_millis, low),
            Step::GrantAgain => {
                if let Some(grant) = self.answered.last().copied() {
                    let closing = self.book.granted(grant, self.now);
                    assert!(closing.is_none_or(|closing| self.leases[&closing.lease].is_closed), "at most closed once more");
                }
            }
            Step::Refuse { which } => {
                if let Some(request) = pick(&mut self.requests, which) {
                    self.book.refused(request.grant_seq, Verdict::Exhausted { need: request.need }, self.now);
                }
            }
            Step::Credit { account } => self.book.credit(AccountId::new(account)),
            Step::Reserve { chain } => self.reserve(&claims(&chain)),
            Step::Extend { which, account, amount } => {
                if let Some(mut reservation) = pick(&mut self.running, which) {
                    let before = reservation.on(AccountId::new(account));
                    let extended = self.book.extend(&mut reservation, &claims(&[(account, amount)]), self.now);
                    let more = if extended.is_ok() { amount } else { 0 };
                    assert_eq!(reservation.on(AccountId::new(account)).get(), before.get() + more);
                    self.running.push(reservation);
                }
            }
            Step::Settle { which, actual } => self.settle(which, &claims(&actual)),
            Step::Release { which } => {
                if let Some(reservation) = pick(&mut self.running, which) {
                    let closings = self.book.release(reservation, self.now);
                    self.close(&closings);
                }
            }
            Step::Pass { millis } => {
                self.now += millis;
                let closings = self.book.sweep(self.now);
                self.close(&closings);
                for account in self.book.give_up_stranded(self.now) {
                    let given = self.book.give_back(account, self.now);
                    self.take_back(&given);
                }
            }
            Step::Wait { chain } => {
                let chain = claims(&chain);
                self.waiters.push((self.book.wait(&chain), chain));
            }
            Step::StopWaiting { which } => {
                if let Some((waiter, _)) = pick(&mut self.waiters, which) {
                    self.book.stop_waiting(waiter);
                }
            }
            Step::Recall { account } => self.recall(AccountId::new(account)),
            Step::Renew { is_answered } => {
                for lease in self.book.renewals(self.now).into_iter().filter(|_| is_answered) {
                    self.book.renewed(lease, 600_000);
                }
            }
            Step::Drain => {
                let closings = self.book.close_all(self.now);
                self.close(&closings);
                self.is_drained = true;
            }
        }
    }

    fn grant(&mut self, which: usize, amount: i64, life_millis: u64, low: bool) {
        let Some(request) = pick(&mut self.requests, which) else { return };
        let lease = LeaseId::new(request.grant_seq);
        let amount = amount.max(request.need.get());
        let GrantRequest { grant_seq, account, .. } = request;
        let grant = Grant { grant_seq, lease, account, amount: Quota::clamped(amount), life_millis, low };
        self.leases.insert(lease, Recorded { granted: amount, ..Recorded::default() });
        let closing = self.book.granted(grant, self.now);
        self.close(closing.as_slice());
        self.answered.push(grant);
    }

    fn reserve(&mut self, chain: &[Claim]) {
        let mut needed: HashMap<AccountId, i64> = HashMap::new();
        for claim in chain {
            *needed.entry(claim.account).or_default() += claim.amount.get();
        }
        let free = |account| {
            let usable = self.book.held().filter(|held| held.account == account && held.expires_at > self.now);
            usable.map(|held| held.free.get()).sum::<i64>()
        };
        let is_covered = needed.iter().all(|(account, need)| *need == 0 || (!self.is_drained && free(*account) >= *need));
        let outcome = self.book.reserve(chain, self.now);
        assert_eq!(outcome.is_ok(), is_covered, "reserved exactly when every account covers it");
        if let Ok(reservation) = outcome {
            for (account, need) in needed {
                assert_eq!(reservation.on(account).get(), need);
            }
            self.running.push(reservation);
        }
    }

    fn settle(&mut self, which: usize, actual: &[Claim]) {
        let Some(reservation) = pick(&mut self.running, which) else { return };
        let settlement = self.book.settle(reservation, actual, self.now);
        let total = |account| actual.iter().filter(|claim| claim.account == account).map(|claim| claim.amount.get()).sum::<i64>();
        let paid = |account| {
            let charges = settlement.charges.iter().filter(|charge| charge.account == account);
            charges.map(|charge| charge.amount.get()).sum::<i64>()
        };
        for account in (1..=3).map(AccountId::new) {
            assert_eq!(paid(account), total(account), "charges add up to the actual amount");
        }
        let mut seen = HashSet::new();
        for charge in &settlement.charges {
            assert!(seen.insert((charge.account, charge.lease)), "one charge per lease");
            self.record(charge);
        }
        for charge in settlement.charges.iter().filter(|charge| charge.debt.is_positive()) {
            let left: i64 = self.book.held().filter(|held| held.account == charge.account).map(|held| held.free.get()).sum();
            assert_eq!(left, 0, "debt only when no free money is left");
        }
        self.close(&settlement.closings);
    }

    /// Of an account that is asked back, nothing stays but what its first waiters are about to reserve.
    fn recall(&mut self, account: AccountId) {
        self.recalls += 1;
        let (knew, before) = (self.book.knows(account), self.book.available(account, self.now));
        self.book.recall(account, self.recalls, self.now);
        let given = self.book.give_back(account, self.now);
        assert_eq!(given.recalled.as_ref().map(|recalled| recalled.recall_seq), knew.then_some(self.recalls));
        self.take_back(&given);
        let after = self.book.available(account, self.now);
        let on = |claims: &Vec<Claim>| {
            claims.iter().filter(|claim| claim.account == account).map(|claim| claim.amount.get()).sum::<i64>()
        };
        let waited_for: i64 = self.waiters.iter().map(|(_, claims)| on(claims)).sum();
        assert!(after.get() <= waited_for, "kept {after} and only {waited_for} are waited for");
        if let Some((_, first)) = self.waiters.iter().min_by_key(|(waiter, _)| *waiter) {
            let covered = first.len() == 1 && first[0].account == account && first[0].amount <= before;
            assert!(!covered || after >= first[0].amount, "what the first waiter can have at once is not taken away");
        }
        if let Some(again) = given.again {
            self.requests.push(again);
        }
    }

    fn take_back(&mut self, given: &GivenBack) {
        for one in &given.returns {
            let recorded = self.leases.get_mut(&one.lease).unwrap();
            assert!(one.total.get() >= recorded.returned, "totals never shrink");
            recorded.returned = one.total.get();
        }
        self.close(&given.closings);
    }

    fn record(&mut self, charge: &Charge) {
        assert!(charge.amount.is_positive());
        let Some(lease) = charge.lease else {
            assert_eq!(charge.debt, charge.amount);
            return;
        };
        assert!(charge.debt.is_zero(), "a lease that is held pays from its money");
        let recorded = self.leases.get_mut(&lease).unwrap();
        assert!(!recorded.is_closed, "nothing is charged to a closed lease");
        recorded.charged += charge.amount.get();
    }

    fn close(&mut self, closings: &[Closing]) {
        for closing in closings {
            let recorded = self.leases.get_mut(&closing.lease).unwrap();
            assert!(!recorded.is_closed, "a lease closes once");
            recorded.is_closed = true;
        }
    }

    fn check(&self) {
        let mut reserved: HashMap<AccountId, i64> = HashMap::new();
        let mut open = HashSet::new();
        for held in self.book.held() {
            let recorded = &self.leases[&held.lease];
            assert!(!recorded.is_closed && open.insert(held.lease));
            assert!(held.free >= Quota::ZERO && held.reserved >= Quota::ZERO);
            assert_eq!((held.charged.get(), held.returned.get()), (recorded.charged, recorded.returned));
            let parts = held.free.get() + held.reserved.get() + held.charged.get() + held.returned.get();
            assert_eq!(parts, recorded.granted, "granted = free + reserved + charged + returned");
            *reserved.entry(held.account).or_default() += held.reserved.get();
        }
        for account in (1..=3).map(AccountId::new) {
            let promised: i64 = self.running.iter().map(|reservation| reservation.on(account).get()).sum();
            assert_eq!(reserved.get(&account).copied().unwrap_or(0), promised, "what is set aside is what requests hold");
        }
        for (lease, recorded) in &self.leases {
            assert!(recorded.is_closed || open.contains(lease), "a lease is held or was closed");
            assert!(
                recorded.charged + recorded.returned <= recorded.granted,
                "a lease never pays or gives back more than it has"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn money_is_conserved_under_any_sequence_of_operations(steps in proptest::collection::vec(any_step(), 1..80)) {
        let mut world = World::default();
        for step in steps {
            world.run(step);
            world.check();
        }
        while let Some(reservation) = world.running.pop() {
            let closings = world.book.release(reservation, world.now);
            world.close(&closings);
        }
        let closings = world.book.close_all(world.now);
        world.close(&closings);
        world.check();
        prop_assert_eq!(world.book.held().count(), 0, "drained, nothing stays behind");
    }
}
