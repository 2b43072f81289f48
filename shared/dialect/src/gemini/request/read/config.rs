//! `generationConfig`.

use super::super::super::spelling::{count, field, number, whole, word};
use super::note_native;
use crate::ir::{AudioOut, Detail, Effort, Modality, NativeField, OutputFormat, Reasoning, ReasoningMode, Request, Show};
use crate::node::{BodyError, Node, Rule};
use crate::schema;

const PREFIX: &str = "generationConfig.";
const NATIVE: [(&str, bool); 6] = [
    ("generationConfig.imageConfig", false),
    ("generationConfig.audioTimestamp", false),
    ("generationConfig.enableEnhancedCivicAnswers", false),
    ("generationConfig.enableAffectiveDialog", false),
    ("generationConfig.routingConfig", false),
    ("generationConfig.modelSelectionConfig", false),
];

/// Fills the request; gives how closely media are to be looked at that say nothing themselves.
pub(super) fn read(config: &Node<'_>, request: &mut Request) -> Result<Option<Detail>, BodyError> {
    config.object()?;
    read_sampling(config, request)?;
    if let Some(stop) = field(config, "stopSequences") {
        request.stop = stop.items()?.map(|text| text.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    }
    if let Some(thinking) = field(config, "thinkingConfig") {
        request.reasoning = read_thinking(&thinking)?;
    }
    read_output(config, request)?;
    if let Some(modalities) = field(config, "responseModalities") {
        for modality in modalities.items()? {
            request.modalities.extend(word(&modality, &MODALITIES, "TEXT, IMAGE, AUDIO")?);
        }
    }
    if let Some(speech) = field(config, "speechConfig") {
        read_speech(&speech, request)?;
    }
    note_native(config, PREFIX, &NATIVE, request);
    field(config, "mediaResolution").map_or(Ok(None), |level| read_detail(&level))
}

/// How closely a medium is looked at, from `mediaResolution`.
pub(super) fn read_detail(level: &Node<'_>) -> Result<Option<Detail>, BodyError> {
    word(level, &DETAILS, "MEDIA_RESOLUTION_LOW, MEDIA_RESOLUTION_MEDIUM, MEDIA_RESOLUTION_HIGH")
}

const DETAILS: [(&str, Option<Detail>); 5] = [
    ("MEDIA_RESOLUTION_UNSPECIFIED", None),
    ("MEDIA_RESOLUTION_LOW", Some(Detail::Low)),
    ("MEDIA_RESOLUTION_MEDIUM", Some(Detail::Auto)),
    ("MEDIA_RESOLUTION_HIGH", Some(Detail::High)),
    ("MEDIA_RESOLUTION_ULTRA_HIGH", Some(Detail::High)),
];

const MODALITIES: [(&str, Option<Modality>); 4] = [
    ("MODALITY_UNSPECIFIED", None),
    ("TEXT", Some(Modality::Text)),
    ("IMAGE", Some(Modality::Image)),
    ("AUDIO", Some(Modality::Audio)),
];

fn read_sampling(config: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let real = |name, least, most| field(config, name).map(|node| number(&node, least, most)).transpose();
    request.temperature = real("temperature", 0.0, 2.0)?;
    request.top_p = real("topP", 0.0, 1.0)?;
    request.frequency_penalty = real("frequencyPenalty", -2.0, 2.0)?;
    request.presence_penalty = real("presencePenalty", -2.0, 2.0)?;
    let top_k = real("topK", 0.0, f64::from(i32::MAX))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds were looked at")]
    let rounded = top_k.map(|top_k| top_k.round() as u32);
    request.top_k = rounded;
    request.max_output = field(config, "maxOutputTokens").map(|node| count(&node, 1)).transpose()?;
    request.choices = field(config, "candidateCount").map(|node| count(&node, 1)).transpose()?;
    request.seed = field(config, "seed").map(|node| whole(&node, i32::MIN, i32::MAX)).transpose()?.map(i64::from);
    if let Some(wanted) = field(config, "responseLogprobs")
        && wanted.boolean()?
    {
        let alternatives = field(config, "logprobs").map(|node| whole(&node, 0, 20)).transpose()?;
        request.logprobs = Some(alternatives.unwrap_or(0).unsigned_abs());
    }
    Ok(())
}

fn read_thinking(thinking: &Node<'_>) -> Result<Reasoning, BodyError> {
    thinking.object()?;
    let mut reasoning = Reasoning::default();
    if let Some(shown) = field(thinking, "includeThoughts") {
        reasoning.show = Some(if shown.boolean()? { Show::Full } else { Show::Nothing });
    }
    if let Some(level) = field(thinking, "thinkingLevel") {
        reasoning.effort = word(&level, &LEVELS, "MINIMAL, LOW, MEDIUM, HIGH")?;
    }
    let budget = field(thinking, "thinkingBudget").map(|node| whole(&node, -1, i32::MAX)).transpose()?;
    reasoning.budget = budget.filter(|budget| *budget > 0).map(i32::unsigned_abs);
    let is_wanted = budget.is_some() || reasoning.effort.is_some() || reasoning.show == Some(Show::Full);
    reasoning.mode = match budget {
        Some(0) => ReasoningMode::Off,
        _ if is_wanted => ReasoningMode::On,
        _ => ReasoningMode::Unset,
    };
    Ok(reasoning)
}

const LEVELS: [(&str, Option<Effort>); 6] = [
    ("THINKING_LEVEL_UNSPECIFIED", None),
    ("MINIMAL", Some(Effort::Minimal)),
    ("LOW", Some(Effort::Low)),
    ("MEDIUM", Some(Effort::Medium)),
    ("HIGH", Some(Effort::High)),
    ("XHIGH", Some(Effort::Xhigh)),
];

/// What `responseMimeType` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mime {
    Text,
    Json,
    Enum,
}

