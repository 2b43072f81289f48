//! Token estimates for where no usage is reported and no vocabulary is known.
//!
//! Every run of letters counts as one word, every run of digits as one number, everything else by the character; the weights are the
//! average cost of each in tokens, measured per model family. Cheap enough for every streamed delta.

use crate::naming::mentions;

/// Tokens a chat prompt costs besides its text, in the OpenAI format: for each message.
pub const PER_MESSAGE: u64 = 3;
/// For each `name` given with a message.
pub const PER_NAME: u64 = 3;
/// For each tool offered.
pub const PER_TOOL: u64 = 8;
/// Once per prompt: what introduces the reply.
pub const PER_REPLY: u64 = 3;
/// Tokens an answer costs besides its text, for each tool call in it.
pub const PER_TOOL_CALL: u64 = 7;

/// Tokens of a chat prompt in the OpenAI format besides its text.
#[must_use]
pub const fn prompt_overhead(messages: u64, names: u64, tools: u64) -> u64 {
    let parts = [messages.saturating_mul(PER_MESSAGE), names.saturating_mul(PER_NAME), tools.saturating_mul(PER_TOOL)];
    PER_REPLY.saturating_add(parts[0]).saturating_add(parts[1]).saturating_add(parts[2])
}

/// Models that cut text alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OpenAI, and every model no other family is known for.
    OpenAi,
    /// Anthropic: `claude` in the name.
    Claude,
    /// Google: `gemini` in the name.
    Gemini,
}

impl Family {
    /// The family of a model, by its name.
    #[must_use]
    pub fn of(model: &str) -> Self {
        if mentions(model, "claude") {
            return Self::Claude;
        }
        if mentions(model, "gemini") {
            return Self::Gemini;
        }
        Self::OpenAi
    }

    const fn costs(self) -> &'static Costs {
        match self {
            Self::OpenAi => &OPENAI,
            Self::Claude => &CLAUDE,
            Self::Gemini => &GEMINI,
        }
    }
}

/// Counts text as it arrives. Cutting the text differently into pushes gives the same count.
#[derive(Debug, Clone)]
pub struct Estimator {
    costs: &'static Costs,
    /// In hundredths of a token.
    sum: u64,
    last: Kind,
}

impl Estimator {
    /// An estimator for a model, by its name.
    #[must_use]
    pub fn for_model(model: &str) -> Self {
        Self::new(Family::of(model))
    }

    /// An estimator for a family.
    #[must_use]
    pub const fn new(family: Family) -> Self {
        Self { costs: family.costs(), sum: 0, last: Kind::Space }
    }

    /// Counts more text. A word cut between two pushes is one word.
    pub fn push(&mut self, text: &str) {
        let (mut sum, mut last) = (self.sum, self.last);
        for character in text.chars() {
            let kind = kind_of(character);
            sum += u64::from(self.costs.after(last, kind));
            last = kind;
        }
        (self.sum, self.last) = (sum, last);
    }

    /// Ends the run: a word pushed next is another word. Call it between texts that do not belong together.
    pub const fn separate(&mut self) {
        self.last = Kind::Space;
    }

    /// The count so far, in tokens, rounded up. May be asked at any time.
    #[must_use]
    pub const fn finish(&self) -> u64 {
        self.sum.div_ceil(100)
    }
}

/// Counts one text.
#[must_use]
pub fn estimate(model: &str, text: &str) -> u64 {
    let mut estimator = Estimator::for_model(model);
    estimator.push(text);
    estimator.finish()
}

/// What a character is to the estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Word,
    Number,
    Cjk,
    Symbol,
    Math,
    Url,
    At,
    Emoji,
    Newline,
    Space,
}

const KINDS: usize = 10;
/// Room for one row per kind, so that `last * ROW + kind` is an index.
const ROW: u8 = 16;

/// The cost of a character of one kind after one of another, in hundredths of a token.
#[derive(Debug)]
struct Costs([u16; 256]);

impl Costs {
    /// `weights` in the order of [`Kind`].
    const fn new(weights: [u16; KINDS]) -> Self {
        let mut table = [0; 256];
        let mut last = 0;
        while last < KINDS {
            let mut kind = 0;
            while kind < KINDS {
                let continues_run = last == kind && kind <= Kind::Number as usize;
                table[last * ROW as usize + kind] = if continues_run { 0 } else { weights[kind] };
                kind += 1;
            }
            last += 1;
        }
        Self(table)
    }

    fn after(&self, last: Kind, kind: Kind) -> u16 {
        self.0[usize::from(last as u8 * ROW + kind as u8)]
    }
}

//                                       word  num  cjk  sym math  url   @ emoji  nl space
static OPENAI: Costs = Costs::new([102, 155, 85, 40, 268, 100, 200, 212, 50, 42]);
static CLAUDE: Costs = Costs::new([113, 163, 121, 40, 452, 126, 282, 260, 89, 39]);
static GEMINI: Costs = Costs::new([115, 280, 68, 38, 105, 120, 250, 108, 115, 20]);

