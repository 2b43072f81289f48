//! What one dialect can ask for and another cannot: which fields are sent, left out or refused, and the rule that says so.

use serde_json::{Value, json};
use sluice_dialect::exchange::Unwritable;

use super::pair::{WITNESSES, Witness, pass};

/// What becomes of a field on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The bytes pass.
    Passes,
    /// It stands at this place of the upstream's body.
    Sent(&'static str),
    /// Left out and named so in `x-sluice-dropped-fields`.
    Dropped(&'static str),
    /// Refused with status 400, and named so, before anybody is asked.
    Refused(&'static str),
    /// Neither: nobody hears that it is gone.
    Lost,
}

use Fate::{Dropped, Passes, Refused, Sent};

/// A field of a caller's dialect: how it is asked for, what conversions.md says becomes of it at Chat, Responses, Messages and Gemini.
pub(super) struct Field {
    /// The caller, as an index of the witnesses.
    pub(super) caller: usize,
    pub(super) name: &'static str,
    /// What is added to a plain question.
    asks: Value,
    /// Where conversions.md has the rule.
    pub(super) rule: &'static str,
    pub(super) fates: [Fate; 4],
}

/// Models that take every setting of sampling and every medium their dialect has.
const MODELS: [&str; 4] = ["theirs", "theirs", "claude-sonnet-4-5", "gemini-2.5-flash"];

impl Field {
    /// What really becomes of it at an upstream.
    pub(super) fn fate(&self, upstream: usize) -> Fate {
        let (caller, target) = (&WITNESSES[self.caller], &WITNESSES[upstream]);
        let mut body = plain(caller);
        merge(&mut body, &self.asks);
        match pass(caller, target, MODELS[upstream], &body, false) {
            Err(Unwritable::Unsupported(refused)) => Refused(refused.path),
            Err(other) => panic!("{}: {other}", self.name),
            Ok(sent) if !sent.dropped.is_empty() => Dropped(sent.dropped[0]),
            Ok(sent) if !sent.passage.is_written() => {
                // only the model's name differs
                let mut same = body;
                if self.caller != 3 {
                    same["model"] = MODELS[upstream].into();
                }
                if serde_json::from_slice::<Value>(&sent.body).unwrap() == same { Passes } else { Fate::Lost }
            }
            Ok(sent) => {
                let body: Value = serde_json::from_slice(&sent.body).unwrap();
                match self.fates[upstream] {
                    Sent(place) if body.pointer(place).is_some_and(|value| !value.is_null()) => Sent(place),
                    _ => Fate::Lost,
                }
            }
        }
    }
}

fn plain(caller: &Witness) -> Value {
    let turn = super::said::Turn::user(vec![super::said::Said::Text("Go.".to_owned())]);
    let mut body = (caller.ask)(&super::said::Asks { turns: vec![turn], max_output: Some(900), ..Default::default() });
    body.as_object_mut().unwrap().remove("stream");
    body
}

fn merge(body: &mut Value, more: &Value) {
    match (body, more) {
        (Value::Object(body), Value::Object(more)) => {
            for (name, value) in more {
                merge(body.entry(name).or_insert(Value::Null), value);
            }
        }
        (body, more) => *body = more.clone(),
    }
}

fn field(caller: usize, name: &'static str, asks: Value, rule: &'static str, fates: [Fate; 4]) -> Field {
    Field { caller, name, asks, rule, fates }
}

/// A user's message with one part beside a text.
#[expect(clippy::needless_pass_by_value, reason = "tables read better with values than with references")]
fn shown(part: Value) -> Value {
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Go."}, part]}]})
}

const TOOL: &str = r#"{"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}"#;

fn tool() -> Value {
    serde_json::from_str(TOOL).unwrap()
}

pub(super) fn fields() -> Vec<Field> {
    [chat(), responses(), messages(), gemini()].into_iter().flatten().collect()
}

#[rustfmt::skip]
fn chat() -> Vec<Field> {
    let chat = |name, asks, rule, [responses, messages, gemini]: [Fate; 3]| field(0, name, asks, rule, [Passes, responses, messages, gemini]);
    vec![
        chat("temperature", json!({"temperature": 0.5}), "§2", [Sent("/temperature"), Sent("/temperature"), Sent("/generationConfig/temperature")]),
        chat("top_p", json!({"top_p": 0.5}), "§2", [Sent("/top_p"), Sent("/top_p"), Sent("/generationConfig/topP")]),
        chat("stop", json!({"stop": ["###"]}), "§2, §9.2", [Refused("stop"), Sent("/stop_sequences/0"), Sent("/generationConfig/stopSequences/0")]),
        chat("n", json!({"n": 2}), "§2, §9.4", [Refused("n"), Refused("n"), Sent("/generationConfig/candidateCount")]),
        chat("seed", json!({"seed": 7}), "§2", [Dropped("seed"), Dropped("seed"), Sent("/generationConfig/seed")]),
        chat("frequency_penalty", json!({"frequency_penalty": 0.5}), "§2, §9.6", [Dropped("frequency_penalty"), Dropped("frequency_penalty"), Sent("/generationConfig/frequencyPenalty")]),
        chat("presence_penalty", json!({"presence_penalty": 0.5}), "§2, §9.6", [Dropped("presence_penalty"), Dropped("presence_penalty"), Sent("/generationConfig/presencePenalty")]),
        chat("logit_bias", json!({"logit_bias": {"42": 5}}), "§2, §9.6", [Dropped("logit_bias"); 3]),
        chat("logprobs", json!({"logprobs": true, "top_logprobs": 3}), "§2, §9.7", [Sent("/top_logprobs"), Refused("logprobs"), Sent("/generationConfig/responseLogprobs")]),
        chat("parallel_tool_calls", json!({"parallel_tool_calls": false, "tools": [{"type": "function", "function": tool()}]}), "§2, §4.2", [Sent("/parallel_tool_calls"), Sent("/tool_choice/disable_parallel_tool_use"), Dropped("parallel_tool_calls")]),
        chat("verbosity", json!({"verbosity": "low"}), "§2", [Sent("/text/verbosity"), Dropped("verbosity"), Dropped("verbosity")]),
        chat("user", json!({"user": "u-1"}), "§2", [Sent("/user"), Sent("/metadata/user_id"), Dropped("user")]),
        chat("metadata", json!({"metadata": {"a": "b"}}), "§2", [Sent("/metadata"), Dropped("metadata"), Dropped("metadata")]),
        chat("store", json!({"store": true}), "§2, §7.1", [Dropped("store"), Dropped("store"), Dropped("store")]),
        chat("service_tier", json!({"service_tier": "flex"}), "§2", [Sent("/service_tier"), Dropped("service_tier"), Sent("/serviceTier")]),
        chat("prompt_cache_key", json!({"prompt_cache_key": "k"}), "§2, §15", [Sent("/prompt_cache_key"), Dropped("prompt_cache_key"), Dropped("prompt_cache_key")]),
        chat("prediction", json!({"prediction": {"type": "content", "content": "x"}}), "§2", [Dropped("prediction"); 3]),
        chat("audio as answer", json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}), "§2", [Refused("modalities"), Refused("modalities"), Dropped("audio.format")]),
        chat("web_search_options", json!({"web_search_options": {}}), "§4.6", [Sent("/tools/0"), Sent("/tools/0"), Sent("/tools/0/googleSearch")]),
        chat("image by address", shown(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})), "§6", [Sent("/input/0/content/1/image_url"), Sent("/messages/0/content/1/source/url"), Refused("image_url")]),
        chat("input_audio", shown(json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})), "§3", [Sent("/input/0/content/1"), Refused("input_audio"), Sent("/contents/0/parts/1/inlineData")]),
        chat("video_url", shown(json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}})), "§3", [Refused("video_url"), Refused("video_url"), Sent("/contents/0/parts/1/inlineData")]),
        chat("file_id", shown(json!({"type": "file", "file": {"file_id": "file-1"}})), "§6", [Sent("/input/0/content/1/file_id"), Refused("file_id"), Refused("file_id")]),
    ]
}

