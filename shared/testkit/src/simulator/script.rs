//! What a good answer says, and the usage it reports.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::models::Task;
use super::request::{Asked, MustCall, Tool, count_words};
use super::scenario::{Fault, Scenario, UsageReport};

/// Usage as an answer reports it. The details are parts of the totals, as OpenAI counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UsageFigures {
    /// All prompt tokens, cached and audio ones included.
    pub prompt_tokens: i64,
    /// All completion tokens, reasoning and audio ones included.
    pub completion_tokens: i64,
    /// The sum of both.
    pub total_tokens: i64,
    /// Prompt tokens read from the cache.
    pub cached_tokens: i64,
    /// Completion tokens nobody sees.
    pub reasoning_tokens: i64,
    /// Prompt tokens that are audio.
    pub audio_prompt_tokens: i64,
    /// Completion tokens that are audio.
    pub audio_completion_tokens: i64,
}

impl UsageFigures {
    /// The same prompt without any completion.
    pub(super) fn of_prompt(self) -> Self {
        Self { completion_tokens: 0, total_tokens: self.prompt_tokens, reasoning_tokens: 0, audio_completion_tokens: 0, ..self }
    }

    pub(super) fn to_json(self, task: Task) -> Value {
        match task {
            Task::Embedding => json!({"prompt_tokens": self.prompt_tokens, "total_tokens": self.total_tokens}),
            Task::Chat | Task::Completion => json!({
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.total_tokens,
                "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": self.audio_prompt_tokens},
                "completion_tokens_details": {
                    "reasoning_tokens": self.reasoning_tokens,
                    "audio_tokens": self.audio_completion_tokens,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            }),
        }
    }
}

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
}

/// What an answer says, cut into the pieces a stream sends.
#[derive(Debug)]
pub(super) enum Content {
    /// Generated words, made when they are needed: a long answer takes no memory.
    Words { words: u32, pieces: u32 },
    /// This text; a piece ends at each of these bytes.
    Text { text: String, ends: Vec<usize> },
    /// The same letters in every piece.
    Filler { pieces: u32, piece_bytes: u32 },
    /// Tool calls; each piece is the JSON of one element of `tool_calls`.
    Calls { calls: Vec<Call>, deltas: Vec<String> },
}

impl Content {
    pub(super) fn pieces(&self) -> u32 {
        match self {
            Self::Words { pieces, .. } | Self::Filler { pieces, .. } => *pieces,
            Self::Text { ends, .. } => as_u32(ends.len()),
            Self::Calls { deltas, .. } => as_u32(deltas.len()),
        }
    }

    pub(super) fn piece(&self, place: u32) -> Cow<'_, str> {
        match self {
            Self::Words { words, pieces } => {
                Cow::Owned(generate(share(*words, place, *pieces), share(*words, place + 1, *pieces)))
            }
            Self::Text { text, ends } => {
                let place = place as usize;
                let start = if place == 0 { 0 } else { ends[place - 1] };
                Cow::Borrowed(&text[start..ends[place]])
            }
            Self::Filler { piece_bytes, .. } => Cow::Owned("x".repeat(*piece_bytes as usize)),
            Self::Calls { deltas, .. } => Cow::Borrowed(&deltas[place as usize]),
        }
    }

    pub(super) fn whole(&self) -> String {
        match self {
            Self::Text { text, .. } => text.clone(),
            Self::Calls { .. } => String::new(),
            Self::Words { .. } | Self::Filler { .. } => (0..self.pieces()).map(|place| self.piece(place)).collect(),
        }
    }
}

/// A good answer to one request.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) content: Content,
    /// Tokens of the content that can be seen, per choice.
    pub(super) visible_tokens: i64,
    pub(super) finish: &'static str,
    /// The figures reported, if any are.
    pub(super) usage: Option<UsageFigures>,
}

impl Script {
    pub(super) fn write(asked: &Asked, scenario: &Scenario, seed: u64) -> Self {
        let (content, tokens) = match calls(asked, scenario, seed) {
            Some(content) => {
                let pieces = content.pieces();
                (content, pieces)
            }
            None => words(asked, scenario),
        };
        let finish = match &content {
            Content::Calls { .. } => "tool_calls",
            _ if asked.max_tokens.is_some_and(|most| tokens >= most) => "length",
            _ => "stop",
        };
        let visible_tokens = i64::from(tokens);
        Self { usage: figures(asked, scenario, visible_tokens), content, visible_tokens, finish }
    }
}

