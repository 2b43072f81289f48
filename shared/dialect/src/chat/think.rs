//! Reasoning that a provider writes into the text, between `<think>` tags at its very start (conversions.md §7.3).

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Tells reasoning and text apart, piece by piece, wherever the tags are cut.
#[derive(Debug, Clone, Default)]
pub(super) struct Splitter {
    state: State,
    /// What may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// The tag was opened; the line breaks that follow it are no reasoning.
    Opened,
    Inside,
    /// The tag was closed; the line breaks that follow it are no text.
    Closed,
    Text,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Thinking(String),
    Text(String),
}

impl Splitter {
    /// All that follows is text: the provider says its reasoning elsewhere.
    pub(super) fn no_tags(&mut self, out: &mut Vec<Piece>) {
        self.finish(out);
        self.state = State::Text;
    }

    /// Takes more content apart.
    pub(super) fn push(&mut self, content: &str, out: &mut Vec<Piece>) {
        if self.state == State::Text {
            return add(Piece::Text(content.to_owned()), out);
        }
        self.held.push_str(content);
        if self.state == State::Start {
            let text = self.held.trim_start();
            if let Some(inside) = text.strip_prefix(OPEN) {
                self.held = inside.to_owned();
                self.state = State::Opened;
            } else if !OPEN.starts_with(text) {
                self.state = State::Text;
            }
        }
        if self.state == State::Opened {
            self.held = self.held.trim_start_matches('\n').to_owned();
            if !self.held.is_empty() {
                self.state = State::Inside;
            }
        }
        if self.state == State::Inside {
            self.inside(out);
        }
        if self.state == State::Closed {
            self.held = self.held.trim_start_matches(['\n', '\r']).to_owned();
            if !self.held.is_empty() {
                self.state = State::Text;
            }
        }
        if self.state == State::Text {
            add(Piece::Text(std::mem::take(&mut self.held)), out);
        }
    }

    /// The content is over: what was held is what it is.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Inside => add(Piece::Thinking(held), out),
            State::Start | State::Text => add(Piece::Text(held), out),
            State::Opened | State::Closed => {}
        }
    }

    fn inside(&mut self, out: &mut Vec<Piece>) {
        if let Some((thinking, text)) = self.held.split_once(CLOSE) {
            add(Piece::Thinking(thinking.trim_end_matches('\n').to_owned()), out);
            self.held = text.to_owned();
            self.state = State::Closed;
            return;
        }
        let kept = held_back(&self.held);
        let rest = self.held.split_off(kept);
        add(Piece::Thinking(std::mem::replace(&mut self.held, rest)), out);
    }
}

/// Where the end begins that may still become line breaks and a closing tag.
fn held_back(text: &str) -> usize {
    let tag = (1..CLOSE.len()).rev().find(|length| CLOSE.get(..*length).is_some_and(|begin| text.ends_with(begin)));
    let end = text.len() - tag.unwrap_or(0);
    text.get(..end).map_or(0, |before| before.trim_end_matches('\n').len())
}

fn add(piece: Piece, out: &mut Vec<Piece>) {
    let (Piece::Thinking(text) | Piece::Text(text)) = &piece;
    if !text.is_empty() {
        out.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All reasoning and all text of some content, cut at every place.
    fn split(content: &str, cut: usize) -> (String, String) {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        let cut = content.floor_char_boundary(cut);
        for part in [&content[..cut], &content[cut..]] {
            splitter.push(part, &mut pieces);
        }
        splitter.finish(&mut pieces);
        let mut said = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Thinking(text) => said.0.push_str(&text),
                Piece::Text(text) => said.1.push_str(&text),
            }
        }
        said
    }

    #[test]
    fn tags_count_at_the_very_start_only_wherever_they_are_cut() {
        for (content, thinking, text) in [
            ("<think>\na < b\n</think>\n\nYes.\n", "a < b", "Yes.\n"),
            ("\n<think>ü</think>x", "ü", "x"),
            ("<think></think>x", "", "x"),
            ("no <think>a</think>", "", "no <think>a</think>"),
            ("\n", "", "\n"),
            ("<thin", "", "<thin"),
            ("<thinking>x", "", "<thinking>x"),
            ("<think>never closed </thi", "never closed </thi", ""),
            ("<think>a\n\nb</think>\n<think>c", "a\n\nb", "<think>c"),
            ("", "", ""),
        ] {
            for cut in 0..=content.len() {
                assert_eq!(split(content, cut), (thinking.to_owned(), text.to_owned()), "{content} cut at {cut}");
            }
        }
    }
}
