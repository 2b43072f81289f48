use proptest::prelude::*;

use super::*;

fn read(json: &str) -> Reported {
    normalise(Some(json.as_bytes()), None)
}

fn counted(json: &str) -> Usage {
    match read(json) {
        Reported::Counted(usage) => usage,
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn reports_of_known_providers_become_disjoint_counters() {
    let rows = [
        (
            r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":5,"audio_tokens":2},"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":3,"accepted_prediction_tokens":0}}"#,
            Usage { input: 12, cache_read: 5, audio_input: 2, output: 7, audio_output: 3, reasoning: 4, ..Usage::default() },
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":1,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#,
            Usage { input: 36, cache_read: 64, output: 1, ..Usage::default() },
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":4}"#,
            Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() },
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3},"cost":0.1}"#,
            Usage { input: 5, cache_read: 2, cache_write_5m: 3, output: 1, ..Usage::default() },
        ),
        (
            r#"{"input_tokens":50,"output_tokens":20,"input_tokens_details":{"image_tokens":40,"text_tokens":10}}"#,
            Usage { input: 10, image_input: 40, output: 20, ..Usage::default() },
        ),
        // New API, which fills in one name of each thing and sends them all.
        (
            r#"{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":1024,"text_tokens":0,"audio_tokens":0,"image_tokens":0},"completion_tokens_details":{"text_tokens":0,"audio_tokens":0,"reasoning_tokens":12},"input_tokens":0,"output_tokens":0,"input_tokens_details":null,"claude_cache_creation_5_m_tokens":0,"claude_cache_creation_1_h_tokens":0}"#,
            Usage { input: 93, cache_read: 1024, output: 46, reasoning: 12, ..Usage::default() },
        ),
        (
            r#"{"prompt_tokens":0,"completion_tokens":0,"input_tokens":30,"output_tokens":20,"prompt_tokens_details":null,"input_tokens_details":{"cached_tokens":10},"output_tokens_details":{"reasoning_tokens":5}}"#,
            Usage { input: 20, cache_read: 10, output: 20, reasoning: 5, ..Usage::default() },
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cache_write_tokens":0,"cached_creation_tokens":3}}"#,
            Usage { input: 7, cache_write_5m: 3, output: 1, ..Usage::default() },
        ),
        (r#"{"prompt_tokens":8,"total_tokens":8}"#, Usage { input: 8, ..Usage::default() }),
        (r#"{"total_tokens":8}"#, Usage { input: 8, ..Usage::default() }),
        (r#"{"prompt_tokens":8,"total_tokens":11}"#, Usage { input: 8, output: 3, ..Usage::default() }),
        (
            r#"{"prompt_tokens":8.0,"completion_tokens":null,"prompt_tokens_details":null}"#,
            Usage { input: 8, ..Usage::default() },
        ),
    ];
    for (json, usage) in rows {
        assert_eq!(counted(json), usage, "{json}");
    }
}

#[test]
fn cached_tokens_of_a_choice_are_used_when_the_answer_names_none() {
    let usage = normalise(Some(br#"{"prompt_tokens":10,"completion_tokens":1}"#), Some(br#"{"cached_tokens":4}"#));
    assert_eq!(usage, Reported::Counted(Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() }));
    let usage = normalise(None, Some(br#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":4}"#));
    assert_eq!(usage, Reported::Counted(Usage { input: 6, cache_read: 4, output: 1, ..Usage::default() }));
}

#[test]
fn no_report_and_zeros_are_missing() {
    assert_eq!(normalise(None, None), Reported::Missing);
    assert_eq!(read("{}"), Reported::Missing);
    assert_eq!(read(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#), Reported::Missing);
}

#[test]
fn a_key_that_occurs_twice_counts_with_its_last_value() {
    let doubled = r#"{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":1},"prompt_tokens_details":{"cached_tokens":3,"cached_tokens":4}}"#;
    assert_eq!(counted(doubled), Usage { input: 5, cache_read: 4, output: 2, ..Usage::default() });
}

#[test]
fn details_that_cannot_be_read_do_not_cost_the_report() {
    for details in ["7", "[7]", r#""many""#, r#"{"cached_tokens":{}}"#, r#"{"cached_tokens":-4,"audio_tokens":"2"}"#] {
        let report = format!(
            r#"{{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":[],"prompt_tokens_details":{details},"completion_tokens_details":{details}}}"#
        );
        assert_eq!(counted(&report), Usage { input: 9, output: 2, ..Usage::default() }, "{details}");
    }
    let second =
        r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":7,"input_tokens_details":{"cached_tokens":4}}"#;
    assert_eq!(counted(second), Usage { input: 5, cache_read: 4, output: 2, ..Usage::default() });
}

#[test]
fn numbers_that_cannot_be_true_are_named() {
    let rows = [
        (r#"{"prompt_tokens":-1}"#, "prompt_tokens", Problem::Negative),
        (r#"{"prompt_tokens":-1.5}"#, "prompt_tokens", Problem::Negative),
        (r#"{"prompt_tokens":1.5}"#, "prompt_tokens", Problem::Fraction),
        (r#"{"completion_tokens":1e300}"#, "completion_tokens", Problem::TooLarge),
        (r#"{"completion_tokens":18446744073709551615}"#, "completion_tokens", Problem::TooLarge),
        (r#"{"completion_tokens":1099511627777}"#, "completion_tokens", Problem::TooLarge),
        (r#"{"completion_tokens":1099511627777.0}"#, "completion_tokens", Problem::TooLarge),
        (r#"{"total_tokens":99999999999999999999999}"#, "total_tokens", Problem::TooLarge),
        (r#"{"prompt_tokens":"12"}"#, "prompt_tokens", Problem::NotANumber),
        (r#"{"prompt_tokens":[1]}"#, "prompt_tokens", Problem::NotANumber),
        ("[1,2]", "usage", Problem::NotAnObject),
        ("\"many\"", "usage", Problem::NotAnObject),
    ];
    for (json, field, problem) in rows {
        assert_eq!(read(json), Reported::Implausible(Fault { field, problem }), "{json}");
    }
}

proptest! {
    #[test]
    fn classes_partition_the_total(
        prompt in 0..=Usage::LIMIT, completion in 0..=Usage::LIMIT, cached in 0..=Usage::LIMIT, written in 0_u64..1000,
        image in 0_u64..1000, audio in 0_u64..1000, spoken in 0_u64..1000, reasoning in 0..=Usage::LIMIT,
    ) {
        prop_assume!(prompt + completion > 0);
        let usage = counted(&format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written},"image_tokens":{image},"audio_tokens":{audio}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":{spoken}}}}}"#
        ));
        prop_assert_eq!(usage.total_input(), prompt);
        prop_assert_eq!(usage.total_output(), completion);
        prop_assert!(usage.reasoning <= usage.output);
        prop_assert!(usage.is_plausible());
    }

    #[test]
    fn any_report_is_read_without_panic(report in ".{0,60}", number in any::<f64>(), integer in any::<i64>()) {
        let _ = read(&report);
        let _ = read(&format!(r#"{{"prompt_tokens":{number:e},"completion_tokens":{integer}}}"#));
    }
}
