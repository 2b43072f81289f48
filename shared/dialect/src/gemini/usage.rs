//! `usageMetadata` (conversions.md §10.3). Cached tokens lie inside the prompt; thoughts lie beside the candidates.

use serde_json::{Map, Value, json};
use sluice_domain::Usage;

use super::spelling;

/// A report as disjoint counters. `None`: nothing was said, only zeros, or something that cannot be true.
pub(super) fn read(report: &Value) -> Option<Usage> {
    count_up(report).ok().filter(|usage| usage.is_plausible() && !usage.is_empty())
}

/// A total that nobody could honestly report.
struct Implausible;

fn count_up(report: &Value) -> Result<Usage, Implausible> {
    let prompt = total(report, "promptTokenCount")?;
    let tool_use = total(report, "toolUsePromptTokenCount")?.unwrap_or(0);
    let thoughts = total(report, "thoughtsTokenCount")?.unwrap_or(0);
    let candidates = total(report, "candidatesTokenCount")?;
    let all = total(report, "totalTokenCount")?;

    let whole_input = prompt.unwrap_or(0).saturating_add(tool_use);
    let whole_output = match (candidates, all) {
        // Some gateways count thoughts among the candidates.
        (Some(candidates), Some(all)) if candidates >= thoughts && whole_input.saturating_add(candidates) == all => candidates,
        (Some(candidates), _) => candidates.saturating_add(thoughts),
        (None, Some(all)) => all.saturating_sub(whole_input),
        (None, None) => thoughts,
    };
    let mut left = whole_input;
    let mut take = |part: u64| {
        let part = part.min(left);
        left -= part;
        part
    };
    let cached = |modality| modality_count(report, "cacheTokensDetails", modality);
    let given = |modality| {
        let tool_use = modality_count(report, "toolUsePromptTokensDetails", modality);
        modality_count(report, "promptTokensDetails", modality).saturating_add(tool_use).saturating_sub(cached(modality))
    };
    let cache_read = take(part(report, "cachedContentTokenCount"));
    let image_input = take(given("IMAGE"));
    let audio_input = take(given("AUDIO"));
    let audio_output = modality_count(report, "candidatesTokensDetails", "AUDIO").min(whole_output);
    let output = whole_output - audio_output;
    let reasoning = thoughts.min(output);
    Ok(Usage { input: left, output, reasoning, cache_read, image_input, audio_input, audio_output, ..Usage::default() })
}

/// The report of a usage.
pub(super) fn write(usage: &Usage) -> Value {
    let (input, output) = (usage.total_input(), usage.total_output());
    let mut report = Map::new();
    report.insert("promptTokenCount".to_owned(), json!(input));
    if usage.cache_read > 0 {
        report.insert("cachedContentTokenCount".to_owned(), json!(usage.cache_read));
    }
    report.insert("candidatesTokenCount".to_owned(), json!(output.saturating_sub(usage.reasoning)));
    if usage.reasoning > 0 {
        report.insert("thoughtsTokenCount".to_owned(), json!(usage.reasoning));
    }
    report.insert("totalTokenCount".to_owned(), json!(input.saturating_add(output)));
    let text_input = input.saturating_sub(usage.image_input).saturating_sub(usage.audio_input);
    let input_details = details(&[("TEXT", text_input), ("IMAGE", usage.image_input), ("AUDIO", usage.audio_input)]);
    report.insert("promptTokensDetails".to_owned(), input_details);
    if usage.audio_output > 0 {
        let text_output = usage.output.saturating_sub(usage.reasoning);
        let output_details = details(&[("TEXT", text_output), ("AUDIO", usage.audio_output)]);
        report.insert("candidatesTokensDetails".to_owned(), output_details);
    }
    Value::Object(report)
}

fn details(counts: &[(&str, u64)]) -> Value {
    let told = counts.iter().filter(|(_, count)| *count > 0);
    told.map(|(modality, count)| json!({"modality": modality, "tokenCount": count})).collect()
}

