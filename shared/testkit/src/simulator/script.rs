//! What a good answer says, whatever the dialect it is said in.

use serde_json::Value;

use super::asked::{Asked, Form, Media, MustCall, Thinking, Tool};
use super::content::{Call, Content};
use super::ids::token;
use super::sample::{arguments, fitting};
use super::scenario::{Echo, Fault, FinishReport, Scenario};
use super::usage::UsageFigures;

/// Why an answer ends. Each dialect has its own words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// All is said.
    Stop,
    /// The caller's own stop sequence came up.
    StopSequence(String),
    /// The limit of tokens was reached.
    Length,
    /// Tools are to be called.
    Calls,
    /// See [`FinishReport::Filter`].
    Filter,
    /// See [`FinishReport::Blocked`].
    Blocked,
    /// See [`FinishReport::Pause`].
    Pause,
}

/// How the thoughts of an answer are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// For everybody to read.
    Plainly,
    /// Only their traces: a signature, an empty summary, tokens that are paid for.
    Not,
    /// In a form that nobody can read.
    Redacted,
}

/// What is thought before an answer.
#[derive(Debug, Clone)]
pub(super) struct Thought {
    /// Empty unless it is shown plainly.
    pub(super) content: Content,
    pub(super) shown: Shown,
    /// Tokens it took.
    pub(super) tokens: i64,
}

/// A part of an answer, in the order they are said.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Thought(&'a Thought),
    Text(&'a Content),
    Call(&'a Call),
}

/// A good answer to one request.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) thought: Option<Thought>,
    /// The text, or what is said before the calls. May be nothing.
    pub(super) content: Content,
    pub(super) calls: Vec<Call>,
    /// Tokens of text and calls, per choice.
    pub(super) visible_tokens: i64,
    /// Of them, those of the text.
    pub(super) text_tokens: i64,
    pub(super) finish: Finish,
    /// The figures reported, if any are.
    pub(super) usage: Option<UsageFigures>,
}

impl Script {
    pub(super) fn write(asked: &Asked, scenario: &Scenario, seed: u64) -> Self {
        let calls = calls(asked, scenario, seed);
        let thought = thought(asked, scenario);
        let (content, tokens, end) = if calls.is_empty() {
            words(asked, scenario)
        } else {
            let (preamble, tokens) = Content::of_text(scenario.preamble.as_deref().unwrap_or(""), u32::MAX);
            (preamble, tokens, Finish::Calls)
        };
        let finish = match scenario.finish {
            Some(FinishReport::Length) => Finish::Length,
            Some(FinishReport::Filter) => Finish::Filter,
            Some(FinishReport::Blocked) => Finish::Blocked,
            Some(FinishReport::Pause) => Finish::Pause,
            None => end,
        };
        if finish == Finish::Blocked {
            let usage = UsageFigures::of(asked, scenario, 0, 0);
            let (content, calls) = (Content::NOTHING, Vec::new());
            return Self { thought: None, content, calls, visible_tokens: 0, text_tokens: 0, finish, usage };
        }
        let text_tokens = i64::from(tokens);
        let visible_tokens = text_tokens + calls.iter().map(|call| i64::from(call.pieces()) + 1).sum::<i64>();
        let thought_tokens = thought.as_ref().map_or(0, |thought| thought.tokens);
        let usage = UsageFigures::of(asked, scenario, visible_tokens, thought_tokens);
        Self { thought, content, calls, visible_tokens, text_tokens, finish, usage }
    }

