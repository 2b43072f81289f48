use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures_util::future::join_all;
use sluice_billing::lease::{Grant, Inherited, Recalled};
use sluice_domain::{Epoch, LeaseCharge, LeaseId, Now, Record, UnixMillis};
use sluice_rpc::usage;
use sluice_telemetry::metrics::Registry;

use super::*;
use crate::metrics::Metrics;
use crate::spool::{BatchLimits, SpoolSettings};

const USER: UserId = UserId::new(7);
const WALLET: AccountId = AccountId::new(70);
const CAP: AccountId = AccountId::new(71);
const LIFE_MILLIS: u64 = 600_000;

struct World {
    quotas: Quotas,
    demands: mpsc::Receiver<Demand>,
    spool: Spool,
    folder: tempfile::TempDir,
    registry: Registry,
}

/// A world whose clock is tokio's: it stands still until everyone waits.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let start = tokio::time::Instant::now();
    let clock = Clock::new(move || {
        let boot_millis = u64::try_from(start.elapsed().as_millis()).unwrap();
        Now { wall: UnixMillis(boot_millis.cast_signed()), boot_millis }
    });
    let registry = Registry::new();
    let metrics = Metrics::declare(&registry);
    let settings = SpoolSettings { segment_bytes: 1 << 20, max_bytes: 16 << 20, ..SpoolSettings::default() };
    let spool = Spool::open(folder.path(), Epoch(1), settings, clock.clone(), metrics.spool).unwrap();
    let (quotas, demands) = Quotas::new(spool.clone(), clock, metrics.quota);
    World { quotas, demands, spool, folder, registry }
}

/// A chain of the wallet alone.
const WALLET_ONLY: Chain = Chain { wallet: Some(WALLET), cap: None, uses: None };

fn due(units: i64) -> Due {
    Due { quota: Quota::clamped(units), is_answered: true }
}

fn units(units: i64) -> Quota {
    Quota::clamped(units)
}

fn grant(demand: &Demand, lease: i64, amount: Quota) -> Grant {
    Grant {
        grant_seq: demand.grant_seq,
        lease: LeaseId::new(lease),
        account: demand.account,
        amount,
        life_millis: LIFE_MILLIS,
        low: false,
    }
}

/// A control plane with one balance for all accounts: grants exactly the need while it lasts.
async fn granter(quotas: &Quotas, demands: &mut mpsc::Receiver<Demand>, balance: &AtomicI64) {
    let mut lease = 0;
    while let Some(demand) = demands.recv().await {
        if demand.need.is_zero() {
            continue;
        }
        if demand.need.get() > balance.load(Ordering::Relaxed) {
            let verdict = Verdict::Exhausted { need: demand.need };
            quotas.refused(Refused { grant_seq: demand.grant_seq, verdict });
            continue;
        }
        balance.fetch_sub(demand.need.get(), Ordering::Relaxed);
        lease += 1;
        quotas.granted(grant(&demand, lease, demand.need));
    }
}

