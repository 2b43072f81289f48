//! What the hot path of a request spends in this crate: price, hold, estimate, reserve and settle.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use sluice_billing::lease::{Claim, Grant};
use sluice_billing::{Estimator, LEAST_HELD_PROMPT, LeaseBook, ModelPrice, Rate, Ratio, explain, hold, price};
use sluice_domain::{AccountId, LeaseId, Quota, Usage};

fn main() {
    divan::main();
}

fn rate(model_ratio: &str, completion_ratio: &str, cache_read_ratio: &str) -> Rate {
    let ratio = |text: &str| text.parse::<Ratio>().ok();
    let price = ModelPrice {
        model_ratio: ratio(model_ratio),
        completion_ratio: ratio(completion_ratio),
        cache_read_ratio: ratio(cache_read_ratio),
        ..ModelPrice::default()
    };
    Rate::new(Arc::new(price), ratio("0.8").unwrap_or_default())
}

const USAGE: Usage = Usage {
    input: 1234,
    output: 567,
    reasoning: 100,
    cache_read: 8192,
    cache_write_5m: 0,
    cache_write_1h: 0,
    image_input: 0,
    audio_input: 0,
    audio_output: 0,
};

#[divan::bench]
fn price_of_a_chat(bencher: Bencher<'_, '_>) {
    let rate = rate("1.25", "4", "0.5");
    bencher.bench(|| price(black_box(&rate), black_box(&USAGE), &[]));
}

#[divan::bench]
fn price_with_long_ratios(bencher: Bencher<'_, '_>) {
    let rate = rate("0.17123287671232876", "23.333333333333332", "0.1");
    bencher.bench(|| price(black_box(&rate), black_box(&USAGE), &[]));
}

#[divan::bench]
fn hold_of_a_chat(bencher: Bencher<'_, '_>) {
    let rate = rate("1.25", "4", "0.5");
    bencher.bench(|| hold(black_box(&rate), 1234, 4096, LEAST_HELD_PROMPT, &[]));
}

#[divan::bench]
fn explain_a_chat(bencher: Bencher<'_, '_>) {
    let rate = rate("1.25", "4", "0.5");
    bencher.bench(|| explain(black_box(&rate), black_box(&USAGE), &[]));
}

#[divan::bench]
fn estimate_a_delta(bencher: Bencher<'_, '_>) {
    let mut estimator = Estimator::for_model("deepseek-chat");
    bencher.bench_local(|| estimator.push(black_box(" and then some")));
}

#[divan::bench]
fn estimate_a_prompt_of_10_kb(bencher: Bencher<'_, '_>) {
    let text = "The quick brown fox jumps over 13 lazy dogs; why? ".repeat(200);
    bencher.bench(|| {
        let mut estimator = Estimator::for_model("deepseek-chat");
        estimator.push(black_box(&text));
        estimator.finish()
    });
}

#[divan::bench]
fn reserve_and_settle_on_two_accounts(bencher: Bencher<'_, '_>) {
    let mut book = LeaseBook::default();
    let accounts = [AccountId::new(1), AccountId::new(2)];
    for account in accounts {
        let grant_seq = book.ask_with_identity(0);
        let lease = LeaseId::new(account.get());
        let grant = Grant { grant_seq, lease, account, amount: Quota::MAX, life_millis: u64::MAX, low: false };
        divan::black_box_drop(book.granted(grant, 0));
    }
    let claim = |amount| accounts.map(|account| Claim { account, amount: Quota::clamped(amount) });
    bencher.bench_local(|| {
        let reservation = book.reserve(&claim(100), 1).unwrap_or_default();
        book.settle(reservation, &claim(1), 1)
    });
}
