//! What a channel does to requests and answers beside carrying them.

use super::codecs::Codec;
use crate::surface::Surface;

/// What a channel does to requests and answers beside carrying them. The default: nothing.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "settings that have nothing to do with each other")]
pub struct Manner {
    /// Instructions of its own.
    pub instructions: Option<Instructions>,
    /// Fields that are not sent, by their names at the top of a body.
    pub left_out: Vec<&'static str>,
    /// Where both sides speak one dialect, the caller's bytes are sent as they are: instructions, left-out fields and what the provider's Chat
    /// endpoint wants of `stream_options` do not count then. The model's name and a lower limit of output do.
    pub passes_body: bool,
    /// Answers are written anew even where both sides speak one dialect, so that they hold nothing beyond it.
    pub rewrites_answers: bool,
    /// Chat: reasoning comes as content, in `<think>` tags.
    pub thinking_to_content: bool,
    /// Answers that are written anew: generated images come once more as Markdown within the text.
    pub media_to_markdown: bool,
}

/// Instructions of a channel's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    /// The instructions.
    pub text: String,
    /// What becomes of the caller's.
    pub rank: Rank,
}

/// How a channel's instructions stand to the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// They are sent where the caller has none.
    Fill,
    /// They come first.
    Prepend,
    /// They alone are sent.
    Replace,
}

impl Manner {
    /// Whether answers to callers of a dialect are written anew where the upstream speaks it too.
    pub(super) fn rewrites(&self, codec: Codec) -> bool {
        self.rewrites_answers || (self.thinking_to_content && codec == Codec::Chat)
    }

    /// The instructions for a surface, if it takes any.
    pub(super) fn instructions_for(&self, surface: Surface) -> Option<&Instructions> {
        self.instructions.as_ref().filter(|_| surface.converses())
    }
}
