//! Checks the order of a stream against everything that [`Event`] promises: for tests of the readers that make streams.

use std::collections::BTreeMap;

use super::{BlockStart, Event};

/// Whether a stream keeps to the rules of [`Event`]. A stream that fails before it began may be its [`Event::Error`] alone. A signature
/// counts as a piece: reasoning may come as nothing else.
///
/// # Errors
/// With the first event that breaks a rule, by its number, and the rule.
pub fn check(events: &[Event]) -> Result<(), String> {
    if let [Event::Error(_)] = events {
        return Ok(());
    }
    let mut state = State::default();
    for (number, event) in events.iter().enumerate() {
        state.step(event).map_err(|rule| format!("event {number}: {rule}: {event:?}"))?;
    }
    if state.has_ended { Ok(()) } else { Err("neither End nor Error closes the stream".to_owned()) }
}

#[derive(Debug, Default)]
struct State {
    has_started: bool,
    has_ended: bool,
    choices: BTreeMap<u32, Choice>,
    /// A block that was just announced and must go on at once.
    announced: Option<(u32, u32)>,
}

#[derive(Debug, Default)]
struct Choice {
    next_block: u32,
    open: BTreeMap<u32, Open>,
    has_finished: bool,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    is_signed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
    Call,
    /// A call with all its arguments.
    WholeCall,
    /// Nothing more comes of it.
    Whole,
}

impl Kind {
    const fn of(start: &BlockStart) -> Self {
        match start {
            BlockStart::Text => Self::Text,
            BlockStart::Thinking => Self::Thinking,
            BlockStart::Refusal => Self::Refusal,
            BlockStart::ToolCall { whole: None, .. } => Self::Call,
            BlockStart::ToolCall { whole: Some(_), .. } => Self::WholeCall,
            BlockStart::Redacted(_) | BlockStart::Media(_) => Self::Whole,
        }
    }

    const fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::WholeCall)
    }
}

type Checked = Result<(), &'static str>;

fn require(holds: bool, rule: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(rule) }
}

impl State {
    fn step(&mut self, event: &Event) -> Checked {
        require(!self.has_ended, "something follows the end")?;
        require(self.has_started != matches!(event, Event::Start { .. }), "Start is not first, or not once")?;
        self.goes_on(event)?;
        match event {
            Event::Start { .. } => self.has_started = true,
            Event::BlockStart { choice, block, start } => self.begin(*choice, *block, start)?,
            Event::Text { choice, block, text, .. } => self.piece((*choice, *block), &[Kind::Text], text)?,
            Event::Thinking { choice, block, text } => self.piece((*choice, *block), &[Kind::Thinking], text)?,
            Event::Refusal { choice, block, text } => self.piece((*choice, *block), &[Kind::Refusal], text)?,
            Event::Arguments { choice, block, json } => self.piece((*choice, *block), &[Kind::Call], json)?,
            Event::Citation { choice, block, .. } => {
                let open = self.open((*choice, *block))?;
                require(open.kind == Kind::Text, "only texts have citations")?;
            }
            Event::Signed { choice, block, .. } => {
                let open = self.open((*choice, *block))?;
                require(open.kind != Kind::Whole, "nothing may come of a block that is whole")?;
                require(!std::mem::replace(&mut open.is_signed, true), "the block is signed twice")?;
            }
            Event::BlockStop { choice, block } => {
                self.open((*choice, *block))?;
                self.choices.entry(*choice).or_default().open.remove(block);
            }
            Event::Finish { choice, .. } => {
                let choice = self.choices.entry(*choice).or_default();
                require(choice.open.is_empty(), "a choice ends before its blocks")?;
                require(!std::mem::replace(&mut choice.has_finished, true), "a choice ends twice")?;
            }
            Event::Usage(_) => {}
            Event::Error(_) => self.has_ended = true,
            Event::End => {
                self.has_ended = true;
                require(self.choices.values().all(|choice| choice.has_finished), "a choice has no Finish")?;
            }
        }
        Ok(())
    }

    /// A block that was announced goes on with its first piece.
    fn goes_on(&mut self, event: &Event) -> Checked {
        let Some(announced) = self.announced.take() else { return Ok(()) };
        let next = match event {
            Event::Text { choice, block, .. }
            | Event::Thinking { choice, block, .. }
            | Event::Refusal { choice, block, .. }
            | Event::Signed { choice, block, .. } => Some((*choice, *block)),
            _ => None,
        };
        require(next == Some(announced), "a block was announced before its first piece")
    }

    fn begin(&mut self, choice: u32, block: u32, start: &BlockStart) -> Checked {
        let kind = Kind::of(start);
        if let BlockStart::ToolCall { id, .. } = start {
            require(!id.is_empty(), "a call has no id")?;
        }
        if matches!(kind, Kind::Text | Kind::Thinking | Kind::Refusal) {
            self.announced = Some((choice, block));
        }
        let choice = self.choices.entry(choice).or_default();
        require(!choice.has_finished, "a block begins in a choice that has ended")?;
        require(choice.next_block == block, "blocks are not numbered in the order they begin")?;
        let may_stand_beside = kind.is_call() && choice.open.values().all(|open| open.kind.is_call());
        require(choice.open.is_empty() || may_stand_beside, "a block other than a call is open beside another one")?;
        choice.next_block += 1;
        choice.open.insert(block, Open { kind, is_signed: false });
        Ok(())
    }

