//! What an event of a stream says of a text: more of it, or all of it.

/// What an event says of a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'t> {
    /// The next piece.
    More(&'t str),
    /// Everything, what came before included.
    Whole(&'t str),
}

impl<'t> Said<'t> {
    /// Whether it says nothing.
    pub(super) const fn is_empty(self) -> bool {
        let (Self::More(text) | Self::Whole(text)) = self;
        text.is_empty()
    }

    /// What was not told yet, of which so many bytes were.
    pub(super) fn rest(self, told: &mut usize) -> &'t str {
        let rest = match self {
            Self::More(text) => text,
            Self::Whole(text) => text.get(*told..).unwrap_or_default(),
        };
        *told += rest.len();
        rest
    }
}
