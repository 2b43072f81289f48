//! What an answer says, cut into the pieces a stream sends.

use std::borrow::Cow;

use super::asked::count_words;

/// A text, in pieces.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Generated words, made when they are needed: a long answer takes no memory.
    Words { words: u32, pieces: u32 },
    /// This text; a piece ends at each of these bytes.
    Text { text: String, ends: Vec<usize> },
    /// The same letters in every piece.
    Filler { pieces: u32, piece_bytes: u32 },
}

impl Content {
    /// No text at all.
    pub(super) const NOTHING: Self = Self::Words { words: 0, pieces: 0 };

    /// A text of at most so many words, one to a piece, and how many words it has.
    pub(super) fn of_text(text: &str, most: u32) -> (Self, u32) {
        let ends: Vec<usize> = text
            .split_inclusive(' ')
            .scan(0, |end, word| {
                *end += word.len();
                Some(*end)
            })
            .take(most as usize)
            .collect();
        let text = text[..ends.last().copied().unwrap_or(0)].to_owned();
        let words = u32::try_from(count_words(&text)).unwrap_or(u32::MAX);
        (Self::Text { text, ends }, words)
    }

    pub(super) fn pieces(&self) -> u32 {
        match self {
            Self::Words { pieces, .. } | Self::Filler { pieces, .. } => *pieces,
            Self::Text { ends, .. } => as_u32(ends.len()),
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
        }
    }

    pub(super) fn whole(&self) -> String {
        match self {
            Self::Text { text, .. } => text.clone(),
            Self::Words { .. } | Self::Filler { .. } => (0..self.pieces()).map(|place| self.piece(place)).collect(),
        }
    }
}

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Letters and digits, without the prefix of the dialect.
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text.
    pub(super) arguments: String,
    /// The arguments in pieces: each ends at one of these bytes.
    ends: Vec<usize>,
}

/// Bytes of arguments in one event of a stream.
const ARGUMENT_PIECE: usize = 8;

impl Call {
    pub(super) fn new(id: String, name: String, arguments: String) -> Self {
        let mut ends = Vec::new();
        let mut start = 0;
        while start < arguments.len() {
            let whole = |end: &usize| arguments.is_char_boundary(*end);
            start = (start + ARGUMENT_PIECE..arguments.len()).find(whole).unwrap_or(arguments.len());
            ends.push(start);
        }
        Self { id, name, arguments, ends }
    }

    pub(super) fn pieces(&self) -> u32 {
        as_u32(self.ends.len())
    }

    pub(super) fn piece(&self, place: u32) -> &str {
        let place = place as usize;
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.arguments[start..self.ends[place]]
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_cut_between_letters() {
        let call = Call::new("1".to_owned(), "say".to_owned(), "{\"text\":\"grüß dich\"}".to_owned());
        let joined: String = (0..call.pieces()).map(|place| call.piece(place)).collect();
        assert_eq!(joined, call.arguments);
        assert!(call.pieces() > 1);
        assert_eq!(Call::new(String::new(), String::new(), String::new()).pieces(), 0);
    }
}