const MIMES: [(&str, Mime); 3] = [("text/plain", Mime::Text), ("application/json", Mime::Json), ("text/x.enum", Mime::Enum)];

fn read_output(config: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    let mime = field(config, "responseMimeType");
    let mime = mime.map(|node| word(&node, &MIMES, "text/plain, application/json, text/x.enum")).transpose()?;
    if mime == Some(Mime::Enum) {
        request.native.push(NativeField { path: "generationConfig.responseMimeType", is_essential: true });
        return Ok(());
    }
    let schema = match (field(config, "responseJsonSchema"), field(config, "responseSchema")) {
        (Some(_), Some(second)) => return Err(second.broken(Rule::Other(" cannot stand beside `responseJsonSchema`"))),
        (Some(schema), None) => Some(schema.object().map(|_| schema.value().clone())?),
        (None, Some(schema)) => Some(schema.object().map(|_| schema::from_gemini(schema.value()))?),
        (None, None) => None,
    };
    request.output = match schema {
        Some(schema) => OutputFormat::JsonSchema { name: None, description: None, schema, strict: None },
        None if mime == Some(Mime::Json) => OutputFormat::JsonObject,
        None => OutputFormat::Text,
    };
    Ok(())
}

fn read_speech(speech: &Node<'_>, request: &mut Request) -> Result<(), BodyError> {
    speech.object()?;
    if field(speech, "multiSpeakerVoiceConfig").is_some() {
        let path = "generationConfig.speechConfig.multiSpeakerVoiceConfig";
        request.native.push(NativeField { path, is_essential: true });
    }
    let Some(voice) = field(speech, "voiceConfig") else { return Ok(()) };
    let Some(built_in) = field(&voice, "prebuiltVoiceConfig") else { return Ok(()) };
    if let Some(name) = field(&built_in, "voiceName") {
        request.audio = Some(AudioOut { voice: name.text()?.to_owned(), format: None });
    }
    Ok(())
}