    fn piece(&mut self, place: (u32, u32), kinds: &[Kind], piece: &str) -> Checked {
        let open = self.open(place)?;
        require(kinds.contains(&open.kind), "a piece of another kind than its block")?;
        require(!piece.is_empty(), "a piece is empty")
    }

    fn open(&mut self, (choice, block): (u32, u32)) -> Result<&mut Open, &'static str> {
        let open = self.choices.get_mut(&choice).and_then(|choice| choice.open.get_mut(&block));
        open.ok_or("the block is not open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::End;

    use crate::ir::{Arguments, Block, Family, Finish, Signature, StreamError};

    const CHOICE: u32 = 0;

    fn start() -> Event {
        Event::Start { id: String::new(), model: String::new(), created: None }
    }

    fn begin(block: u32, start: BlockStart) -> Event {
        Event::BlockStart { choice: CHOICE, block, start }
    }

    fn text(block: u32, text: &str) -> Event {
        Event::Text { choice: CHOICE, block, text: text.to_owned(), logprobs: Vec::new() }
    }

    fn thinking(block: u32) -> Event {
        Event::Thinking { choice: CHOICE, block, text: "t".to_owned() }
    }

    fn call(id: &str, whole: Option<Arguments>) -> BlockStart {
        BlockStart::ToolCall { id: id.to_owned(), name: "f".to_owned(), whole }
    }

    fn arguments(block: u32) -> Event {
        Event::Arguments { choice: CHOICE, block, json: "{}".to_owned() }
    }

    fn signed(block: u32) -> Event {
        let signature = Signature { family: Family::Google, account: None, item: None, value: "s".to_owned() };
        Event::Signed { choice: CHOICE, block, signature }
    }

    fn stop(block: u32) -> Event {
        Event::BlockStop { choice: CHOICE, block }
    }

    fn finish() -> Event {
        Event::Finish { choice: CHOICE, finish: Finish::Stop, stop_sequence: None }
    }

    fn error() -> Event {
        Event::Error(StreamError { raw: None, reason: "broken" })
    }

    #[test]
    fn streams_in_order_are_taken() {
        let media = BlockStart::Media(Box::new(Block::text("an image")));
        let usage = Event::Usage(sluice_domain::Usage::default());
        for events in [
            vec![error()],
            vec![start(), error()],
            vec![start(), finish(), End],
            vec![
                start(),
                usage.clone(),
                begin(0, BlockStart::Text),
                text(0, "a"),
                usage.clone(),
                text(0, " "),
                stop(0),
                finish(),
                usage,
                End,
            ],
            vec![start(), begin(0, BlockStart::Thinking), signed(0), stop(0), begin(1, media), stop(1), finish(), End],
            vec![
                start(),
                begin(0, call("a", None)),
                begin(1, call("b", None)),
                arguments(1),
                arguments(0),
                signed(0),
                stop(1),
                begin(2, call("c", Some(Arguments::Raw(String::new())))),
                stop(0),
                stop(2),
                finish(),
                End,
            ],
            vec![start(), begin(0, BlockStart::Text), text(0, "a"), error()],
        ] {
            assert_eq!(check(&events), Ok(()), "{events:?}");
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let whole = || call("a", Some(Arguments::Object(serde_json::Map::new())));
        for (events, rule) in [
            (vec![], "neither End nor Error"),
            (vec![start()], "neither End nor Error"),
            (vec![End], "Start is not first"),
            (vec![start(), start()], "Start is not first, or not once"),
            (vec![start(), End, error()], "event 2: something follows the end"),
            (vec![start(), begin(1, call("a", None))], "blocks are not numbered"),
            (vec![start(), begin(0, call("", None))], "a call has no id"),
            (vec![start(), begin(0, BlockStart::Text), stop(0)], "announced before its first piece"),
            (vec![start(), begin(0, BlockStart::Text), text(0, "")], "a piece is empty"),
            (vec![start(), begin(0, BlockStart::Text), signed(0), thinking(0)], "of another kind"),
            (vec![start(), begin(0, BlockStart::Text), text(0, "a"), begin(1, BlockStart::Thinking)], "open beside another"),
            (vec![start(), begin(0, BlockStart::Text), text(0, "a"), begin(1, call("a", None))], "open beside another"),
            (vec![start(), begin(0, call("a", None)), begin(1, BlockStart::Text)], "open beside another"),
            (vec![start(), begin(0, whole()), arguments(0)], "of another kind"),
            (vec![start(), text(0, "a")], "the block is not open"),
            (vec![start(), begin(0, call("a", None)), stop(0), arguments(0)], "the block is not open"),
            (vec![start(), begin(0, call("a", None)), signed(0), signed(0)], "signed twice"),
            (vec![start(), begin(0, call("a", None)), finish()], "a choice ends before its blocks"),
            (vec![start(), finish(), finish()], "a choice ends twice"),
            (vec![start(), finish(), begin(0, whole())], "in a choice that has ended"),
            (vec![start(), begin(0, whole()), stop(0), End], "a choice has no Finish"),
        ] {
            let said = check(&events).unwrap_err();
            assert!(said.contains(rule), "{said}");
        }
    }
}
