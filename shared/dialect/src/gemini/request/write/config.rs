//! `generationConfig`.

use serde_json::{Map, Value, json};

use super::thinking;
use crate::ir::{Block, Detail, Modality, OutputFormat, Request};
use crate::loss::{Field, Losses, Unsupported};
use crate::schema;
use crate::target::{Sampling, Target};

/// Texts that end an answer: so many are taken.
const MAX_STOPS: usize = 5;
/// Alternatives of a token: so many are given.
const MAX_LOGPROBS: u32 = 20;
/// Penalties go up to 2, and 2 is too much.
const MAX_PENALTY: f64 = 1.99;
/// OpenAI's voices, which Gemini does not have.
const FOREIGN_VOICES: [&str; 13] =
    ["alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"];

/// The config, and an instruction that stands in for a schema of the answer where the model takes none.
pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    has_tools: bool,
    losses: &mut Losses<'_>,
) -> Result<(Map<String, Value>, Option<String>), Unsupported> {
    let mut config = Map::new();
    write_sampling(request, target, &mut config, losses)?;
    write_limits(request, target, &mut config, losses)?;
    let instruction = write_output(request, target, has_tools, &mut config);
    write_modalities(request, &mut config, losses)?;
    if let Some(thinking) = thinking::write(&request.reasoning, target, losses)? {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    if let Some(level) = resolution(request) {
        config.insert("mediaResolution".to_owned(), json!(level));
    }
    Ok((config, instruction))
}

fn write_sampling(
    request: &Request,
    target: &Target<'_>,
    config: &mut Map<String, Value>,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    let (sampling, penalties) = (target.capabilities.sampling, target.capabilities.penalties);
    let takes_any = sampling != Sampling::None;
    let takes_top_p = takes_any && (sampling == Sampling::Full || request.temperature.is_none());
    let penalty = |value: Option<f64>| value.map(|value| json!(value.min(MAX_PENALTY)));
    for (name, value, is_taken, field) in [
        ("temperature", request.temperature.map(Value::from), takes_any, Field::Temperature),
        ("topP", request.top_p.map(Value::from), takes_top_p, Field::TopP),
        ("topK", request.top_k.map(Value::from), takes_any, Field::TopK),
        ("frequencyPenalty", penalty(request.frequency_penalty), penalties, Field::FrequencyPenalty),
        ("presencePenalty", penalty(request.presence_penalty), penalties, Field::PresencePenalty),
    ] {
        match value {
            Some(value) if is_taken => {
                config.insert(name.to_owned(), value);
            }
            Some(_) => losses.drop(field)?,
            None => {}
        }
    }
    if let Some(seed) = request.seed {
        #[expect(clippy::cast_possible_truncation, reason = "the same seed stays the same, and that is all it is for")]
        let seed = seed as i32;
        config.insert("seed".to_owned(), json!(seed));
    }
    Ok(())
}

fn write_limits(
    request: &Request,
    target: &Target<'_>,
    config: &mut Map<String, Value>,
    losses: &mut Losses<'_>,
) -> Result<(), Unsupported> {
    let limits = [target.output_limit, target.capabilities.max_output.filter(|_| request.max_output.is_some())];
    let wanted = request.max_output.into_iter().chain(limits.into_iter().flatten()).min();
    if let Some(tokens) = wanted {
        config.insert("maxOutputTokens".to_owned(), json!(tokens));
    }
    let stops: Vec<&String> = request.stop.iter().filter(|text| !text.is_empty()).collect();
    if stops.len() > MAX_STOPS && !target.options.cuts_stop {
        losses.reject_because(Field::Stop, "may hold at most 5 texts for the provider of this model")?;
    } else if stops.len() > MAX_STOPS {
        losses.drop(Field::Stop)?;
    }
    if !stops.is_empty() {
        config.insert("stopSequences".to_owned(), stops.into_iter().take(MAX_STOPS).map(|text| json!(text)).collect());
    }
    if let Some(choices) = request.choices.filter(|choices| *choices > 1) {
        config.insert("candidateCount".to_owned(), json!(choices));
    }
    if let Some(alternatives) = request.logprobs {
        config.insert("responseLogprobs".to_owned(), json!(true));
        if alternatives > 0 {
            config.insert("logprobs".to_owned(), json!(alternatives.min(MAX_LOGPROBS)));
        }
    }
    Ok(())
}

/// Writes the form of the answer, or gives the instruction that stands in for it.
fn write_output(request: &Request, target: &Target<'_>, has_tools: bool, config: &mut Map<String, Value>) -> Option<String> {
    let capabilities = target.capabilities;
    let is_native = capabilities.structured && (!has_tools || capabilities.tools_with_schema);
    match &request.output {
        OutputFormat::Text => return None,
        OutputFormat::JsonObject if !is_native => {
            return Some("Answer with one JSON object and nothing else.".to_owned());
        }
        OutputFormat::JsonSchema { schema, .. } if !is_native => {
            return Some(format!("Answer with JSON that matches this JSON Schema and nothing else:\n{schema}"));
        }
        OutputFormat::JsonObject => {}
        OutputFormat::JsonSchema { schema, .. } if capabilities.json_schema => {
            config.insert("responseJsonSchema".to_owned(), schema.clone());
        }
        OutputFormat::JsonSchema { schema, .. } => {
            config.insert("responseSchema".to_owned(), schema::for_gemini(schema));
        }
    }
    config.insert("responseMimeType".to_owned(), json!("application/json"));
    None
}

fn write_modalities(request: &Request, config: &mut Map<String, Value>, losses: &mut Losses<'_>) -> Result<(), Unsupported> {
    let words = request.modalities.iter().map(|modality| match modality {
        Modality::Text => "TEXT",
        Modality::Audio => "AUDIO",
        Modality::Image => "IMAGE",
    });
    if request.modalities.iter().any(|modality| *modality != Modality::Text) {
        config.insert("responseModalities".to_owned(), words.collect());
    }
    let Some(audio) = &request.audio else { return Ok(()) };
    if FOREIGN_VOICES.contains(&audio.voice.as_str()) {
        losses.drop(Field::Native("audio.voice"))?;
    } else {
        let voice = json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio.voice}}});
        config.insert("speechConfig".to_owned(), voice);
    }
    if audio.format.is_some() {
        losses.drop(Field::Native("audio.format"))?;
    }
    Ok(())
}

/// How closely images are looked at: as closely as any of them wants.
fn resolution(request: &Request) -> Option<&'static str> {
    let mut details = Vec::new();
    for block in request.turns.iter().flat_map(|turn| &turn.blocks) {
        let content = match block {
            Block::ToolResult { content, .. } => content.as_slice(),
            other => std::slice::from_ref(other),
        };
        details.extend(content.iter().filter_map(|block| match block {
            Block::Media { detail, .. } => *detail,
            _ => None,
        }));
    }
    if details.contains(&Detail::High) {
        return Some("MEDIA_RESOLUTION_HIGH");
    }
    let is_low = !details.is_empty() && details.iter().all(|detail| *detail == Detail::Low);
    is_low.then_some("MEDIA_RESOLUTION_LOW")
}
