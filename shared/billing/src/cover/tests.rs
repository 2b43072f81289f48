use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::price::ModelPrice;

const RULES: HoldRules = HoldRules { policy: HoldPolicy::Adaptive, window: 2_000, assumed_max: 16_384, clamps: true, floor: 16 };

fn wanted(limit: Option<u64>, cap: Option<u64>) -> Wanted {
    Wanted { limit, cap, usual: 0, choices: 1, streams: true }
}

fn rate(model: &str, completion: &str, group: &str) -> Rate {
    let price = ModelPrice {
        model_ratio: Some(model.parse().unwrap()),
        completion_ratio: Some(completion.parse().unwrap()),
        ..ModelPrice::default()
    };
    Rate::new(Arc::new(price), group.parse().unwrap())
}

fn cost(rate: &Rate, prompt: u64) -> HoldCost<'_> {
    HoldCost { rate, prompt, least_prompt: 500, surcharges: &[] }
}

#[test]
fn without_a_limit_a_healthy_balance_holds_for_what_is_usual_and_at_least_a_window() {
    let cover = RULES.cover(&wanted(None, None), false);
    assert_eq!(cover, Cover { least: 2_000, most: 2_000, beyond: Beyond::Extended { step: 2_000, most: None } });
    let usual = Wanted { usual: 5_000, ..wanted(None, Some(8_000)) };
    let cover = RULES.cover(&usual, false);
    assert_eq!(cover, Cover { least: 5_000, most: 5_000, beyond: Beyond::Extended { step: 2_000, most: Some(8_000) } });
    let short = RULES.cover(&wanted(None, Some(100)), false);
    assert_eq!(short, Cover { least: 100, most: 100, beyond: Beyond::Nothing }, "the model itself ends there");
    let plain = Wanted { streams: false, ..wanted(None, None) };
    assert_eq!(RULES.cover(&plain, false).beyond, Beyond::Owed);
}

#[test]
fn a_low_balance_or_a_limit_of_the_callers_is_held_for_in_full_or_clamped() {
    let of = |limit, cap, is_low| {
        let wanted = wanted(limit, cap);
        let cover = RULES.cover(&wanted, is_low);
        (cover.least, cover.most, RULES.limit_to_send(&wanted, &cover, cover.most), cover.beyond == Beyond::Nothing)
    };
    assert_eq!(of(None, None, true), (16, 16_384, Some(16_384), true), "nobody else tells the upstream where to end");
    assert_eq!(of(None, Some(4_096), true), (16, 4_096, None, true), "the model ends there by itself");
    assert_eq!(of(Some(300), None, false), (16, 300, None, true));
    assert_eq!(of(Some(9_000), Some(4_096), false), (16, 4_096, None, true));
    assert_eq!(of(Some(7), None, true), (7, 7, None, true), "who asks for less than the floor gets that");
}

#[test]
fn strict_is_strict_for_a_healthy_balance_too_and_nothing_is_clamped_where_that_is_off() {
    let strict = HoldRules { policy: HoldPolicy::Strict, ..RULES };
    assert_eq!(strict.cover(&wanted(None, Some(4_096)), false).most, 4_096);
    let unclamped = HoldRules { clamps: false, ..strict };
    let cover = unclamped.cover(&wanted(None, None), true);
    assert_eq!((cover.least, cover.most), (16_384, 16_384), "all or nothing");
    assert_eq!(unclamped.limit_to_send(&wanted(None, None), &cover, cover.most), None);
}

#[test]
fn a_window_is_followed_with_or_without_a_limit_and_begins_with_less_when_there_is_less() {
    let windowed = HoldRules { policy: HoldPolicy::Windowed, ..RULES };
    let cover = windowed.cover(&wanted(Some(9_000), None), true);
    assert_eq!(cover, Cover { least: 16, most: 2_000, beyond: Beyond::Extended { step: 2_000, most: Some(9_000) } });
    assert_eq!(windowed.limit_to_send(&wanted(Some(9_000), None), &cover, 100), None, "its limit is never touched");
    let plain = |limit| windowed.cover(&Wanted { streams: false, ..wanted(limit, None) }, true);
    assert_eq!(plain(Some(9_000)), Cover { least: 9_000, most: 9_000, beyond: Beyond::Nothing }, "it cannot be cut");
    assert_eq!(plain(None), Cover { least: 2_000, most: 2_000, beyond: Beyond::Owed });
}

#[test]
fn every_answer_of_a_request_counts() {
    let two = Wanted { choices: 2, ..wanted(Some(100), None) };
    let cover = RULES.cover(&two, false);
    assert_eq!((cover.least, cover.most), (32, 200));
    assert_eq!(RULES.limit_to_send(&two, &cover, 101), Some(50), "each gets half, and a token is left over");
    let followed = RULES.cover(&Wanted { choices: 3, ..wanted(None, Some(5_000)) }, false);
    assert_eq!((followed.most, followed.beyond), (6_000, Beyond::Extended { step: 6_000, most: Some(15_000) }));
}