    /// What is said, part by part.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let thought = self.thought.as_ref().map(Part::Thought);
        let text = (self.content.pieces() > 0).then_some(Part::Text(&self.content));
        thought.into_iter().chain(text).chain(self.calls.iter().map(Part::Call))
    }

    /// Tokens that can be read, thoughts included, per choice.
    pub(super) fn sent_tokens(&self) -> i64 {
        self.visible_tokens + self.thought.as_ref().map_or(0, Thought::readable_tokens)
    }

    /// Of [`Script::sent_tokens`], those of the parts before this one and of so many pieces of it. The name of a call is sent with
    /// none of its pieces.
    pub(super) fn tokens_after(&self, part: usize, pieces: u32) -> i64 {
        let tokens_in = |part: Part<'_>, pieces: u32| match part {
            Part::Thought(thought) => portion(thought.readable_tokens(), pieces, thought.content.pieces()),
            Part::Text(content) => portion(self.text_tokens, pieces, content.pieces()),
            Part::Call(call) => portion(i64::from(call.pieces()) + 1, pieces.saturating_add(1), call.pieces() + 1),
        };
        let before: i64 = self.parts().take(part).map(|part| tokens_in(part, u32::MAX)).sum();
        before + self.parts().nth(part).map_or(0, |part| tokens_in(part, pieces))
    }
}

impl Thought {
    fn readable_tokens(&self) -> i64 {
        if self.shown == Shown::Plainly { self.tokens } else { 0 }
    }
}

/// The share of `done` of `all` pieces in so many tokens.
fn portion(tokens: i64, done: u32, all: u32) -> i64 {
    let (done, all) = (i64::from(done.min(all)), i64::from(all.max(1)));
    tokens.saturating_mul(done) / all
}

fn thought(asked: &Asked, scenario: &Scenario) -> Option<Thought> {
    let text = match (&scenario.thinking, asked.thinking) {
        (Some(text), _) => text.clone(),
        (None, Thinking::No) => return None,
        (None, Thinking::Hidden | Thinking::Shown) => format!("The user said: \"{}\". I know what to answer.", heard(asked)),
    };
    if matches!(scenario.fault, Fault::Empty | Fault::Oversized) {
        return None;
    }
    let shown = match asked.thinking {
        _ if scenario.redacted => Shown::Redacted,
        Thinking::Hidden => Shown::Not,
        Thinking::No | Thinking::Shown => Shown::Plainly,
    };
    let (content, tokens) = Content::of_text(&text, u32::MAX);
    let content = if shown == Shown::Plainly { content } else { Content::NOTHING };
    Some(Thought { content, shown, tokens: i64::from(tokens) })
}

fn words(asked: &Asked, scenario: &Scenario) -> (Content, u32, Finish) {
    let most = asked.max_tokens.unwrap_or(u32::MAX);
    let ended = |(content, tokens): (Content, u32)| {
        let finish = if tokens >= most { Finish::Length } else { Finish::Stop };
        (content, tokens, finish)
    };
    if scenario.fault == Fault::Empty {
        return ended((Content::NOTHING, 0));
    }
    if let Some(piece_bytes) = scenario.chunk_bytes {
        let pieces = scenario.chunks.or(scenario.tokens).unwrap_or(20).min(most);
        return ended((Content::Filler { pieces, piece_bytes }, scenario.tokens.unwrap_or(pieces).min(most)));
    }
    let says_how_long = scenario.tokens.is_some() || scenario.chunks.is_some();
    if scenario.text.is_none() && scenario.echo.is_none() && says_how_long {
        let tokens = scenario.tokens.or(scenario.chunks).unwrap_or(0).min(most);
        let pieces = scenario.chunks.unwrap_or(tokens).min(most);
        return ended((Content::Words { words: tokens.max(pieces), pieces }, tokens));
    }
    let text = match (&scenario.text, scenario.echo) {
        (Some(text), _) => text.clone(),
        (None, Some(echo)) => repeat(asked, echo),
        (None, None) => reply(asked),
    };
    let stops = asked.stops.iter().filter(|stop| !stop.is_empty());
    let first_stop = stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min();
    let Some((end, stop)) = first_stop else { return ended(Content::of_text(&text, most)) };
    let (content, tokens) = Content::of_text(&text[..end], most);
    if tokens >= most && content.whole().len() < end {
        return (content, tokens, Finish::Length);
    }
    (content, tokens, Finish::StopSequence(stop.clone()))
}