/// What the spool reports: `c<lease>` for a closing, the charged leases for a record.
async fn reported(spool: &Spool) -> Vec<String> {
    spool.flush().await;
    let mut log = spool.current();
    let mut lines = Vec::new();
    while let Some(batch) = log.next_batch(BatchLimits { records: 500, bytes: 1 << 20 }).unwrap() {
        for body in batch.records {
            lines.push(match usage::decode(&body).unwrap() {
                Record::LeaseClosed(lease) => format!("c{lease}"),
                Record::Request(_) => "request".to_owned(),
            });
        }
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_first_grant_and_the_next_one_does_not() {
    let mut world = world();
    let (chain, amount) = (WALLET_ONLY, units(100));
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        assert_eq!((demand.account, demand.need), (WALLET, units(100)));
        quotas.granted(grant(&demand, 1, units(1_000)));
        demand.grant_seq
    };
    let (reserved, grant_seq) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    let first = reserved.unwrap();
    assert!(world.demands.try_recv().is_err(), "asked once");
    assert_eq!(first.held(), units(100));
    assert_eq!(first.charges(), [LeaseCharge { lease_id: LeaseId::new(1), account_id: WALLET, amount: units(100) }]);
    assert_eq!(usize::try_from(grant_seq).unwrap() % SHARDS, 7, "the number names the shard");
    let second = quotas.reserve(USER, chain, amount);
    assert!(futures_util::FutureExt::now_or_never(second).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn all_accounts_of_a_chain_pay_or_none_is_touched() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let (chain, amount) = (Chain { cap: Some(CAP), ..WALLET_ONLY }, units(50));
    let serve = async {
        for _ in 0..2 {
            let demand = demands.recv().await.unwrap();
            if demand.account == CAP {
                quotas.granted(grant(&demand, 1, units(50)));
            } else {
                let verdict = Verdict::Exhausted { need: units(50) };
                quotas.refused(Refused { grant_seq: demand.grant_seq, verdict });
            }
        }
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    assert_eq!(reserved.unwrap_err(), ReserveError::Exhausted { account: WALLET });
    let holdings = quotas.holdings();
    assert_eq!((holdings.leases, holdings.quota), (1, units(50)));
    assert_eq!(
        quotas.reserve(USER, Chain { wallet: None, cap: Some(CAP), uses: None }, units(50)).await.unwrap().held(),
        units(50),
        "the cap is whole"
    );
}

#[tokio::test(start_paused = true)]
async fn exactly_as_many_are_admitted_as_the_balance_pays_for() {
    let mut world = world();
    let balance = AtomicI64::new(10 * 300);
    let admitted = AtomicUsize::new(0);
    let (quotas, demands) = (&world.quotas, &mut world.demands);
    let callers = join_all((0..100).map(|_| async {
        match quotas.reserve(USER, WALLET_ONLY, units(300)).await {
            Ok(reservation) => {
                admitted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                reservation.settle(due(300), |_| {});
            }
            Err(error) => assert_eq!(error, ReserveError::Exhausted { account: WALLET }),
        }
    }));
    tokio::select! {
        _ = callers => {}
        () = granter(quotas, demands, &balance) => {}
    }
    assert_eq!(admitted.load(Ordering::Relaxed), 10);
    assert_eq!(balance.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_says_nothing_is_never_a_verdict_about_money() {
    let world = world();
    let began = tokio::time::Instant::now();
    let refused = world.quotas.reserve(USER, WALLET_ONLY, units(1)).await.unwrap_err();
    assert_eq!(refused, ReserveError::Unavailable);
    assert_eq!(began.elapsed(), GRANT_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_cannot_say_is_asked_again_while_there_is_time() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let first = demands.recv().await.unwrap();
        quotas.refused(Refused { grant_seq: first.grant_seq, verdict: Verdict::Unavailable });
        let second = demands.recv().await.unwrap();
        assert_ne!(first.grant_seq, second.grant_seq);
        quotas.granted(grant(&second, 1, units(1)));
    };
    let (chain, amount) = (WALLET_ONLY, units(1));
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    assert!(reserved.is_ok());
}

#[tokio::test(start_paused = true)]
async fn money_that_came_in_is_asked_for_at_once() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let (chain, amount) = (WALLET_ONLY, units(10));
    let refuse = async {
        let demand = demands.recv().await.unwrap();
        quotas.refused(Refused { grant_seq: demand.grant_seq, verdict: Verdict::Exhausted { need: units(10) } });
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), refuse);
    assert!(reserved.is_err());
    assert!(quotas.reserve(USER, chain, amount).await.is_err(), "the verdict holds without asking");
    assert!(demands.try_recv().is_err());
    quotas.news(&[], &[WALLET], &[]);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        quotas.granted(grant(&demand, 1, units(10)));
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    assert!(reserved.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropping_gives_everything_back_and_a_waiter_gets_it() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let (chain, amount) = (WALLET_ONLY, units(100));
    let balance = AtomicI64::new(100);
    let rest = async {
        let first = quotas.reserve(USER, chain, amount).await.unwrap();
        let waiting = quotas.reserve(USER, WALLET_ONLY, units(40));
        let release = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(waiting, release);
        drop(second.map_err(|error| assert_eq!(error, ReserveError::Exhausted { account: WALLET })));
        assert_eq!(quotas.holdings().quota, units(100));
        quotas.reserve(USER, chain, amount).await.unwrap()
    };
    tokio::select! {
        reservation = rest => assert_eq!(reservation.held(), units(100)),
        () = granter(&quotas, demands, &balance) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_waiting_leaves_nothing_reserved() {
    let mut world = world();
    let quotas = world.quotas.clone();
    let gave_up = tokio::time::timeout(Duration::from_secs(1), quotas.reserve(USER, WALLET_ONLY, units(5))).await;
    assert!(gave_up.is_err());
    let demand = world.demands.recv().await.unwrap();
    quotas.granted(grant(&demand, 1, units(5)));
    assert_eq!(quotas.reserve(USER, WALLET_ONLY, units(5)).await.unwrap().held(), units(5));
}

#[tokio::test]
async fn a_closing_never_comes_before_a_charge_of_its_lease() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        quotas.granted(grant(&demand, 3, units(100)));
    };
    let (chain, amount) = (WALLET_ONLY, units(100));
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    quotas.close_all();
    let spool = world.spool.clone();
    let permit = spool.permit().unwrap();
    reserved.unwrap().settle(due(60), |charges| {
        assert_eq!(charges, [LeaseCharge { lease_id: LeaseId::new(3), account_id: WALLET, amount: units(60) }]);
        permit.finish(crate::spool::sample_record(1));
    });
    assert_eq!(reported(&spool).await, ["request", "c3"]);
    assert!(quotas.held().is_empty());
}

#[tokio::test]
async fn a_grant_that_nobody_waits_for_is_closed_at_once() {
    let world = world();
    let stray = Demand { grant_seq: 64 * 9 + 7, account: WALLET, need: units(1), want: units(1), up_to_want: false };
    world.quotas.granted(grant(&stray, 5, units(1)));
    assert_eq!(reported(&world.spool).await, ["c5"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_and_not_answered_is_asked_again_with_the_same_number() {
    let mut world = world();
    let quotas = world.quotas.clone();
    let (chain, amount) = (WALLET_ONLY, units(5));
    let waiting = quotas.reserve(USER, chain, amount);
    let look = async {
        let demand = world.demands.recv().await.unwrap();
        assert_eq!(quotas.outstanding(), [demand]);
        quotas.granted(grant(&demand, 1, units(5)));
        assert!(quotas.outstanding().is_empty());
        assert_eq!(quotas.held(), [LeaseId::new(1)]);
    };
    let (reserved, ()) = tokio::join!(waiting, look);
    assert!(reserved.is_ok());
    quotas.news(&[], &[], &[LeaseId::new(1)]);
    assert!(quotas.held().is_empty(), "a void lease is forgotten");
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_while_used_and_closed_when_over() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        quotas.granted(grant(&demand, 1, units(100)));
    };
    let (chain, amount) = (WALLET_ONLY, units(10));
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, chain, amount), serve);
    let reservation = reserved.unwrap();
    assert!(quotas.sweep().is_empty());
    tokio::time::advance(Duration::from_millis(LIFE_MILLIS / 2)).await;
    assert_eq!(quotas.sweep(), [LeaseId::new(1)]);
    quotas.news(&[(LeaseId::new(1), LIFE_MILLIS)], &[], &[]);
    tokio::time::advance(Duration::from_millis(LIFE_MILLIS)).await;
    assert!(quotas.sweep().is_empty(), "its life is over");
    assert_eq!(quotas.held(), [LeaseId::new(1)], "money of a running request is still in it");
    reservation.settle(due(10), |_| {});
    assert!(quotas.held().is_empty());
}

#[tokio::test(start_paused = true)]
async fn extending_takes_more_or_leaves_what_there_is() {
    let mut world = world();
    let balance = AtomicI64::new(150);
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let rest = async {
        let mut reservation = quotas.reserve(USER, WALLET_ONLY, units(100)).await.unwrap();
        reservation.extend(units(50)).await.unwrap();
        assert_eq!(reservation.held(), units(150));
        assert_eq!(reservation.extend(units(1)).await, Err(ReserveError::Exhausted { account: WALLET }));
        assert_eq!(reservation.held(), units(150));
        reservation.settle(due(120), |charges| {
            assert_eq!(charges.iter().map(|charge| charge.amount).sum::<Quota>(), units(120));
        });
    };
    tokio::select! {
        () = rest => {}
        () = granter(&quotas, demands, &balance) => {}
    }
}

const USES: AccountId = AccountId::new(72);

fn returns(said: &GiveBack) -> Vec<(i64, i64)> {
    said.returns.iter().map(|(lease, total)| (lease.get(), total.get())).collect()
}

/// A wallet with a lease of so much, lease number 1.
async fn leased(world: &mut World, amount: i64) {
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        quotas.granted(grant(&demand, 1, units(amount)));
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, WALLET_ONLY, units(1)), serve);
    drop(reserved.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_use_is_charged_when_somebody_answered_and_given_back_otherwise() {
    let mut world = world();
    let balance = AtomicI64::new(1_000);
    let chain = Chain { uses: Some(USES), ..WALLET_ONLY };
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let charged = |charges: Vec<LeaseCharge>| charges.iter().map(|c| (c.account_id, c.amount.get())).collect::<Vec<_>>();
    let rest = async {
        let reservation = quotas.reserve(USER, chain, units(100)).await.unwrap();
        assert_eq!(reservation.held(), units(100));
        let mut paid = Vec::new();
        reservation.settle(Due { quota: units(70), is_answered: true }, |charges| paid = charged(charges));
        paid.sort_unstable();
        assert_eq!(paid, [(WALLET, 70), (USES, 1)]);
        let reservation = quotas.reserve(USER, Chain { wallet: None, ..chain }, units(100)).await.unwrap();
        assert_eq!(reservation.held(), Quota::ZERO, "it is free, and only counted");
        reservation.settle(Due { quota: Quota::ZERO, is_answered: false }, |charges| assert_eq!(charged(charges), []));
    };
    tokio::select! {
        () = rest => {}
        () = granter(&quotas, demands, &balance) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_goes_back_when_it_is_asked_for_and_what_becomes_free_soon_after_it() {
    let mut world = world();
    leased(&mut world, 100).await;
    let quotas = world.quotas.clone();
    let running = quotas.reserve(USER, WALLET_ONLY, units(30)).await.unwrap();
    quotas.recalled(WALLET, 9);
    let said = quotas.giving_back().await;
    assert_eq!(returns(&said), [(1, 70)]);
    assert_eq!(said.recalled, [Recalled { account: WALLET, recall_seq: 9, leases: vec![LeaseId::new(1)] }]);
    assert_eq!(quotas.available(USER, WALLET_ONLY), Quota::ZERO);
    running.settle(due(10), |_| {});
    assert_eq!(returns(&quotas.giving_back().await), [(1, 90)]);
    assert_eq!(reported(&world.spool).await, ["c1"], "nothing is left of it");
    assert_eq!(quotas.returned().await, [], "its closing says the rest");
}

#[tokio::test(start_paused = true)]
async fn what_a_grant_brought_for_somebody_who_waits_is_theirs_even_when_it_is_asked_back_at_once() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        quotas.recalled(WALLET, 9);
        assert_eq!(quotas.giving_back().await.recalled.len(), 1, "there is nothing yet");
        quotas.granted(grant(&demand, 1, units(100)));
        // before the waiter gets its turn
        let said = quotas.giving_back().await;
        assert_eq!((returns(&said), said.recalled.len()), (vec![(1, 60)], 1));
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, WALLET_ONLY, units(40)), serve);
    assert_eq!(reserved.unwrap().held(), units(40));
}

#[tokio::test]
async fn who_waits_with_a_part_in_hand_gives_it_back_and_asks_for_the_whole() {
    let mut world = world();
    leased(&mut world, 3).await;
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let first = demands.recv().await.unwrap();
        assert_eq!(first.need, units(2));
        quotas.recalled(WALLET, 9);
        let said = quotas.giving_back().await;
        assert_eq!(returns(&said), [(1, 3)]);
        assert_eq!(said.demands[0].need, units(5));
        quotas.superseded(first.grant_seq);
        quotas.granted(grant(&said.demands[0], 2, units(5)));
    };
    let (reserved, ()) = tokio::join!(quotas.reserve(USER, WALLET_ONLY, units(5)), serve);
    assert!(reserved.is_ok());
}

#[tokio::test(start_paused = true)]
async fn on_drain_the_free_part_of_a_lease_goes_back_before_its_request_ends() {
    let mut world = world();
    leased(&mut world, 100).await;
    let quotas = world.quotas.clone();
    let running = quotas.reserve(USER, WALLET_ONLY, units(30)).await.unwrap();
    quotas.close_all();
    assert_eq!(returns(&quotas.giving_back().await), [(1, 70)]);
    drop(running);
    assert_eq!(reported(&world.spool).await, ["c1"]);
}

#[tokio::test(start_paused = true)]
async fn as_much_as_there_is_can_be_set_aside() {
    let mut world = world();
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let serve = async {
        let demand = demands.recv().await.unwrap();
        assert_eq!((demand.need, demand.want, demand.up_to_want), (units(10), units(500), true));
        quotas.granted(grant(&demand, 1, units(120)));
    };
    let (reserved, ()) = tokio::join!(quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(500)), serve);
    let reserved = reserved.unwrap();
    assert_eq!((reserved.held(), quotas.available(USER, WALLET_ONLY)), (units(120), Quota::ZERO));
    let refuse = async {
        let demand = world.demands.recv().await.unwrap();
        quotas.refused(Refused { grant_seq: demand.grant_seq, verdict: Verdict::Exhausted { need: units(10) } });
    };
    let (refused, ()) = tokio::join!(quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(500)), refuse);
    assert_eq!(refused.unwrap_err(), ReserveError::Exhausted { account: WALLET });
    drop(reserved);
    let all = quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(120)).await.unwrap();
    assert_eq!(all.held(), units(120), "what is here is taken without asking");
}