#[test]
fn what_a_held_amount_covers_is_counted_to_the_token() {
    // 1.25 × (500 + 4·n): 625 for the prompt, 5 for each token
    let rate = rate("1.25", "4", "1");
    let cost = cost(&rate, 100);
    for (held, tokens) in [(0, 0), (624, 0), (625, 0), (629, 0), (630, 1), (1_125, 100), (1_129, 100), (1_000_000, 1_000)] {
        assert_eq!(cost.affordable(Quota::clamped(held), 1_000), tokens, "{held}");
    }
    let free_output = self::rate("1", "0", "1");
    assert_eq!(self::cost(&free_output, 700).affordable(Quota::clamped(700), 1 << 40), 1 << 40);
}

#[test]
fn a_window_grows_by_its_step_up_to_its_end() {
    let cover = RULES.cover(&wanted(None, Some(5_000)), false);
    let window = Window::of(&cover, cover.most).unwrap();
    assert!(!window.is_nearly_used_up(999) && window.is_nearly_used_up(1_000));
    assert!(!window.is_used_up(1_999) && window.is_used_up(2_000));
    let second = window.next(1_000);
    assert_eq!(second.covered(), 4_000);
    let last = second.next(3_999);
    assert_eq!(last.covered(), 5_000);
    assert!(!last.is_used_up(6_000) && !last.is_nearly_used_up(6_000), "what comes beyond its limit is the upstream's doing");
    assert_eq!(window.next(10_000).covered(), 5_000);
    assert_eq!(Window { most: None, ..window }.next(10_000).covered(), 12_000, "a burst is covered whole");
}

#[test]
fn words_read_back() {
    assert!(HoldPolicy::ALL.into_iter().all(|policy| HoldPolicy::from_word(policy.as_str()) == Some(policy)));
    assert_eq!(HoldPolicy::from_word("fixed"), None, "a price per call is held exactly, whatever the policy");
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let figure = || proptest::option::of(1_u64..50_000);
    (figure(), figure(), 0_u64..20_000, 1_u64..5, any::<bool>()).prop_map(|(limit, cap, usual, choices, streams)| Wanted {
        limit,
        cap,
        usual,
        choices,
        streams,
    })
}

fn any_rules() -> impl Strategy<Value = HoldRules> {
    (0_usize..3, 0_u64..5_000, 16_u64..50_000, any::<bool>(), 0_u64..100).prop_map(
        |(policy, window, assumed_max, clamps, floor)| HoldRules {
            policy: HoldPolicy::ALL[policy],
            window,
            assumed_max,
            clamps,
            floor,
        },
    )
}

proptest! {
    #[test]
    fn a_clamped_limit_never_costs_more_than_is_held(
        wanted in any_wanted(), rules in any_rules(), held in 0_i64..10_000_000, prompt in 0_u64..5_000, ratio in 1_u32..5_000
    ) {
        let rate = rate(&format!("{}", f64::from(ratio) / 1_000.0), "3.7", "0.9");
        let (cost, held) = (cost(&rate, prompt), Quota::clamped(held));
        let cover = rules.cover(&wanted, true);
        let covered = cost.affordable(held, cover.most);
        prop_assert!(covered <= cover.most);
        prop_assert!(covered == 0 || cost.of(covered).unwrap() <= held);
        prop_assert!(covered == cover.most || cost.of(covered + 1).unwrap() > held, "not a token is held back");
        if let Some(limit) = rules.limit_to_send(&wanted, &cover, covered) {
            let all = u64::from(limit) * wanted.choices;
            prop_assert!(all == 0 || cost.of(all).unwrap() <= held);
            prop_assert!(wanted.limit.is_none_or(|own| u64::from(limit) < own), "it is never more than was asked for");
        }
    }

    #[test]
    fn what_is_held_for_is_never_more_than_may_come_and_the_least_never_more_than_the_most(
        wanted in any_wanted(), rules in any_rules(), is_low in any::<bool>()
    ) {
        let cover = rules.cover(&wanted, is_low);
        prop_assert!(cover.least <= cover.most);
        let bound = [wanted.limit, wanted.cap].into_iter().flatten().min();
        prop_assert!(bound.is_none_or(|bound| cover.most <= bound * wanted.choices));
        prop_assert!(wanted.streams || !matches!(cover.beyond, Beyond::Extended { .. }), "only a stream can be followed");
    }

    #[test]
    fn windows_only_grow_and_their_costs_add_up_to_that_of_the_last(
        wanted in any_wanted(), rules in any_rules(), bursts in proptest::collection::vec(0_u64..9_000, 1..20)
    ) {
        let rules = HoldRules { policy: HoldPolicy::Windowed, ..rules };
        let cover = rules.cover(&Wanted { streams: true, ..wanted }, false);
        let rate = rate("0.37", "2.9", "1.1");
        let cost = cost(&rate, 100);
        let Some(mut window) = Window::of(&cover, cover.most) else { return Ok(()) };
        let (mut held, mut output) = (cost.of(window.covered()).unwrap(), 0_u64);
        for burst in bursts {
            output += burst;
            while window.is_used_up(output) {
                let next = window.next(output);
                prop_assert!(next.covered() > window.covered());
                let more = cost.of(next.covered()).unwrap().saturating_minus(held);
                prop_assert!(more.get() >= 0);
                held = held.saturating_plus(more);
                window = next;
            }
            prop_assert_eq!(held, cost.of(window.covered()).unwrap());
        }
    }
}
