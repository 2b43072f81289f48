//! The worked examples of the billing specification, column Sluice: V rows for the price, H rows for the hold.

use std::sync::Arc;

use sluice_billing::{
    Factor, LEAST_HELD_PROMPT, ModelPrice, Multiplier, PriceBook, Rate, Ratio, Surcharge, Surcharged, Unpriced, explain, hold,
    price, standing_surcharge,
};
use sluice_domain::Usage;

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap()
}

fn tokens(model_ratio: &str, completion_ratio: &str) -> ModelPrice {
    let (model_ratio, completion_ratio) = (Some(ratio(model_ratio)), Some(ratio(completion_ratio)));
    ModelPrice { model_ratio, completion_ratio, ..ModelPrice::default() }
}

fn call(usd: &str) -> ModelPrice {
    ModelPrice { per_call_usd: Some(ratio(usd)), ..ModelPrice::default() }
}

fn cached(model_ratio: &str, completion_ratio: &str, cache_read: &str) -> ModelPrice {
    ModelPrice { cache_read_ratio: Some(ratio(cache_read)), ..tokens(model_ratio, completion_ratio) }
}

fn claude(model_ratio: &str) -> ModelPrice {
    ModelPrice { cache_write_ratio: Some(ratio("1.25")), ..cached(model_ratio, "5", "0.1") }
}

fn audio(model_ratio: &str, completion_ratio: &str, audio: &str, audio_completion: &str) -> ModelPrice {
    let (audio_ratio, audio_completion_ratio) = (Some(ratio(audio)), Some(ratio(audio_completion)));
    ModelPrice { audio_ratio, audio_completion_ratio, ..tokens(model_ratio, completion_ratio) }
}

const NONE: Usage = Usage {
    input: 0,
    output: 0,
    reasoning: 0,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    image_input: 0,
    audio_input: 0,
    audio_output: 0,
};

fn text(input: u64, output: u64) -> Usage {
    Usage { input, output, ..NONE }
}

fn plus(what: Surcharged, count: u64, usd_each: &str) -> Vec<Surcharge> {
    vec![Surcharge { what, count, usd_each: ratio(usd_each) }]
}