fn words(asked: &Asked, scenario: &Scenario) -> (Content, u32) {
    let most = asked.max_tokens.unwrap_or(u32::MAX);
    if scenario.fault == Fault::Empty {
        return (Content::Words { words: 0, pieces: 0 }, 0);
    }
    if let Some(piece_bytes) = scenario.chunk_bytes {
        let pieces = scenario.chunks.or(scenario.tokens).unwrap_or(20).min(most);
        return (Content::Filler { pieces, piece_bytes }, scenario.tokens.unwrap_or(pieces).min(most));
    }
    if scenario.text.is_none() && (scenario.tokens.is_some() || scenario.chunks.is_some()) {
        let tokens = scenario.tokens.or(scenario.chunks).unwrap_or(0).min(most);
        let pieces = scenario.chunks.unwrap_or(tokens).min(most);
        return (Content::Words { words: tokens.max(pieces), pieces }, tokens);
    }
    let text = scenario.text.clone().unwrap_or_else(|| introduction(asked));
    let ends: Vec<usize> = text
        .split_inclusive(' ')
        .scan(0, |end, word| {
            *end += word.len();
            Some(*end)
        })
        .take(most as usize)
        .collect();
    let text = text[..ends.last().copied().unwrap_or(0)].to_owned();
    let tokens = u32::try_from(count_words(&text)).unwrap_or(u32::MAX);
    (Content::Text { text, ends }, tokens)
}

/// What the simulator says of itself when nothing else is asked of it.
fn introduction(asked: &Asked) -> String {
    let heard: Vec<&str> = asked.last_text.split_whitespace().take(12).collect();
    format!(
        "Hello! You are talking to the Sluice provider simulator, not to a real model. I heard: \"{}\". \
         Everything else about this answer is real: the stream, the usage and the bill.",
        heard.join(" ")
    )
}

fn calls(asked: &Asked, scenario: &Scenario, seed: u64) -> Option<Content> {
    let wanted = scenario.tools.max(u32::from(asked.must_call != MustCall::No));
    if wanted == 0 || asked.tools.is_empty() || matches!(scenario.fault, Fault::Empty | Fault::Oversized) {
        return None;
    }
    let count = if asked.parallel_calls { wanted.min(128) } else { 1 };
    let named = |tool: &&Tool| matches!(&asked.must_call, MustCall::Tool(name) if *name == tool.name);
    let choose = |place: u32| match asked.tools.iter().find(named) {
        Some(tool) => tool,
        None => &asked.tools[place as usize % asked.tools.len()],
    };
    let calls: Vec<Call> = (0..count)
        .map(|place| {
            let tool = choose(place);
            let id = format!("call_{}", token(seed.wrapping_add(u64::from(place) + 1), 24));
            Call { id, name: tool.name.clone(), arguments: arguments(tool, place) }
        })
        .collect();
    let deltas = calls.iter().enumerate().flat_map(|(index, call)| deltas_of(index, call)).collect();
    Some(Content::Calls { calls, deltas })
}

