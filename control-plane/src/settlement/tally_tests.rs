use proptest::prelude::*;
use sluice_domain::Epoch;

use super::*;
use crate::leases::Life;

const WALLET: AccountId = AccountId::new(1);

fn lease(id: i64, granted: i64, state: State) -> Lease {
    Lease {
        id: LeaseId::new(id),
        account: WALLET,
        life: Life { node: NodeId::parse("relay-1").unwrap(), epoch: Epoch(1) },
        grant_seq: id,
        granted,
        settled: 0,
        returned: 0,
        state,
    }
}

fn tally(leases: Vec<Lease>) -> Tally {
    Tally::new(NodeId::parse("relay-1").unwrap(), leases.into_iter().map(|lease| (lease.id, lease)).collect())
}

fn pays(lease: i64, amount: i64) -> LeaseCharge {
    LeaseCharge { lease_id: LeaseId::new(lease), account_id: WALLET, amount: Quota::clamped(amount) }
}

#[test]
fn each_lease_pays_what_was_said_and_the_last_one_the_difference() {
    let mut tally = tally(vec![lease(1, 100, State::Open), lease(2, 100, State::Open)]);
    tally.charge(WALLET, Quota::clamped(150), &[pays(1, 100), pays(2, 20)], true);
    let sums = tally.finish();
    assert_eq!(sums.settled, [(LeaseId::new(1), 100, 0), (LeaseId::new(2), 50, 0)]);
    assert_eq!(sums.shifts[&WALLET], Shift { leased: -150, spent: 150, ..Shift::default() });
    assert_eq!(sums.charged[&WALLET], 150);
}

#[test]
fn without_a_lease_the_balance_pays() {
    for said in [vec![], vec![pays(0, 50)]] {
        let mut tally = tally(vec![]);
        tally.charge(WALLET, Quota::clamped(50), &said, true);
        let sums = tally.finish();
        assert_eq!(sums.shifts[&WALLET], Shift { balance: -50, spent: 50, ..Shift::default() });
        assert_eq!(sums.late, 0);
    }
}

#[test]
fn a_request_that_is_free_touches_nothing() {
    let mut tally = tally(vec![lease(1, 100, State::Open)]);
    tally.charge(WALLET, Quota::ZERO, &[pays(1, 30)], true);
    assert_eq!(tally.finish(), Sums::default());
}

#[test]
fn a_lease_that_is_over_is_paid_for_by_the_balance_and_counted_late() {
    let mut tally = tally(vec![lease(1, 100, State::Open)]);
    tally.close(LeaseId::new(1));
    tally.close(LeaseId::new(1));
    tally.charge(WALLET, Quota::clamped(30), &[pays(1, 30)], true);
    let sums = tally.finish();
    assert_eq!(sums.shifts[&WALLET], Shift { balance: 70, leased: -100, spent: 30, ..Shift::default() });
    assert_eq!((sums.closed.len(), sums.late), (1, 1));
}

proptest! {
    /// Whatever relays say, an account loses exactly what it is charged, and its leases' counts stay the sum of its leases.
    #[test]
    fn totals_change_by_the_price_and_by_nothing_else(
        granted in prop::collection::vec((1_i64..1_000, 0_u8..3), 1..6),
        steps in prop::collection::vec((0_i64..8, 0_i64..2_000, 0_i64..2_000, any::<bool>()), 0..30),
    ) {
        let state = |code| [State::Open, State::InDoubt, State::Closed][usize::from(code)];
        let leases: Vec<Lease> = (1..).zip(&granted).map(|(id, (amount, code))| lease(id, *amount, state(*code))).collect();
        let before: BTreeMap<LeaseId, Lease> = leases.iter().map(|lease| (lease.id, lease.clone())).collect();
        let mut tally = tally(leases);
        let mut price_sum = 0;
        for (lease, said, price, closes) in steps {
            if closes {
                tally.close(LeaseId::new(lease));
            } else {
                tally.charge(WALLET, Quota::clamped(price), &[pays(lease, said)], true);
                price_sum += price;
            }
        }
        let sums = tally.finish();
        let shift = sums.shifts.get(&WALLET).copied().unwrap_or_default();
        prop_assert_eq!(shift.balance + shift.leased + shift.in_doubt, -price_sum);
        prop_assert_eq!(shift.spent, price_sum);
        prop_assert_eq!(sums.charged.get(&WALLET).copied().unwrap_or_default(), price_sum);

        let settled: BTreeMap<LeaseId, i64> = sums.settled.iter().map(|(lease, amount, _)| (*lease, *amount)).collect();
        let remainder = |wanted: State, after: bool| -> i64 {
            let open = |lease: &&Lease| lease.state == wanted && !(after && sums.closed.contains(&lease.id));
            let taken = |lease: &Lease| if after { settled.get(&lease.id).copied().unwrap_or_default() } else { 0 };
            before.values().filter(open).map(|lease| lease.granted - taken(lease)).sum()
        };
        prop_assert_eq!(shift.leased, remainder(State::Open, true) - remainder(State::Open, false));
        prop_assert_eq!(shift.in_doubt, remainder(State::InDoubt, true) - remainder(State::InDoubt, false));
    }
}
