//! Reasoning that stands in a text between marks: `<think>…</think>`, or a folded part of a page whose summary is `Thinking...`.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Thinking(String),
}

/// Takes a text apart that comes in pieces. What may be the beginning of a mark is held back until it is one, or is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    held: String,
    is_thinking: bool,
}

const THINK: &str = "<think>";
const FOLDED: &str = "<details";
const SUMMARY: &str = "</summary>";
const ENDS: [&str; 2] = ["</think>", "</details>"];
/// A longer opening mark is none, in bytes.
const MAX_MARK_BYTES: usize = 512;

/// Where a mark is in a text, and where it ends.
enum Found {
    Mark(usize, usize),
    /// It begins there, and its end has not come.
    Begun(usize),
    Nothing,
}

impl Marks {
    pub(super) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        loop {
            let found = if self.is_thinking { end_of(&self.held) } else { beginning_of(&self.held) };
            match found {
                Found::Mark(at, end) => {
                    let rest = self.held.split_off(end);
                    self.held.truncate(at);
                    self.give(&mut pieces);
                    self.held = rest;
                    self.is_thinking = !self.is_thinking;
                }
                Found::Begun(at) => {
                    let rest = self.held.split_off(at);
                    self.give(&mut pieces);
                    self.held = rest;
                    return pieces;
                }
                Found::Nothing => {
                    self.give(&mut pieces);
                    return pieces;
                }
            }
        }
    }

    /// Nothing more comes: what was held back is no mark.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.give(&mut pieces);
        pieces
    }

    fn give(&mut self, pieces: &mut Vec<Piece>) {
        let said = std::mem::take(&mut self.held);
        if !said.is_empty() {
            pieces.push(if self.is_thinking { Piece::Thinking(said) } else { Piece::Text(said) });
        }
    }
}

fn beginning_of(text: &str) -> Found {
    let think = text.find(THINK).map(|at| Found::Mark(at, at + THINK.len()));
    let folded = text.find(FOLDED).map(|at| folded(text, at));
    match (think, folded) {
        (Some(Found::Mark(at, end)), Some(Found::Mark(other, _) | Found::Begun(other))) if at < other => Found::Mark(at, end),
        (_, Some(found @ (Found::Mark(..) | Found::Begun(_)))) | (Some(found), _) => found,
        _ => begun(text, &[THINK, FOLDED]),
    }
}

/// A folded part, if its summary says that it is reasoning.
fn folded(text: &str, at: usize) -> Found {
    let rest = text.get(at..).unwrap_or_default();
    match rest.find(SUMMARY) {
        Some(end) if rest.get(..end).is_some_and(|head| head.contains("Thinking")) => Found::Mark(at, at + end + SUMMARY.len()),
        None if rest.len() < MAX_MARK_BYTES => Found::Begun(at),
        _ => Found::Nothing,
    }
}

fn end_of(text: &str) -> Found {
    let found = ENDS.iter().filter_map(|mark| text.find(mark).map(|at| (at, at + mark.len()))).min();
    found.map_or_else(|| begun(text, &ENDS), |(at, end)| Found::Mark(at, end))
}

/// Whether the text ends with the beginning of a mark.
fn begun(text: &str, marks: &[&str]) -> Found {
    let tail = text.rfind('<').map(|at| (at, text.get(at..).unwrap_or_default()));
    match tail {
        Some((at, tail)) if marks.iter().any(|mark| mark.starts_with(tail)) => Found::Begun(at),
        _ => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thoughts and text of a text that comes in pieces of so many letters.
    fn apart(text: &str, letters: usize) -> (String, String) {
        let mut marks = Marks::default();
        let (mut thoughts, mut said) = (String::new(), String::new());
        let all: Vec<char> = text.chars().collect();
        let mut pieces: Vec<Piece> =
            all.chunks(letters).flat_map(|chunk| marks.push(&chunk.iter().collect::<String>())).collect();
        pieces.extend(marks.finish());
        for piece in pieces {
            match piece {
                Piece::Text(text) => said.push_str(&text),
                Piece::Thinking(text) => thoughts.push_str(&text),
            }
        }
        (thoughts, said)
    }

    #[test]
    fn reasoning_between_marks_is_told_apart_however_the_text_is_cut() {
        let folded = "<details style=\"color:gray;\" open> <summary> Thinking... </summary>\nhm</details>yes";
        for letters in 1..40 {
            assert_eq!(apart("a<think>b < c</think>d", letters), ("b < c".to_owned(), "ad".to_owned()), "{letters}");
            assert_eq!(apart(folded, letters), ("\nhm".to_owned(), "yes".to_owned()), "{letters}");
            for plain in ["1 < 2 and <b>", "<details><summary>More</summary>x</details>", "ends with <thi"] {
                assert_eq!(apart(plain, letters), (String::new(), plain.to_owned()), "{letters}");
            }
        }
    }
}