/// A first piece with id and name, then the arguments in pieces of 8 bytes.
fn deltas_of(index: usize, call: &Call) -> Vec<String> {
    let opening = json!({"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}});
    let mut deltas = vec![opening.to_string()];
    let mut rest = call.arguments.as_str();
    while !rest.is_empty() {
        let end = (8..=rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        deltas.push(json!({"index": index, "function": {"arguments": piece}}).to_string());
        rest = after;
    }
    deltas
}

/// Arguments that fit the tool's schema on its first level.
fn arguments(tool: &Tool, place: u32) -> String {
    let Some(properties) = tool.parameters["properties"].as_object() else { return "{}".to_owned() };
    let sample = |schema: &Value| match (schema["enum"].get(0), schema["type"].as_str()) {
        (Some(first), _) => first.clone(),
        (None, Some("integer" | "number")) => json!(place + 1),
        (None, Some("boolean")) => json!(true),
        (None, Some("array")) => json!([]),
        (None, Some("object")) => json!({}),
        _ => json!(format!("sample {}", place + 1)),
    };
    let filled: Map<String, Value> = properties.iter().map(|(name, schema)| (name.clone(), sample(schema))).collect();
    Value::Object(filled).to_string()
}

fn figures(asked: &Asked, scenario: &Scenario, visible_tokens: i64) -> Option<UsageFigures> {
    const ABSURD: i64 = 9_000_000_000_000_000;
    let counted_prompt = asked.prompt_tokens.max(scenario.cached_tokens).max(scenario.audio_prompt_tokens);
    let hidden = scenario.reasoning_tokens.saturating_add(scenario.audio_completion_tokens);
    let counted_completion = visible_tokens.saturating_mul(i64::from(asked.choices)).saturating_add(hidden);
    let prompt = scenario.prompt_tokens.unwrap_or(counted_prompt);
    let completion = scenario.completion_tokens.unwrap_or(counted_completion);
    let (prompt, completion) = match scenario.usage {
        UsageReport::Missing => return None,
        UsageReport::True => (prompt, completion),
        UsageReport::Negative => (-prompt.abs().max(1), -completion.abs().max(1)),
        UsageReport::Absurd => (ABSURD, ABSURD),
    };
    Some(UsageFigures {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt.saturating_add(completion),
        cached_tokens: scenario.cached_tokens,
        reasoning_tokens: scenario.reasoning_tokens,
        audio_prompt_tokens: scenario.audio_prompt_tokens,
        audio_completion_tokens: scenario.audio_completion_tokens,
    })
}

const WORDS: [&str; 16] = [
    "water", "flows", "through", "the", "gate", "and", "every", "drop", "is", "counted", "before", "it", "reaches", "fields",
    "down", "below",
];

fn generate(from: u32, to: u32) -> String {
    let mut text = String::with_capacity((to.saturating_sub(from)) as usize * 7);
    for place in from..to {
        if place > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[place as usize % WORDS.len()]);
    }
    text
}

/// Where the `place`-th of `pieces` equal shares of `total` starts.
fn share(total: u32, place: u32, pieces: u32) -> u32 {
    u32::try_from(u64::from(total) * u64::from(place) / u64::from(pieces.max(1))).unwrap_or(u32::MAX)
}

fn as_u32(figure: usize) -> u32 {
    u32::try_from(figure).unwrap_or(u32::MAX)
}

/// Letters and digits that look random and depend on the seed alone.
pub(super) fn token(seed: u64, chars: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = seed;
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut bits = mix(&mut state);
        for _ in 0..10.min(chars - text.len()) {
            text.push(char::from(LETTERS[(bits % 62) as usize]));
            bits /= 62;
        }
    }
    text
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked { prompt_tokens: 7, choices: 1, parallel_calls: true, ..Asked::default() }
    }

    fn script(directive: &str, asked: &Asked) -> Script {
        Script::write(asked, &directive.parse().unwrap(), 1)
    }

    #[test]
    fn the_pieces_of_an_answer_make_up_the_whole() {
        for directive in
            ["", "tokens=100 chunks=50", "tokens=7 chunks=3", "tokens=3 chunks=7", "chunks=4 chunk_bytes=10", "tokens=0"]
        {
            let script = script(directive, &asked());
            let joined: String = (0..script.content.pieces()).map(|place| script.content.piece(place)).collect();
            assert_eq!(joined, script.content.whole(), "{directive}");
        }
    }

    #[test]
    fn usage_is_what_was_asked_and_said() {
        let usage =
            |directive: &str| script(directive, &asked()).usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens));
        assert_eq!(usage("tokens=100 chunks=50"), Some((7, 100)));
        assert_eq!(usage("chunks=50"), Some((7, 50)));
        assert_eq!(usage("tokens=10 reasoning_tokens=5 cached_tokens=20"), Some((20, 15)));
        assert_eq!(usage("prompt_tokens=1 completion_tokens=2"), Some((1, 2)));
        assert_eq!(usage("usage=missing"), None);
        assert!(usage("usage=negative").is_some_and(|(prompt, completion)| prompt < 0 && completion < 0));
        assert_eq!(usage("usage=absurd"), Some((9_000_000_000_000_000, 9_000_000_000_000_000)));
        assert_eq!(usage("empty"), Some((7, 0)));
    }

    #[test]
    fn no_answer_is_longer_than_the_request_allows() {
        for directive in ["", "tokens=100", "chunks=50 chunk_bytes=3"] {
            let script = script(directive, &Asked { max_tokens: Some(5), ..asked() });
            assert_eq!((script.visible_tokens, script.finish), (5, "length"), "{directive}");
            assert!(script.content.pieces() <= 5);
        }
    }

    #[test]
    fn tool_calls_fit_the_declared_schema() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
        let tools = vec![Tool { name: "weather".to_owned(), parameters }];
        let script = script("tools=2", &Asked { tools, ..asked() });
        let Content::Calls { calls, deltas } = &script.content else { panic!("no calls") };
        assert_eq!((calls.len(), script.finish), (2, "tool_calls"));
        assert_ne!(calls[0].id, calls[1].id);
        assert_eq!(serde_json::from_str::<Value>(&calls[1].arguments).unwrap(), json!({"city": "sample 2", "days": 2}));
        assert!(deltas.len() > 4, "arguments are streamed in pieces");
    }

    #[test]
    fn a_named_tool_is_called_even_when_no_scenario_asks() {
        let tool = |name: &str| Tool { name: name.to_owned(), parameters: Value::Null };
        let asked = Asked { tools: vec![tool("a"), tool("b")], must_call: MustCall::Tool("b".to_owned()), ..asked() };
        let Content::Calls { calls, .. } = script("", &asked).content else { panic!("no calls") };
        assert_eq!(calls[0].name, "b");
    }
}