fn total(report: &Value, name: &str) -> Result<Option<u64>, Implausible> {
    spelling::get(report, name).map(|value| count(value).ok_or(Implausible)).transpose()
}

fn part(report: &Value, name: &str) -> u64 {
    spelling::get(report, name).and_then(count).unwrap_or(0)
}

fn count(value: &Value) -> Option<u64> {
    let count = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (count <= Usage::LIMIT).then_some(count)
}

fn modality_count(report: &Value, name: &str, modality: &str) -> u64 {
    let details = spelling::get(report, name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_modality = details.iter().filter(|detail| spelling::get(detail, "modality").and_then(Value::as_str) == Some(modality));
    of_modality.map(|detail| part(detail, "tokenCount")).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_disjoint_counters() {
        let usage = |input, cache_read, output, reasoning| Usage { input, cache_read, output, reasoning, ..Usage::default() };
        for (report, expected) in [
            // the example of conversions.md §10.3
            (
                json!({"promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 30,
                    "thoughtsTokenCount": 20, "totalTokenCount": 1050}),
                Some(usage(400, 600, 50, 20)),
            ),
            // thoughts counted among the candidates
            (
                json!({"promptTokenCount": 10, "candidatesTokenCount": 50, "thoughtsTokenCount": 20, "totalTokenCount": 60}),
                Some(usage(10, 0, 50, 20)),
            ),
            // no candidates yet
            (json!({"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 17}), Some(usage(10, 0, 7, 7))),
            (json!({"promptTokenCount": 10, "totalTokenCount": 10}), Some(usage(10, 0, 0, 0))),
            // prompts of tools are input
            (
                json!({"promptTokenCount": 10, "toolUsePromptTokenCount": 90, "candidatesTokenCount": 5, "totalTokenCount": 105}),
                Some(usage(100, 0, 5, 0)),
            ),
            (json!({"prompt_token_count": "10", "candidates_token_count": 1}), Some(usage(10, 0, 1, 0))),
            (json!({"promptTokenCount": 10, "cachedContentTokenCount": 99, "candidatesTokenCount": 1}), Some(usage(0, 10, 1, 0))),
            (json!({"promptTokenCount": 0, "totalTokenCount": 0}), None),
            (json!({"promptTokenCount": -1, "candidatesTokenCount": 5}), None),
            (json!({"promptTokenCount": u64::MAX, "candidatesTokenCount": u64::MAX}), None),
            (json!({"promptTokenCount": 1.5}), None),
            (json!({}), None),
            (json!("x"), None),
        ] {
            assert_eq!(read(&report), expected, "{report}");
        }
    }

    #[test]
    fn media_are_counted_apart_and_once() {
        let report = json!({
            "promptTokenCount": 1000, "cachedContentTokenCount": 300, "candidatesTokenCount": 40, "totalTokenCount": 1040,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 200}, {"modality": "IMAGE", "tokenCount": 500},
                {"modality": "AUDIO", "tokenCount": 300}],
            "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 300}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 25}, {"modality": "TEXT", "tokenCount": 15}],
        });
        let usage = Usage {
            input: 200,
            cache_read: 300,
            image_input: 200,
            audio_input: 300,
            output: 15,
            audio_output: 25,
            ..Usage::default()
        };
        assert_eq!(read(&report), Some(usage));
    }

    #[test]
    fn a_written_report_reads_back() {
        let usage = Usage { input: 300, cache_read: 600, cache_write_5m: 100, output: 50, reasoning: 20, ..Usage::default() };
        let report = write(&usage);
        assert_eq!(
            report,
            json!({"promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 30, "thoughtsTokenCount": 20,
                "totalTokenCount": 1050, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}]})
        );
        assert_eq!(read(&report), Some(Usage { input: 400, cache_write_5m: 0, ..usage }));
        let media =
            Usage { input: 5, image_input: 7, audio_input: 9, output: 4, reasoning: 1, audio_output: 8, ..Usage::default() };
        assert_eq!(read(&write(&media)), Some(media));
    }
}
