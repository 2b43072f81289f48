//! What a request costs in the fleet half when everything it needs is at hand.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use futures_util::FutureExt;
use sluice_billing::lease::Grant;
use sluice_domain::{
    AccountId, Clock, Dialect, Epoch, GroupName, KeyDigest, LeaseCharge, LeaseId, ModelName, Now, Outcome, Quota, RequestId,
    RequestRecord, Role, Status, TokenId, UnixMillis, Usage, UserId,
};
use sluice_relay_node::metrics::Metrics;
use sluice_relay_node::quota::{Chain, Due, Quotas};
use sluice_relay_node::spool::{Spool, SpoolSettings};
use sluice_relay_node::view::{Page, Taken, View};
use sluice_snapshot::{Token, User};
use sluice_telemetry::metrics::Registry;

fn main() {
    divan::main();
}

fn clock() -> Clock {
    use sluice_telemetry::clock;
    Clock::new(|| Now { wall: UnixMillis(clock::wall_millis()), boot_millis: clock::boot_millis() })
}

fn spool(folder: &tempfile::TempDir) -> Spool {
    // nobody acknowledges here: the spool must not fill up
    let settings = SpoolSettings { max_bytes: 1 << 40, ..SpoolSettings::default() };
    Spool::open(folder.path(), Epoch(1), settings, clock(), Metrics::declare(&Registry::new()).spool).expect("a spool")
}

fn record() -> RequestRecord {
    RequestRecord {
        request_id: RequestId::parse("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b").expect("an id"),
        user_id: UserId::new(1),
        token_id: TokenId::new(1),
        charges: vec![LeaseCharge { lease_id: LeaseId::new(1), account_id: AccountId::new(1), amount: Quota::clamped(50) }],
        quota: Quota::clamped(50),
        held: Quota::clamped(100),
        config_lineage: "0190a1b2".into(),
        config_seq: 3,
        model: ModelName::parse("gpt-4o").expect("a name"),
        upstream_model: "gpt-4o".into(),
        group: GroupName::parse("default").expect("a name"),
        channel_id: None,
        usage: Usage { input: 10, output: 20, ..Usage::default() },
        usage_estimated: false,
        outcome: Outcome::Completed,
        error_code: String::new(),
        status: 200,
        dialect: Dialect::OpenAi,
        path: "/v1/chat/completions".into(),
        stream: true,
        started_at: UnixMillis(5),
        total_millis: 7,
        first_byte_millis: Some(3),
        attempts: vec![],
        client_ip: "192.0.2.1".into(),
        upstream_request_id: "req_0190a1b2c3d4".into(),
        output_limit: None,
    }
}

/// Intent and final record of one request: two appends.
#[divan::bench]
fn intent_and_final_record(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = spool(&folder);
    bencher.with_inputs(|| (permit(&spool), record(), record())).bench_local_values(|(permit, intent, last)| {
        permit.open(&intent).expect("an open record").finish(last);
    });
}

fn permit(spool: &Spool) -> sluice_relay_node::spool::Permit {
    loop {
        if let Ok(permit) = spool.permit() {
            return permit;
        }
        std::thread::yield_now();
    }
}

#[divan::bench]
fn reserve_and_settle_on_two_accounts(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (quotas, mut demands) = Quotas::new(spool(&folder), clock(), Metrics::declare(&Registry::new()).quota);
    let (user, amount) = (UserId::new(1), Quota::clamped(10));
    let chain = Chain { wallet: Some(AccountId::new(1)), cap: Some(AccountId::new(2)), uses: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let serve = async {
            for lease in 1..=2 {
                let demand = demands.recv().await.expect("a demand");
                let lease = LeaseId::new(lease);
                let life_millis = 24 * 3_600_000;
                let amount = Quota::MAX;
                quotas.granted(Grant {
                    grant_seq: demand.grant_seq,
                    lease,
                    account: demand.account,
                    amount,
                    life_millis,
                    low: false,
                });
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(quotas.reserve(user, chain, amount), serve) })
            .await;
    });
    bencher.bench_local(|| {
        let reservation = quotas.reserve(user, chain, amount).now_or_never().expect("local").expect("covered");
        reservation.settle(Due { quota: Quota::clamped(1), is_answered: true }, |charges| {
            divan::black_box(charges);
        });
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn identify(bencher: Bencher<'_, '_>, tokens: u32) {
    let (view, _questions) = View::new(clock(), Metrics::declare(&Registry::new()).view);
    view.set_digest_key([1; 32]);
    view.publish(Arc::default());
    let digest = |number: u32| KeyDigest(scattered(number));
    let token = |number: u32| Token {
        id: TokenId::new(i64::from(number)),
        user_id: UserId::new(1),
        rev: 1,
        digest: digest(number),
        status: Status::Enabled,
        expires_at: None,
        name: "t".into(),
        group: None,
        models: None,
        ip_allow: vec![],
        account_id: AccountId::new(2),
        capped: false,
        uses_account_id: None,
        limits: sluice_domain::Limits::default(),
    };
    let user = User {
        id: UserId::new(1),
        rev: 1,
        status: Status::Enabled,
        role: Role::User,
        group: GroupName::parse("default").expect("a name"),
        account_id: AccountId::new(1),
        limits: sluice_domain::Limits::default(),
    };
    let tokens_of_page = (0..tokens).map(|number| Taken::Is(token(number))).collect();
    view.take_page(Page { as_of_seq: 1, tokens: tokens_of_page, users: vec![Taken::Is(user)], is_last: true, is_complete: true });
    let mut number = 0;
    bencher.bench_local(|| {
        number = (number + 7_919) % tokens;
        view.identify(&digest(number)).now_or_never().expect("local").expect("known")
    });
}

/// 32 bytes that differ in every place, as digests do.
fn scattered(number: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = state.to_be_bytes()[0];
    }
    bytes
}

/// The digest of a presented key.
#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    let (view, _questions) = View::new(clock(), Metrics::declare(&Registry::new()).view);
    view.set_digest_key([1; 32]);
    view.publish(Arc::default());
    let key = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV";
    bencher.bench_local(|| view.digest(divan::black_box(key)));
}
