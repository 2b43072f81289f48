//! Texts that end an answer, looked for here where the upstream has no such field (conversions.md §9).
//!
//! What might be the beginning of such a text is held back until it is known not to be, so that it is found however the stream was cut.

use std::collections::BTreeMap;

use crate::ir::{Block, BlockStart, Choice, Event, Finish, Response, TokenLogprob};

/// Ends a stream at the first of some texts.
#[derive(Debug, Clone)]
pub(super) struct Cutter {
    stops: Vec<String>,
    tails: BTreeMap<u32, Tail>,
    has_ended: bool,
}

/// The end of what came of one choice.
#[derive(Debug, Clone, Default)]
struct Tail {
    /// A block of text that is not announced yet.
    unannounced: Option<u32>,
    /// The block of text that is open.
    open: Option<u32>,
    /// Text that may be the beginning of a stop.
    held: String,
    logprobs: Vec<TokenLogprob>,
}

impl Cutter {
    /// `None` where there is nothing to look for.
    pub(super) fn of(stops: &[String]) -> Option<Self> {
        let stops: Vec<String> = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        (!stops.is_empty()).then(|| Self { stops, tails: BTreeMap::new(), has_ended: false })
    }

    /// What of some events still belongs to the answer.
    pub(super) fn cut(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            if !self.has_ended {
                self.take(event, &mut out);
            }
        }
        out
    }

    fn take(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::BlockStart { choice, block, start: BlockStart::Text } => {
                let tail = self.tails.entry(choice).or_default();
                *tail = Tail { unannounced: Some(block), open: Some(block), ..Tail::default() };
            }
            Event::Text { choice, block, text, logprobs } => self.hear(choice, block, &text, logprobs, out),
            Event::BlockStop { choice, block } => {
                self.flush(choice, block, out);
                out.push(Event::BlockStop { choice, block });
            }
            Event::Citation { choice, block, .. } | Event::Signed { choice, block, .. } => {
                self.announce(choice, block, out);
                out.push(event);
            }
            event => out.push(event),
        }
    }

    fn hear(&mut self, choice: u32, block: u32, text: &str, logprobs: Vec<TokenLogprob>, out: &mut Vec<Event>) {
        let tail = self.tails.entry(choice).or_default();
        tail.held.push_str(text);
        tail.logprobs.extend(logprobs);
        if let Some((at, stop)) = first_stop(&tail.held, &self.stops) {
            let stop_sequence = Some(stop.to_owned());
            tail.held.truncate(at);
            tail.logprobs = within(std::mem::take(&mut tail.logprobs), at);
            self.flush(choice, block, out);
            if self.tails.get(&choice).is_some_and(|tail| tail.unannounced.is_none()) {
                out.push(Event::BlockStop { choice, block });
            }
            out.push(Event::Finish { choice, finish: Finish::StopSequence, stop_sequence });
            // a dialect that has no stops answers once
            out.push(Event::End);
            self.has_ended = true;
            return;
        }
        let kept = longest_beginning(&tail.held, &self.stops);
        let settled = tail.held.len() - kept;
        if settled == 0 {
            return;
        }
        let rest = tail.held.split_off(settled);
        let settled = std::mem::replace(&mut tail.held, rest);
        let logprobs = std::mem::take(&mut tail.logprobs);
        self.announce(choice, block, out);
        out.push(Event::Text { choice, block, text: settled, logprobs });
    }

    /// What was held back is part of the answer.
    fn flush(&mut self, choice: u32, block: u32, out: &mut Vec<Event>) {
        let Some(tail) = self.tails.get_mut(&choice).filter(|tail| tail.open == Some(block)) else { return };
        let (text, logprobs) = (std::mem::take(&mut tail.held), std::mem::take(&mut tail.logprobs));
        if !text.is_empty() {
            self.announce(choice, block, out);
            out.push(Event::Text { choice, block, text, logprobs });
        }
    }

    fn announce(&mut self, choice: u32, block: u32, out: &mut Vec<Event>) {
        if let Some(tail) = self.tails.get_mut(&choice).filter(|tail| tail.unannounced == Some(block)) {
            tail.unannounced = None;
            out.push(Event::BlockStart { choice, block, start: BlockStart::Text });
        }
    }
}

/// Ends a whole answer at the first of some texts.
pub(super) fn cut_whole(response: &mut Response, stops: &[String]) {
    for choice in &mut response.choices {
        cut_choice(choice, stops);
    }
}

fn cut_choice(choice: &mut Choice, stops: &[String]) {
    let mut before = 0;
    for place in 0..choice.blocks.len() {
        let Some(Block::Text { text, .. }) = choice.blocks.get_mut(place) else { continue };
        if let Some((at, stop)) = first_stop(text, stops) {
            choice.stop_sequence = Some(stop.to_owned());
            choice.finish = Some(Finish::StopSequence);
            text.truncate(at);
            choice.blocks.truncate(if at == 0 { place } else { place + 1 });
            choice.logprobs = within(std::mem::take(&mut choice.logprobs), before + at);
            return;
        }
        before += text.len();
    }
}

/// The stop that was complete first, and where it begins: a model that knew it would have gone no further.
fn first_stop<'s>(text: &str, stops: &'s [String]) -> Option<(usize, &'s str)> {
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| Some((text.find(stop.as_str())?, stop.as_str())));
    found.min_by_key(|(at, stop)| (at + stop.len(), *at))
}

/// How much of a text's end may be the beginning of a stop, in bytes.
fn longest_beginning(text: &str, stops: &[String]) -> usize {
    let beginning = |stop: &String| {
        let ends = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0 && *at <= text.len());
        ends.rev().find(|at| stop.get(..*at).is_some_and(|start| text.ends_with(start))).unwrap_or(0)
    };
    stops.iter().map(beginning).max().unwrap_or(0)
}