struct Row {
    id: &'static str,
    model: ModelPrice,
    group: &'static str,
    usage: Usage,
    channel_cache: Option<&'static str>,
    times: Vec<(Factor, &'static str)>,
    surcharges: Vec<Surcharge>,
    quota: i64,
}

fn row(id: &'static str, model: ModelPrice, group: &'static str, usage: Usage, quota: i64) -> Row {
    Row { id, model, group, usage, channel_cache: None, times: Vec::new(), surcharges: Vec::new(), quota }
}

fn chat() -> Vec<Row> {
    vec![
        row("V01", tokens("1.25", "4"), "1", text(1000, 500), 3750),
        row("V02", tokens("0.075", "4"), "1", text(1, 1), 1),
        row("V03", tokens("1", "2"), "0.5", text(3, 2), 4),
        row("V04", tokens("0.025", "8"), "1", text(1, 0), 1),
        row("V05", tokens("1", "2"), "1", text(1_000_000, 32768), 1_065_536),
        row("V06", tokens("1.25", "4"), "0.8", text(1234, 567), 3502),
        row("V07", tokens("0.55", "4"), "1.5", text(2000, 4000), 14850),
        row("V08", tokens("1.25", "4"), "0", text(1000, 500), 0),
        row("V09", tokens("0", "1"), "1", text(1000, 500), 0),
        row("V10", tokens("0.15", "8.333333333"), "1", text(777, 333), 533),
        row("V11", tokens("8.21918", "1"), "1", text(1000, 1000), 16438),
        row("V12", tokens("7.5", "4"), "1", Usage { reasoning: 2000, ..text(500, 2500) }, 78750),
        row("V13", tokens("2.5", "3"), "1", text(100, 100), 1000),
        row("V14", tokens("0.625", "8"), "1", text(1000, 1000), 5625),
        row("V15", tokens("37.5", "1"), "1", text(10, 10), 750),
        row("V16", tokens("1.25", "4"), "0.9", text(1000, 1000), 5625),
        row("V17", tokens("1.25", "4"), "1", text(10, 10), 63),
        row("V18", tokens("1.25", "4"), "1", NONE, 0),
        row("V19", tokens("0.01", "1"), "1", text(8191, 0), 82),
        row("V20", tokens("0.01", "1"), "1", text(1, 0), 1),
        row("V21", tokens("0.05", "1"), "1", text(2048, 0), 102),
    ]
}

fn caches() -> Vec<Row> {
    let read = |input, cache_read, output| Usage { cache_read, ..text(input, output) };
    let wrote = |input, cache_read, cache_write_5m, cache_write_1h, output| Usage {
        cache_read,
        cache_write_5m,
        cache_write_1h,
        ..text(input, output)
    };
    vec![
        row("V22", cached("1.25", "4", "0.5"), "1", read(976, 1024, 100), 2360),
        row("V23", cached("0.625", "8", "0.1"), "1", read(1808, 8192, 1000), 6642),
        row("V24", cached("0.135", "1", "0.25"), "1", read(0, 4096, 10), 140),
        // 2000 cached of a prompt of 100: the meter holds them to the prompt
        row("V25", cached("1.25", "4", "0.5"), "1", read(0, 100, 0), 63),
        row("V26", claude("1.5"), "1", wrote(1000, 0, 0, 0, 500), 5250),
        row("V27", claude("1.5"), "1", wrote(12, 20000, 0, 0, 300), 5268),
        row("V28", claude("1.5"), "1", wrote(12, 0, 20000, 0, 300), 39768),
        row("V29", claude("1.5"), "1", wrote(12, 0, 0, 20000, 300), 62268),
        // of 4000 written 1000 have no stated life: they count for 5 minutes
        row("V30", claude("2.5"), "1", wrote(100, 5000, 2000, 2000, 1000), 30250),
        row("V31", claude("0.125"), "1", wrote(3, 0, 0, 0, 1), 1),
        row("V32", claude("0.5"), "1", wrote(11, 0, 0, 0, 0), 6),
        row("V33", claude("1.5"), "0.7", wrote(380, 0, 0, 0, 200), 1449),
        row("V34", claude("0.125"), "1", wrote(1, 0, 0, 0, 0), 1),
        row("V35", claude("1.5"), "1", wrote(0, 50000, 0, 0, 0), 7500),
        row("V36", claude("1.5"), "1", wrote(12, 20000, 0, 20000, 300), 65268),
        Row { channel_cache: Some("0.25"), ..row("V37", cached("1.25", "4", "0.5"), "1", read(1000, 1000, 0), 1563) },
    ]
}

fn media() -> Vec<Row> {
    let image = ModelPrice { image_ratio: Some(ratio("2")), ..tokens("2.5", "8") };
    let sound = |input, output, audio_input, audio_output| Usage { audio_input, audio_output, ..text(input, output) };
    let mini = Usage { image_input: 300, ..text(50, 1056) };
    vec![
        row("V38", image, "1", mini, 22745),
        row("V39", call("0.04"), "1", NONE, 20000),
        Row {
            times: vec![(Factor::ImageSize, "2"), (Factor::ImageQuality, "1.5")],
            ..row("V40", call("0.04"), "1", NONE, 60000)
        },
        Row { times: vec![(Factor::ImageCount, "2")], ..row("V41", call("0.04"), "0.7", NONE, 28000) },
        row("V42", call("0.1"), "1", NONE, 50000),
        row("V43", call("0.000001"), "0.3", NONE, 1),
        row("V44", audio("1.25", "4", "16", "1"), "1", sound(120, 40, 300, 500), 16350),
        row("V45", audio("2.5", "4", "8", "1"), "1", sound(200, 100, 1000, 600), 33500),
        row("V46", audio("0.3", "4", "16.67", "1"), "1", sound(33, 17, 250, 125), 1906),
        row("V47", audio("7.5", "1", "1", "0"), "1", sound(500, 0, 0, 500), 3750),
        row("V48", tokens("15", "1"), "1", text(1033, 0), 15495),
        Row {
            // audio input has a price of its own: it is taken out of the input
            surcharges: plus(Surcharged::AudioInput, 1000, "0.000001"),
            ..row("V49", tokens("0.15", "8.333333333333334"), "1", text(500, 100), 700)
        },
    ]
}

fn tools_and_tasks() -> Vec<Row> {
    let task = |id, usd, times, quota| Row { times, ..row(id, call(usd), "1", NONE, quota) };
    let with = |surcharges, row| Row { surcharges, ..row };
    vec![
        with(plus(Surcharged::WebSearch, 2, "0.025"), row("V50", tokens("1.25", "4"), "1", text(1000, 200), 27250)),
        with(plus(Surcharged::WebSearch, 1, "0.01"), row("V51", tokens("0.625", "8"), "0.5", text(1000, 200), 3313)),
        with(plus(Surcharged::WebSearch, 1, "0.025"), row("V52", tokens("1.25", "4"), "1", text(50, 300), 14063)),
        with(plus(Surcharged::FileSearch, 3, "0.0025"), row("V53", tokens("1", "2"), "1", text(800, 100), 4750)),
        with(plus(Surcharged::ImageGeneration, 1, "0.167"), row("V54", tokens("1", "2"), "1", text(100, 50), 83700)),
        with(plus(Surcharged::WebSearch, 4, "0.01"), row("V55", claude("1.5"), "1", text(900, 300), 23600)),
        row("V56", call("0.1"), "1", NONE, 50000),
        row("V57", call("0.09"), "0.7", NONE, 31500),
        row("V58", call("0.05"), "2.3", NONE, 57500),
        row("V59", call("0.1"), "1.2", NONE, 60000),
        task("V60", "0.3", vec![(Factor::Seconds, "8"), (Factor::Resolution, "1")], 1_200_000),
        task("V61", "0.5", vec![(Factor::Seconds, "12"), (Factor::Resolution, "1.666667")], 5_000_001),
        row("V62", call("0.001"), "1", NONE, 500),
        row("V63", tokens("23", "1"), "0.9", text(108_900, 0), 2_254_230),
        with(plus(Surcharged::PolicyViolation, 1, "0.05"), row("V64", tokens("1", "1"), "1.1", NONE, 27500)),
    ]
}

fn rate(row: &Row) -> Rate {
    let by = |(factor, text): &(Factor, &str)| Multiplier { factor: *factor, by: ratio(text) };
    Rate {
        channel_cache_read_ratio: row.channel_cache.map(ratio),
        multipliers: row.times.iter().map(by).collect(),
        ..Rate::new(Arc::new(row.model.clone()), ratio(row.group))
    }
}

#[test]
fn every_price_example_of_the_specification_holds_and_is_explained() {
    let rows: Vec<Row> = [chat(), caches(), media(), tools_and_tasks()].into_iter().flatten().collect();
    let ids: Vec<String> = (1..=64).map(|number| format!("V{number:02}")).collect();
    assert!(rows.iter().map(|row| row.id).eq(ids.iter()), "every example, once, in order");
    for row in &rows {
        let rate = rate(row);
        let quota = price(&rate, &row.usage, &row.surcharges).unwrap();
        assert_eq!(quota.get(), row.quota, "{}", row.id);
        let formula = explain(&rate, &row.usage, &row.surcharges).unwrap();
        assert_eq!(formula.total, quota, "{}: {formula}", row.id);
    }
}

#[test]
fn every_hold_example_of_the_specification_holds() {
    let rows = [
        ("H1", "1.25", "4", "1", 120, 0, 625),
        ("H2", "1.25", "4", "1", 1200, 1000, 6500),
        ("H3", "2.5", "5", "0.8", 9000, 32000, 338_000),
        ("H4", "0.075", "4", "1", 10, 16, 43),
        ("H5", "0.625", "8", "1", 40000, 128_000, 665_000),
    ];
    for (id, model_ratio, completion_ratio, group, prompt, max_output, quota) in rows {
        let rate = Rate::new(Arc::new(tokens(model_ratio, completion_ratio)), ratio(group));
        assert_eq!(hold(&rate, prompt, max_output, LEAST_HELD_PROMPT, &[]).unwrap().get(), quota, "{id}");
    }
}

#[test]
fn a_search_model_costs_its_search_in_the_hold_the_bill_and_the_explanation() {
    let rate = Rate::new(Arc::new(tokens("1.25", "4")), Ratio::ONE);
    let searching = standing_surcharge("/v1/chat/completions", "gpt-4o-search-preview");
    let surcharges = searching.as_slice();
    assert_eq!(price(&rate, &text(50, 300), surcharges).unwrap().get(), 14_063, "V52");
    assert_eq!(explain(&rate, &text(50, 300), surcharges).unwrap().total.get(), 14_063);
    assert_eq!(hold(&rate, 50, 300, LEAST_HELD_PROMPT, surcharges).unwrap().get(), 625 + 1_500 + 12_500);
    let free = Rate::new(Arc::new(tokens("0", "1")), Ratio::ONE);
    assert_eq!(hold(&free, 50, 300, LEAST_HELD_PROMPT, surcharges).unwrap().get(), 12_500, "only the usage is free");
}

#[test]
fn free_requests_hold_nothing_and_calls_hold_their_exact_price() {
    let held = |model: ModelPrice, group| {
        hold(&Rate::new(Arc::new(model), ratio(group)), 10_000, 10_000, LEAST_HELD_PROMPT, &[]).unwrap().get()
    };
    assert_eq!(held(tokens("1.25", "4"), "0"), 0);
    assert_eq!(held(tokens("0", "1"), "1"), 0);
    assert_eq!(held(call("0"), "1"), 0);
    assert_eq!(held(call("0.09"), "0.7"), 31500);
}

#[test]
fn the_unpriced_example_goes_through_the_book() {
    let book = PriceBook::default();
    assert_eq!(book.find("unheard-of", Unpriced::Refuse), None);
    let model = book.find("unheard-of", Unpriced::Accept).unwrap();
    assert_eq!(price(&Rate::new(model, Ratio::ONE), &text(10, 10), &[]).unwrap().get(), 750, "V15");
}

#[test]
fn the_shipped_four_thirds_rounds_like_four_thirds() {
    let rate = Rate::new(Arc::new(tokens("0.75", "1.333333333333333334")), Ratio::ONE);
    for output in 0..5000_u64 {
        let quarters = 3 * 2 + 4 * output;
        let exact = (2 * quarters + 4) / 8; // half away from zero
        assert_eq!(price(&rate, &text(2, output), &[]).unwrap().get(), i64::try_from(exact).unwrap(), "{output}");
    }
}