static ASCII: [Kind; 128] = {
    let mut kinds = [Kind::Symbol; 128];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Word,
            b'0'..=b'9' => Kind::Number,
            b'/' | b':' | b'?' | b'&' | b'=' | b';' | b'#' | b'%' => Kind::Url,
            b'@' => Kind::At,
            b'\n' | b'\t' => Kind::Newline,
            b' ' | b'\r' | 0x0b | 0x0c => Kind::Space,
            _ => Kind::Symbol,
        };
        byte += 1;
    }
    kinds
};

fn kind_of(character: char) -> Kind {
    let ascii = usize::try_from(u32::from(character)).ok().and_then(|code| ASCII.get(code));
    ascii.copied().unwrap_or_else(|| kind_beyond_ascii(character))
}

fn kind_beyond_ascii(character: char) -> Kind {
    match character {
        // Han, kana and Hangul
        '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}' => Kind::Cjk,
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => Kind::Emoji,
        // signs, super- and subscripts, operators, alphanumerics
        '¬'
        | '°'
        | '±'
        | '×'
        | '÷'
        | '\u{2070}'..='\u{209f}'
        | '\u{2200}'..='\u{22ff}'
        | '\u{27c0}'..='\u{27ef}'
        | '\u{2980}'..='\u{2aff}'
        | '\u{1d400}'..='\u{1d7ff}' => Kind::Math,
        other if other.is_whitespace() => Kind::Space,
        other if other.is_alphabetic() => Kind::Word,
        other if other.is_numeric() => Kind::Number,
        _ => Kind::Symbol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (text, openai, claude, gemini) in [
            ("Hello, world!", 4, 4, 4),
            ("The quick brown fox jumps over the lazy dog.", 13, 14, 13),
            ("你好，世界", 4, 6, 4),
            ("Call me at 555-0123", 8, 9, 11),
            ("https://example.com/a?b=1", 14, 16, 17),
            ("user@example.com", 6, 7, 7),
            ("fn main() {\n\tprintln!(\"hi\");\n}", 12, 13, 14),
        ] {
            let counts = ["mistral-large", "Claude-sonnet-4-5", "gemini-2.5-pro"].map(|model| estimate(model, text));
            assert_eq!(counts, [openai, claude, gemini], "{text}");
        }
    }

    #[test]
    fn a_letter_after_a_digit_starts_a_run_and_separate_does_too() {
        assert_eq!(estimate("x", "ab"), 2, "1.02");
        assert_eq!(estimate("x", "ab12ab"), 4, "1.02 + 1.55 + 1.02");
        let mut estimator = Estimator::new(Family::OpenAi);
        for text in ["a", "a", "a", "a"] {
            estimator.push(text);
        }
        assert_eq!(estimator.finish(), 2);
        estimator.separate();
        estimator.push("a");
        assert_eq!(estimator.finish(), 3, "2.04");
    }

    #[test]
    fn characters_beyond_ascii_have_their_class() {
        for (text, kind) in [
            ("漢", Kind::Cjk),
            ("ひ", Kind::Cjk),
            ("한", Kind::Cjk),
            ("𠮷", Kind::Cjk),
            ("😀", Kind::Emoji),
            ("∑", Kind::Math),
            ("é", Kind::Word),
            ("ж", Kind::Word),
            ("٣", Kind::Number),
            ("\u{3000}", Kind::Space),
            ("，", Kind::Symbol),
            ("€", Kind::Symbol),
        ] {
            assert_eq!(text.chars().map(kind_of).collect::<Vec<_>>(), [kind], "{text}");
        }
    }

    #[test]
    fn the_overhead_of_a_prompt_counts_messages_names_and_tools() {
        assert_eq!(prompt_overhead(0, 0, 0), 3);
        assert_eq!(prompt_overhead(2, 1, 1), 3 + 6 + 3 + 8);
    }

    proptest! {
        #[test]
        fn cutting_a_text_anywhere_changes_nothing(text in "\\PC{0,60}", at in 0_usize..60) {
            let cut = text.char_indices().map(|(place, _)| place).nth(at).unwrap_or(text.len());
            let (left, right) = text.split_at(cut);
            let mut estimator = Estimator::new(Family::Claude);
            estimator.push(left);
            estimator.push(right);
            prop_assert_eq!(estimator.finish(), estimate("claude", &text));
        }

        #[test]
        fn more_text_never_counts_less(text in "\\PC{0,40}", more in "\\PC{0,10}") {
            let longer = format!("{text}{more}");
            prop_assert!(estimate("gemini", &longer) >= estimate("gemini", &text));
        }
    }
}