#[tokio::test(start_paused = true)]
async fn a_running_request_asks_ahead_without_waiting() {
    let mut world = world();
    leased(&mut world, 100).await;
    let quotas = world.quotas.clone();
    while world.demands.try_recv().is_ok() {}
    let mut running = quotas.reserve(USER, WALLET_ONLY, units(60)).await.unwrap();
    running.wish(units(40));
    assert!(world.demands.try_recv().is_err(), "it is here");
    running.wish(units(50));
    let demand = world.demands.try_recv().unwrap();
    assert_eq!(demand.need, units(10));
    assert_eq!(running.available(), units(40));
    assert!(!running.try_extend(units(50)));
    quotas.granted(grant(&demand, 2, units(10)));
    assert!(running.try_extend(units(50)));
    assert_eq!(running.held(), units(110));
}

#[tokio::test(start_paused = true)]
async fn what_no_lease_covers_is_counted_as_debt() {
    let mut world = world();
    leased(&mut world, 100).await;
    let running = world.quotas.reserve(USER, WALLET_ONLY, units(40)).await.unwrap();
    running.settle(due(130), |charges| {
        let told: Vec<_> = charges.iter().map(|charge| (charge.lease_id.get(), charge.amount.get())).collect();
        assert_eq!(told, [(1, 100), (0, 30)], "the balance pays the rest, which blocks the account");
    });
    let page = world.registry.render();
    assert!(page.contains("sluice_relay_reserve_shortfall_quota_total 30\n"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_is_on_the_disk_before_it_is_said() {
    let mut world = world();
    leased(&mut world, 100).await;
    let quotas = world.quotas.clone();
    let running = quotas.reserve(USER, WALLET_ONLY, units(30)).await.unwrap();
    quotas.recalled(WALLET, 5);
    assert_eq!(returns(&quotas.giving_back().await), [(1, 70)]);
    assert!(world.spool.is_synced());
    let left = crate::spool::left_in(world.folder.path(), 0);
    assert_eq!((left[0].lease, left[0].owner, left[0].returned), (LeaseId::new(1), USER, units(70)));
    world.spool.close_lease(LeaseId::new(2));
    assert_eq!(quotas.returned().await, [(LeaseId::new(1), units(70))]);
    assert!(world.spool.is_synced(), "whatever was written before it is said again");
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_nothing_is_reserved_from_a_lease_that_is_over_even_before_it_is_swept() {
    let mut world = world();
    leased(&mut world, 100).await;
    let reserve = || world.quotas.reserve(USER, WALLET_ONLY, units(10));
    tokio::time::advance(Duration::from_millis(LIFE_MILLIS - 1)).await;
    drop(reserve().await.unwrap());
    tokio::time::advance(Duration::from_millis(1)).await;
    let waits = tokio::time::timeout(Duration::from_millis(10), reserve()).await;
    assert!(waits.is_err(), "it is over");
    assert!(world.demands.try_recv().is_ok(), "another one is asked for");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_and_a_void_lease_are_noted_for_the_next_life() {
    let mut world = world();
    leased(&mut world, 100).await;
    let left = |world: &World| crate::spool::left_in(world.folder.path(), 400_000);
    tokio::time::advance(Duration::from_millis(LIFE_MILLIS / 2)).await;
    drop(world.quotas.reserve(USER, WALLET_ONLY, units(1)).await.unwrap());
    assert_eq!(world.quotas.sweep(), [LeaseId::new(1)]);
    world.spool.flush().await;
    assert_eq!(left(&world)[0].life_millis_left, LIFE_MILLIS - 400_000);
    world.quotas.news(&[(LeaseId::new(1), LIFE_MILLIS)], &[], &[]);
    world.spool.flush().await;
    assert_eq!(left(&world)[0].life_millis_left, LIFE_MILLIS / 2 + LIFE_MILLIS - 400_000);
    world.quotas.news(&[], &[], &[LeaseId::new(1)]);
    world.spool.flush().await;
    assert_eq!(left(&world), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_set_aside_later_is_noted_with_its_request() {
    let mut world = world();
    leased(&mut world, 100).await;
    let mut running = world.quotas.reserve(USER, WALLET_ONLY, units(10)).await.unwrap();
    let intent = sluice_domain::RequestRecord { charges: running.charges(), ..crate::spool::sample_record(1) };
    let open = world.spool.permit().unwrap().open(&intent).unwrap();
    running.recorded(open.number());
    assert!(running.try_extend(units(25)));
    world.spool.flush().await;
    let left = crate::spool::left_in(world.folder.path(), 0);
    assert_eq!((left[0].granted, left[0].charged), (units(100), units(35)));
    running.settle(due(5), |charges| open.finish(sluice_domain::RequestRecord { charges, ..intent }));
    world.spool.flush().await;
    assert_eq!(crate::spool::left_in(world.folder.path(), 0)[0].charged, units(5));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_lifes_leases_are_used_and_listed_and_another_history_voids_them() {
    let world = world();
    let inherited = Inherited {
        lease: LeaseId::new(9),
        account: WALLET,
        owner: USER,
        granted: units(100),
        returned: Quota::ZERO,
        charged: units(40),
        life_millis_left: 1_000,
    };
    let over = Inherited { lease: LeaseId::new(10), life_millis_left: 0, ..inherited };
    assert_eq!(world.quotas.restore(&[inherited, over]), 1, "one can be spent from");
    assert_eq!(world.quotas.held(), [LeaseId::new(9), LeaseId::new(10)]);
    assert!(world.quotas.sweep().is_empty());
    assert_eq!(reported(&world.spool).await, ["c10"]);
    let running = world.quotas.reserve(USER, WALLET_ONLY, units(60)).await.unwrap();
    assert_eq!(running.charges()[0].lease_id, LeaseId::new(9));
    world.quotas.void_all();
    assert!(world.quotas.held().is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_who_make_do_with_what_there_is_get_something_of_it_or_a_verdict() {
    let mut world = world();
    let balance = AtomicI64::new(250);
    let (quotas, demands) = (world.quotas.clone(), &mut world.demands);
    let callers = join_all((0..20).map(|_| quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(100))));
    let serve = async {
        let mut lease = 0;
        while let Some(demand) = demands.recv().await {
            let amount = demand.want.get().min(balance.load(Ordering::Relaxed));
            if amount < demand.need.get().max(1) {
                quotas.refused(Refused { grant_seq: demand.grant_seq, verdict: Verdict::Exhausted { need: demand.need } });
                continue;
            }
            balance.fetch_sub(amount, Ordering::Relaxed);
            lease += 1;
            quotas.granted(grant(&demand, lease, units(amount)));
        }
    };
    let reserved = tokio::select! {
        reserved = callers => reserved,
        () = serve => panic!("it serves on"),
    };
    let held: Vec<i64> = reserved.iter().flatten().map(|reservation| reservation.held().get()).collect();
    assert_eq!(held, [100, 100, 50]);
    let others = reserved.iter().filter_map(|reserved| reserved.as_ref().err());
    assert_eq!(others.filter(|error| **error == ReserveError::Exhausted { account: WALLET }).count(), 17);
    assert_eq!(quotas.is_low(USER, WALLET_ONLY), Some(true));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_what_is_here_has_to_do() {
    let mut world = world();
    leased(&mut world, 40).await;
    let quotas = world.quotas.clone();
    let began = tokio::time::Instant::now();
    let held = quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(100)).await.unwrap();
    assert_eq!(held.held(), units(40));
    assert_eq!(began.elapsed(), Duration::from_millis(Terms::default().ask_again_millis));
    let none = quotas.reserve_up_to(USER, WALLET_ONLY, units(10), units(100)).await.unwrap_err();
    assert_eq!(none, ReserveError::Unavailable, "and nothing is no verdict");
}

#[tokio::test(start_paused = true)]
async fn a_running_request_takes_the_last_of_an_account() {
    let mut world = world();
    leased(&mut world, 100).await;
    let quotas = world.quotas.clone();
    let mut running = quotas.reserve(USER, WALLET_ONLY, units(70)).await.unwrap();
    while world.demands.try_recv().is_ok() {}
    let refuse = async {
        for need in [0, 1] {
            let demand = world.demands.recv().await.unwrap();
            assert_eq!(demand.need, units(need), "beyond what is here");
            quotas.refused(Refused { grant_seq: demand.grant_seq, verdict: Verdict::Exhausted { need: demand.need } });
        }
    };
    let take = async {
        assert_eq!(running.extend_up_to(units(1), units(50)).await, Ok(units(30)));
        assert_eq!(running.held(), units(100));
        assert_eq!(running.extend_up_to(units(1), units(50)).await, Err(ReserveError::Exhausted { account: WALLET }));
    };
    tokio::join!(take, refuse);
}

#[tokio::test(start_paused = true)]
async fn however_often_somebody_is_asked_an_extension_waits_once() {
    let mut world = world();
    leased(&mut world, 100).await;
    let mut running = world.quotas.reserve(USER, WALLET_ONLY, units(70)).await.unwrap();
    while world.demands.try_recv().is_ok() {}
    let (quotas, began) = (world.quotas.clone(), tokio::time::Instant::now());
    let answers_once = async {
        let demand = world.demands.recv().await.unwrap();
        tokio::time::sleep(GRANT_WAIT.mul_f64(0.8)).await;
        quotas.refused(Refused { grant_seq: demand.grant_seq, verdict: Verdict::Exhausted { need: demand.need } });
    };
    let (extended, ()) = tokio::join!(running.extend_as_far_as_there_is(units(40), units(50)), answers_once);
    assert_eq!((extended, began.elapsed()), (Err(ReserveError::Unavailable), GRANT_WAIT));
}