#[rustfmt::skip]
fn responses() -> Vec<Field> {
    let responses = |name, asks, rule, [chat, messages, gemini]: [Fate; 3]| field(1, name, asks, rule, [chat, Passes, messages, gemini]);
    vec![
        responses("temperature", json!({"temperature": 0.5}), "§2", [Sent("/temperature"), Sent("/temperature"), Sent("/generationConfig/temperature")]),
        responses("top_logprobs", json!({"top_logprobs": 3}), "§2, §9.7", [Sent("/top_logprobs"), Refused("top_logprobs"), Sent("/generationConfig/responseLogprobs")]),
        responses("parallel_tool_calls", json!({"parallel_tool_calls": false, "tools": [{"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}]}), "§2, §4.2", [Sent("/parallel_tool_calls"), Sent("/tool_choice/disable_parallel_tool_use"), Dropped("parallel_tool_calls")]),
        responses("text.verbosity", json!({"text": {"verbosity": "low"}}), "§2", [Sent("/verbosity"), Dropped("text.verbosity"), Dropped("text.verbosity")]),
        responses("user", json!({"user": "u-1"}), "§2", [Sent("/user"), Sent("/metadata/user_id"), Dropped("user")]),
        responses("metadata", json!({"metadata": {"a": "b"}}), "§2", [Sent("/metadata"), Dropped("metadata"), Dropped("metadata")]),
        responses("store", json!({"store": false}), "§2", [Sent("/store"), Dropped("store"), Dropped("store")]),
        responses("service_tier", json!({"service_tier": "priority"}), "§2", [Sent("/service_tier"), Sent("/service_tier"), Sent("/serviceTier")]),
        responses("prompt_cache_key", json!({"prompt_cache_key": "k"}), "§2, §15", [Sent("/prompt_cache_key"), Dropped("prompt_cache_key"), Dropped("prompt_cache_key")]),
        responses("previous_response_id", json!({"previous_response_id": "resp_1"}), "§2", [Refused("previous_response_id"); 3]),
        responses("conversation", json!({"conversation": "conv_1"}), "§2", [Refused("conversation"); 3]),
        responses("prompt", json!({"prompt": {"id": "pmpt_1"}}), "§2", [Refused("prompt"); 3]),
        responses("background", json!({"background": true}), "§2", [Refused("background"); 3]),
        responses("truncation", json!({"truncation": "auto"}), "§2", [Dropped("truncation"); 3]),
        responses("max_tool_calls", json!({"max_tool_calls": 3}), "§2", [Dropped("max_tool_calls"); 3]),
        responses("web_search", json!({"tools": [{"type": "web_search"}]}), "§4.6", [Sent("/web_search_options"), Sent("/tools/0"), Sent("/tools/0/googleSearch")]),
        responses("file_search", json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}), "§4.6", [Refused("tools"); 3]),
        responses("code_interpreter", json!({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}), "§4.6", [Refused("tools"); 3]),
        responses("item_reference", json!({"input": [{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "msg_1"}]}), "§3", [Refused("item_reference"); 3]),
    ]
}

#[rustfmt::skip]
fn messages() -> Vec<Field> {
    let messages = |name, asks, rule, [chat, responses, gemini]: [Fate; 3]| field(2, name, asks, rule, [chat, responses, Passes, gemini]);
    vec![
        messages("temperature", json!({"temperature": 0.5}), "§2", [Sent("/temperature"), Sent("/temperature"), Sent("/generationConfig/temperature")]),
        messages("top_k", json!({"top_k": 40}), "§2", [Dropped("top_k"), Dropped("top_k"), Sent("/generationConfig/topK")]),
        messages("stop_sequences", json!({"stop_sequences": ["###"]}), "§2, §9.2", [Sent("/stop"), Refused("stop_sequences"), Sent("/generationConfig/stopSequences/0")]),
        messages("metadata.user_id", json!({"metadata": {"user_id": "u-1"}}), "§2", [Sent("/user"), Sent("/user"), Dropped("metadata.user_id")]),
        messages("service_tier", json!({"service_tier": "standard_only"}), "§2", [Sent("/service_tier"), Sent("/service_tier"), Sent("/serviceTier")]),
        messages("cache_control", json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}}]}]}), "§15", [Dropped("cache_control"); 3]),
        messages("disable_parallel_tool_use", json!({"tools": [{"name": "now", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}), "§2, §4.2", [Sent("/parallel_tool_calls"), Sent("/parallel_tool_calls"), Dropped("tool_choice.disable_parallel_tool_use")]),
        messages("web_search", json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "§4.6", [Sent("/web_search_options"), Sent("/tools/0"), Sent("/tools/0/googleSearch")]),
        messages("code execution", json!({"tools": [{"type": "code_execution_20250522", "name": "code_execution"}]}), "§4.6", [Refused("tools"); 3]),
        messages("image by address", shown(json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})), "§6", [Sent("/messages/0/content/1/image_url/url"), Sent("/input/0/content/1/image_url"), Refused("image")]),
        messages("file of the provider's", shown(json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}})), "§6", [Refused("file_id"); 3]),
        messages("container", json!({"container": "box"}), "§2", [Refused("container"); 3]),
        messages("mcp_servers", json!({"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]}), "§2", [Refused("mcp_servers"); 3]),
        messages("context_management", json!({"context_management": {"edits": []}}), "§2", [Dropped("context_management"); 3]),
    ]
}

#[rustfmt::skip]
fn gemini() -> Vec<Field> {
    let gemini = |name, asks, rule, [chat, responses, messages]: [Fate; 3]| field(3, name, asks, rule, [chat, responses, messages, Passes]);
    let config = |more: Value| json!({"generationConfig": more});
    vec![
        gemini("temperature", config(json!({"temperature": 0.5})), "§2", [Sent("/temperature"); 3]),
        gemini("topP", config(json!({"topP": 0.5})), "§2", [Sent("/top_p"); 3]),
        gemini("topK", config(json!({"topK": 40})), "§2", [Dropped("generationConfig.topK"), Dropped("generationConfig.topK"), Sent("/top_k")]),
        gemini("stopSequences", config(json!({"stopSequences": ["###"]})), "§2, §9.2", [Sent("/stop"), Refused("generationConfig.stopSequences"), Sent("/stop_sequences/0")]),
        gemini("candidateCount", config(json!({"candidateCount": 2})), "§2, §9.4", [Sent("/n"), Refused("generationConfig.candidateCount"), Refused("generationConfig.candidateCount")]),
        gemini("seed", config(json!({"seed": 7})), "§2", [Sent("/seed"), Dropped("generationConfig.seed"), Dropped("generationConfig.seed")]),
        gemini("frequencyPenalty", config(json!({"frequencyPenalty": 0.5})), "§2, §9.6", [Sent("/frequency_penalty"), Dropped("generationConfig.frequencyPenalty"), Dropped("generationConfig.frequencyPenalty")]),
        gemini("presencePenalty", config(json!({"presencePenalty": 0.5})), "§2, §9.6", [Sent("/presence_penalty"), Dropped("generationConfig.presencePenalty"), Dropped("generationConfig.presencePenalty")]),
        gemini("responseLogprobs", config(json!({"responseLogprobs": true, "logprobs": 3})), "§2, §9.7", [Sent("/logprobs"), Sent("/top_logprobs"), Refused("generationConfig.responseLogprobs")]),
        gemini("safetySettings", json!({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}), "§2", [Dropped("safetySettings"); 3]),
        gemini("cachedContent", json!({"cachedContent": "cachedContents/x"}), "§2", [Refused("cachedContent"); 3]),
        gemini("labels", json!({"labels": {"a": "b"}}), "§2", [Sent("/metadata"), Sent("/metadata"), Dropped("labels")]),
        gemini("audio as answer", config(json!({"responseModalities": ["AUDIO"]})), "§2", [Sent("/modalities"), Refused("generationConfig.responseModalities"), Refused("generationConfig.responseModalities")]),
        gemini("googleSearch", json!({"tools": [{"googleSearch": {}}]}), "§4.6", [Sent("/web_search_options"), Sent("/tools/0"), Sent("/tools/0")]),
        gemini("codeExecution", json!({"tools": [{"codeExecution": {}}]}), "§4.6", [Refused("tools"); 3]),
        gemini("video", json!({"contents": [{"role": "user", "parts": [{"text": "Go."}, {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}]}]}), "§3", [Refused("inlineData"); 3]),
        gemini("audio", json!({"contents": [{"role": "user", "parts": [{"text": "Go."}, {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]}]}), "§3", [Sent("/messages/0/content/1/input_audio"), Sent("/input/0/content/1"), Refused("inlineData")]),
        gemini("file of the provider's", json!({"contents": [{"role": "user", "parts": [{"text": "Go."}, {"fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}}]}]}), "§6", [Refused("fileData.fileUri"); 3]),
    ]
}