/// Log probabilities of the tokens that lie within so many bytes of the text.
fn within(logprobs: Vec<TokenLogprob>, bytes: usize) -> Vec<TokenLogprob> {
    let mut end = 0;
    let is_within = |token: &TokenLogprob| {
        end += token.bytes.as_ref().map_or(token.token.len(), Vec::len);
        end <= bytes
    };
    logprobs.into_iter().take_while(is_within).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ir::order;

    /// A stream that says some pieces in one block.
    fn events(pieces: &[&str]) -> Vec<Event> {
        let start = Event::Start { id: "r".into(), model: "m".into(), created: None };
        let mut events = vec![start];
        let said = |piece: &&str| Event::Text { choice: 0, block: 0, text: (*piece).to_owned(), logprobs: vec![] };
        let said: Vec<Event> = pieces.iter().filter(|piece| !piece.is_empty()).map(said).collect();
        if !said.is_empty() {
            events.push(Event::BlockStart { choice: 0, block: 0, start: BlockStart::Text });
            events.extend(said);
            events.push(Event::BlockStop { choice: 0, block: 0 });
        }
        events.extend([Event::Finish { choice: 0, finish: Finish::Stop, stop_sequence: None }, Event::End]);
        events
    }

    /// What a caller hears of it, and the text that ended it.
    fn heard(pieces: &[&str], stops: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut cutter = Cutter::of(&stops).unwrap();
        // one event at a time, as they may come
        let cut: Vec<Event> = events(pieces).into_iter().flat_map(|event| cutter.cut(vec![event])).collect();
        order::check(&cut).unwrap();
        let (mut text, mut stop) = (String::new(), None);
        for event in &cut {
            match event {
                Event::Text { text: piece, .. } => text += piece,
                Event::Finish { finish, stop_sequence, .. } => {
                    assert_eq!(stop_sequence.is_some(), *finish == Finish::StopSequence);
                    stop.clone_from(stop_sequence);
                }
                _ => {}
            }
        }
        (text, stop)
    }

    fn whole(text: &str, stops: &[&str]) -> (String, Option<String>) {
        let mut response = Response {
            choices: vec![Choice { blocks: vec![Block::text(text)], finish: Some(Finish::Stop), ..Choice::default() }],
            ..Response::default()
        };
        cut_whole(&mut response, &stops.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>());
        let choice = response.choices.remove(0);
        let text = choice.blocks.into_iter().map(|block| if let Block::Text { text, .. } = block { text } else { String::new() });
        (text.collect(), choice.stop_sequence)
    }

    #[test]
    fn an_answer_ends_before_the_stop_however_it_was_cut() {
        let ended = |text: &str, stop: &str| (text.to_owned(), Some(stop.to_owned()));
        for pieces in [&["one END two"][..], &["one E", "ND two"], &["one ", "E", "N", "D", " two"], &["one EN", "D"]] {
            assert_eq!(heard(pieces, &["END"]), ended("one ", "END"), "{pieces:?}");
        }
        assert_eq!(heard(&["END"], &["END"]), ended("", "END"));
        assert_eq!(heard(&["one E", "N", "d"], &["END"]), ("one ENd".to_owned(), None), "what was held back is said after all");
        assert_eq!(heard(&["one EN"], &["END"]), ("one EN".to_owned(), None));
        assert_eq!(heard(&["EEND"], &["END"]), ended("E", "END"));
        assert_eq!(heard(&["né", "é!"], &["éé"]), ended("n", "éé"));
        assert_eq!(whole("one END two", &["END"]), ended("one ", "END"));
        assert_eq!(whole("END", &["END"]), ended("", "END"));
        assert_eq!(whole("one", &["END"]), ("one".to_owned(), None));
        // the one that was complete first, not the one that began first
        assert_eq!(whole("xabcd", &["abcd", "c"]), ended("xab", "c"));
        assert_eq!(heard(&["xabcd"], &["abcd", "c"]), ended("xab", "c"));
    }

    #[test]
    fn nothing_comes_after_the_stop() {
        let mut cutter = Cutter::of(&["END".to_owned()]).unwrap();
        let cut = cutter.cut(events(&["x END y"]));
        assert_eq!(cut.last(), Some(&Event::End));
        assert_eq!(cutter.cut(events(&["more"])), []);
        assert!(Cutter::of(&[String::new()]).is_none());
    }

    #[test]
    fn tokens_beyond_the_stop_have_no_probability() {
        let token = |token: &str| TokenLogprob { token: token.to_owned(), logprob: -1.0, bytes: None, top: vec![] };
        let tokens = || vec![token("on"), token("e "), token("END")];
        assert_eq!(within(tokens(), 5).len(), 2);
        let mut choice = Choice { blocks: vec![Block::text("one END")], logprobs: tokens(), ..Choice::default() };
        cut_choice(&mut choice, &["END".to_owned()]);
        assert_eq!(choice.logprobs.len(), 2, "of a whole answer neither");
        // a text before it counts
        let mut choice =
            Choice { blocks: vec![Block::text("on"), Block::text("e END")], logprobs: tokens(), ..Choice::default() };
        cut_choice(&mut choice, &["END".to_owned()]);
        assert_eq!((choice.blocks.len(), choice.logprobs.len()), (2, 2));
    }

    proptest! {
        #[test]
        fn a_stream_ends_where_the_whole_answer_does(
            pieces in prop::collection::vec("[abé]{0,4}", 0..6),
            stops in prop::collection::vec("[abé]{1,4}", 1..3),
        ) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            prop_assert_eq!(heard(&pieces, &stops), whole(&pieces.concat(), &stops));
        }
    }
}
