//! What a request asks for, whatever the dialect it was asked in.

use serde_json::{Map, Value};

/// A tool the caller declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    /// The JSON Schema of its arguments.
    pub(super) parameters: Value,
}

/// One text or token list to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) text: String,
    pub(super) tokens: i64,
}

/// Whether the caller insists on a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum MustCall {
    /// The model may decide.
    #[default]
    No,
    /// No tool may be called.
    Never,
    /// Of any tool.
    Any,
    /// Of the tool with this name.
    Tool(String),
}

/// How the caller wants its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    /// As JSON numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// Whether the caller wants the model to think first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Thinking {
    /// No.
    #[default]
    No,
    /// Yes, without showing the thoughts.
    Hidden,
    /// Yes, and the caller wants to read them.
    Shown,
}

/// What happens to state the caller cannot read: encrypted reasoning, thought signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// The answer says nothing of it.
    #[default]
    Kept,
    /// It comes with the answer.
    Sealed,
}

/// The form the caller wants the answer to have.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Form {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON that fits this schema.
    Schema(Value),
}

/// An image, a document or a sound of the last user turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Media {
    /// It came with the request.
    Inline {
        /// The media type the caller claims.
        mime: String,
        /// Bytes, after decoding.
        bytes: usize,
    },
    /// The request only says where it is.
    Elsewhere(String),
}

/// What a tool said to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolResult {
    /// The tool's name, where the request says it or the call is known.
    pub(super) name: String,
    /// Text, or JSON as text.
    pub(super) said: String,
}

/// One turn of a conversation, as far as an answer depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// `system`, `user`, `assistant` or `tool`.
    pub(super) role: &'static str,
    /// The texts, joined by spaces.
    pub(super) text: String,
    pub(super) media: Vec<Media>,
    /// Results of tool calls.
    pub(super) results: Vec<ToolResult>,
}

/// A checked request.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// Words in everything the request says, one prompt token each; at least 1.
    pub(super) prompt_tokens: i64,
    pub(super) max_tokens: Option<u32>,
    pub(super) choices: u32,
    pub(super) tools: Vec<Tool>,
    pub(super) must_call: MustCall,
    pub(super) parallel_calls: bool,
    pub(super) inputs: Vec<Input>,
    pub(super) encoding: Encoding,
    pub(super) dimensions: Option<u32>,
    /// How many documents are wanted, of those that are reranked.
    pub(super) top: Option<u32>,
    /// Whether they come back with their text.
    pub(super) returns_documents: bool,
    /// The text of the last user message with any, prompt, input or query.
    pub(super) last_text: String,
    /// Everything said by the system, joined by spaces.
    pub(super) system: String,
    /// The roles of the turns, system ones left out.
    pub(super) roles: Vec<&'static str>,
    /// Of the last turn, if the user's.
    pub(super) media: Vec<Media>,
    /// Of the last turn, if it answers tool calls.
    pub(super) results: Vec<ToolResult>,
    pub(super) thinking: Thinking,
    pub(super) form: Form,
    /// Texts at which the answer ends.
    pub(super) stops: Vec<String>,
    pub(super) state: State,
    /// Fields of the request that the answer repeats.
    pub(super) repeated: Map<String, Value>,
    /// What the request said, item by item, for who asks for it later.
    pub(super) said: Vec<Value>,
}

impl Asked {
    /// Takes in a conversation: its words, its last user text, and what the last turn holds.
    pub(super) fn hear(&mut self, turns: Vec<Turn>) {
        let mut words = 0;
        let mut system = Vec::new();
        for turn in &turns {
            words += count_words(&turn.text) + turn.results.iter().map(|result| count_words(&result.said)).sum::<i64>();
            match turn.role {
                "system" => system.push(turn.text.as_str()),
                role => {
                    self.roles.push(role);
                    if role == "user" && (!turn.text.is_empty() || self.last_text.is_empty()) {
                        self.last_text.clone_from(&turn.text);
                    }
                }
            }
        }
        self.system = system.join(" ");
        self.prompt_tokens = self.prompt_tokens.saturating_add(words).max(1);
        let Some(last) = turns.into_iter().rev().find(|turn| turn.role != "system") else { return };
        if last.role != "assistant" {
            self.media = last.media;
            self.results = last.results;
        }
    }
}

/// Words, which is what the simulator calls tokens.
pub(super) fn count_words(text: &str) -> i64 {
    i64::try_from(text.split_whitespace().count()).unwrap_or(i64::MAX)
}

/// The directive in a text: what stands between `[sim:` and `]`.
pub(super) fn directive_in(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("[sim:")?;
    rest.split_once(']').map(|(directive, _)| directive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_directive_of_a_text_is_found() {
        assert_eq!(directive_in("hello [sim: status=500] there"), Some(" status=500"));
        assert_eq!(directive_in("[sim: a] [sim: b]"), Some(" b"));
        assert_eq!(directive_in("[sim: never closed"), None);
        assert_eq!(directive_in("hello"), None);
    }

    #[test]
    fn a_turn_of_tool_results_leaves_the_last_user_text_in_place() {
        let turn = |role, text: &str| Turn { role, text: text.to_owned(), ..Turn::default() };
        let result = ToolResult { name: "clock".to_owned(), said: "it is noon".to_owned() };
        let mut asked = Asked::default();
        asked.hear(vec![
            turn("system", "be brief"),
            turn("user", "what time is it"),
            turn("assistant", ""),
            Turn { results: vec![result.clone()], ..turn("user", "") },
        ]);
        assert_eq!((asked.last_text.as_str(), asked.system.as_str()), ("what time is it", "be brief"));
        assert_eq!((asked.results, asked.prompt_tokens), (vec![result], 2 + 4 + 3));
        assert_eq!(asked.roles, ["user", "assistant", "user"]);
    }
}
