//! The `generationConfig` and what follows from it.

use serde_json::Value;

use super::fields::{Message, invalid, wrong};
use super::schema;
use crate::simulator::asked::{Asked, Form, Thinking};
use crate::simulator::refusal::Refusal;

const CONFIG: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseFormat",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "audioTranscriptionConfig",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
];
const LEVELS: [&str; 5] = ["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"];

/// Reads the configuration into what is asked.
pub(super) fn read(model: &str, body: &Message<'_>, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(config) = body.message("generationConfig", CONFIG)? else { return Ok(()) };
    check_figures(&config)?;
    asked.choices = match config.integer("candidateCount")? {
        None => 1,
        Some(count @ 1..=8) => u32::try_from(count).unwrap_or(1),
        Some(_) => return Err(wrong(&config.path("candidateCount"), "candidate_count must be in the range [1, 8].")),
    };
    asked.max_tokens = match config.integer("maxOutputTokens")? {
        None => None,
        Some(most) if most >= 1 => u32::try_from(most).ok(),
        Some(_) => return Err(wrong(&config.path("maxOutputTokens"), "max_output_tokens must be positive.")),
    };
    asked.stops = stops(&config)?;
    asked.thinking = thinking(model, &config)?;
    asked.form = form(model, &config, !asked.tools.is_empty())?;
    Ok(())
}

fn check_figures(config: &Message<'_>) -> Result<(), Refusal> {
    for (name, least, most) in
        [("temperature", 0.0, 2.0), ("topP", 0.0, 1.0), ("presencePenalty", -2.0, 2.0), ("frequencyPenalty", -2.0, 2.0)]
    {
        if config.number(name)?.is_some_and(|figure| !(least..=most).contains(&figure)) {
            let at = config.path(name);
            let short = super::fields::snake(name);
            return Err(wrong(&at, &format!("{short} must be in the range [{least:.1}, {most:.1}].")));
        }
    }
    config.number("topK")?;
    config.integer("seed")?;
    config.boolean("responseLogprobs")?;
    for (place, kind) in config.get("responseModalities").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("{}[{place}]", config.path("responseModalities"));
        super::fields::enum_word(
            kind,
            &at,
            "GenerationConfig.Modality",
            &["MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"],
        )?;
    }
    let resolutions =
        ["MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"];
    config.word("mediaResolution", "GenerationConfig.MediaResolution", &resolutions)?;
    Ok(())
}

fn stops(config: &Message<'_>) -> Result<Vec<String>, Refusal> {
    let at = config.path("stopSequences");
    let list = match config.get("stopSequences") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(invalid(&at, "TYPE_STRING", other)),
    };
    if list.len() > 5 {
        return Err(wrong(&at, "the maximum number of stop sequences is 5."));
    }
    let read = |(place, stop): (usize, &Value)| {
        stop.as_str().map(str::to_owned).ok_or_else(|| invalid(&format!("{at}[{place}]"), "TYPE_STRING", stop))
    };
    list.iter().enumerate().map(read).collect()
}

fn thinking(model: &str, config: &Message<'_>) -> Result<Thinking, Refusal> {
    let Some(thinking) = config.message("thinkingConfig", &["includeThoughts", "thinkingBudget", "thinkingLevel"])? else {
        return Ok(Thinking::No);
    };
    let is_shown = thinking.boolean("includeThoughts")?;
    let budget = thinking.integer("thinkingBudget")?;
    let level = thinking.word("thinkingLevel", "ThinkingConfig.ThinkingLevel", &LEVELS)?;
    if budget.is_some() && level.is_some() {
        return Err(Refusal::bad("You can only set only one of thinking budget and thinking level."));
    }
    if level.is_some() && model.contains("gemini-2") {
        return Err(Refusal::bad("Thinking level is not supported for this model."));
    }
    if let Some((least, most)) = budgets(model)
        && let Some(budget) = budget.filter(|budget| *budget != -1 && !(least..=most).contains(budget))
    {
        if budget == 0 {
            return Err(Refusal::bad("Budget 0 is invalid. This model only works in thinking mode."));
        }
        let text = format!("The thinking budget {budget} is invalid. Please choose a value between {least} and {most}.");
        return Err(Refusal::bad(text));
    }
    Ok(match (budget, is_shown, level) {
        (Some(0), ..) | (None, false, None) => Thinking::No,
        (_, true, _) => Thinking::Shown,
        _ => Thinking::Hidden,
    })
}

/// The least and the greatest thinking budget of a model, where they are known.
fn budgets(model: &str) -> Option<(i64, i64)> {
    if model.contains("gemini-2.5-pro") {
        Some((128, 32_768))
    } else if model.contains("gemini-2.5-flash") {
        Some((0, 24_576))
    } else {
        None
    }
}

fn form(model: &str, config: &Message<'_>, has_tools: bool) -> Result<Form, Refusal> {
    let mime = config.text("responseMimeType")?.unwrap_or("");
    let at = config.path("responseMimeType");
    if !["", "text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum"].contains(&mime) {
        let text =
            "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`.";
        return Err(wrong(&at, text));
    }
    if mime == "application/json" && has_tools && model.contains("gemini-2") {
        return Err(Refusal::bad("Function calling with a response mime type: 'application/json' is unsupported"));
    }
    let strict = config.get("responseSchema");
    let free = config.structure("responseJsonSchema")?.or(config.structure("_responseJsonSchema")?);
    if strict.is_some() && free.is_some() {
        return Err(wrong(&config.at, "only one of response_schema and response_json_schema may be set."));
    }
    if let Some(schema) = strict {
        let at = config.path("responseSchema");
        schema::check(schema, at.clone(), &at)?;
    }
    match strict.or(free) {
        Some(_) if ["", "text/plain"].contains(&mime) => {
            Err(wrong(&at, "a response schema is only supported with a compatible response_mime_type."))
        }
        Some(schema) => Ok(Form::Schema(schema.clone())),
        None if mime == "application/json" => Ok(Form::Json),
        None => Ok(Form::Text),
    }
}
