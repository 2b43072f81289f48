//! State that a caller must hand back unchanged: signatures of thoughts, encrypted reasoning.
//!
//! A seal can be checked without remembering it, by any simulator: it holds a number made of what it seals. It is no secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::ids::{fingerprint, token};

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// The `signature` of a `thinking` block (Messages).
    Thinking,
    /// The `data` of a `redacted_thinking` block (Messages).
    Redacted,
    /// The `encrypted_content` of a reasoning item (Responses).
    Reasoning,
    /// The `thoughtSignature` of a part (Gemini).
    Thought,
}

impl Seal {
    fn mark(self) -> &'static str {
        match self {
            Self::Thinking => "sluice-simulator/thinking/",
            Self::Redacted => "sluice-simulator/redacted/",
            Self::Reasoning => "sluice-simulator/reasoning/",
            Self::Thought => "sluice-simulator/thought/",
        }
    }

    /// The seal of this text, in base64.
    pub(super) fn of(self, text: &str) -> String {
        STANDARD.encode(self.bytes(text))
    }

    /// Whether this is the seal of this text.
    pub(super) fn is_of(self, seal: &str, text: &str) -> bool {
        decode(seal).is_some_and(|bytes| bytes == self.bytes(text).as_bytes())
    }

    /// Whether this is a seal of this kind, whatever it seals.
    pub(super) fn is_mine(self, seal: &str) -> bool {
        decode(seal).is_some_and(|bytes| {
            let tail = bytes.strip_prefix(self.mark().as_bytes());
            tail.is_some_and(|tail| tail.len() == 56 && tail.iter().all(u8::is_ascii_alphanumeric))
        })
    }

    fn bytes(self, text: &str) -> String {
        let hash = fingerprint(self.mark().as_bytes()) ^ fingerprint(text.as_bytes()).rotate_left(1);
        format!("{}{}", self.mark(), token(hash, 56))
    }
}

/// Base64 of either alphabet, with or without padding, as Google reads it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .trim_end_matches('=')
        .chars()
        .map(|letter| match letter {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD.decode(plain).ok()
}

/// Base64 of the standard alphabet with padding, as OpenAI and Anthropic read it.
pub(super) fn decode_strictly(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_fits_its_own_text_and_kind_alone() {
        let seal = Seal::Thinking.of("the thought");
        assert!(Seal::Thinking.is_of(&seal, "the thought") && Seal::Thinking.is_mine(&seal));
        assert!(!Seal::Thinking.is_of(&seal, "another thought"));
        assert!(!Seal::Thought.is_of(&seal, "the thought") && !Seal::Thought.is_mine(&seal));
        assert!(!Seal::Thinking.is_mine("c2x1aWNl") && !Seal::Thinking.is_mine("not base64"));
    }

    #[test]
    fn a_seal_survives_another_alphabet() {
        let seal = Seal::Thought.of("call");
        let other: String = seal.trim_end_matches('=').replace('+', "-").replace('/', "_");
        assert!(Seal::Thought.is_of(&other, "call"));
    }
}