/// What the simulator says when no scenario says what.
fn reply(asked: &Asked) -> String {
    if !asked.results.is_empty() {
        let said = asked.results.iter().map(|result| match result.name.as_str() {
            "" => format!("The tool said: {}", result.said),
            name => format!("{name} said: {}", result.said),
        });
        return said.collect::<Vec<_>>().join("\n");
    }
    match &asked.form {
        Form::Schema(schema) => return fitting(schema, 0).to_string(),
        Form::Json => return serde_json::json!({"heard": heard(asked)}).to_string(),
        Form::Text => {}
    }
    if asked.media.is_empty() { introduction(asked) } else { format!("I received {}.", received(asked)) }
}

/// What the simulator says of itself when nothing else is asked of it.
fn introduction(asked: &Asked) -> String {
    format!(
        "Hello! You are talking to the Sluice provider simulator, not to a real model. I heard: \"{}\". \
         Everything else about this answer is real: the stream, the usage and the bill.",
        heard(asked)
    )
}

/// The first words of the last user text.
fn heard(asked: &Asked) -> String {
    asked.last_text.split_whitespace().take(12).collect::<Vec<_>>().join(" ")
}

fn received(asked: &Asked) -> String {
    let one = |media: &Media| match media {
        Media::Inline { mime, bytes } => format!("{mime} of {bytes} bytes"),
        Media::Elsewhere(place) => format!("something at {place}"),
    };
    asked.media.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn repeat(asked: &Asked, echo: Echo) -> String {
    match echo {
        Echo::System => asked.system.clone(),
        Echo::User => asked.last_text.clone(),
        Echo::Roles => asked.roles.join(" "),
        Echo::Tools => asked.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(" "),
        Echo::Media => received(asked),
        Echo::Thinking => format!("{:?}", asked.thinking).to_ascii_lowercase(),
    }
}

fn calls(asked: &Asked, scenario: &Scenario, seed: u64) -> Vec<Call> {
    let wanted = scenario.tools.max(unprompted_calls(asked, scenario));
    if wanted == 0 || asked.tools.is_empty() || matches!(scenario.fault, Fault::Empty | Fault::Oversized) {
        return Vec::new();
    }
    let count = if asked.parallel_calls { wanted.min(128) } else { 1 };
    let named = |tool: &&Tool| matches!(&asked.must_call, MustCall::Tool(name) if *name == tool.name);
    let choose = |place: u32| match asked.tools.iter().find(named) {
        Some(tool) => tool,
        None => &asked.tools[place as usize % asked.tools.len()],
    };
    let call = |place: u32| {
        let tool = choose(place);
        let id = token(seed.wrapping_add(u64::from(place) + 1), 24);
        let arguments = scenario.arguments.clone().unwrap_or_else(|| arguments(tool, place));
        Call::new(id, tool.name.clone(), arguments)
    };
    (0..count).map(call).collect()
}

/// The calls an answer has although its scenario names none: one where the caller insists, or where the user speaks of the weather;
/// two where it says "both".
fn unprompted_calls(asked: &Asked, scenario: &Scenario) -> u32 {
    let says_otherwise =
        scenario.text.is_some() || scenario.echo.is_some() || scenario.tokens.is_some() || scenario.chunks.is_some();
    let is_called = match asked.must_call {
        MustCall::Any | MustCall::Tool(_) => true,
        MustCall::Never => false,
        MustCall::No => !says_otherwise && asked.results.is_empty() && mentions(&asked.last_text, "weather"),
    };
    if !is_called {
        return 0;
    }
    if mentions(&asked.last_text, "both") { 2 } else { 1 }
}

fn mentions(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric()).any(|heard| heard.eq_ignore_ascii_case(word))
}

/// The arguments of a call as an object; where they are none, what Anthropic and Google would have made of it.
pub(super) fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).ok().filter(Value::is_object).unwrap_or_else(|| serde_json::json!({}))
}

#[cfg(test)]
mod tests;
