//! The order of a stream's events: a few at the start, then each part's opening, pieces and closing, then a few at the end.

/// How many events one part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) opening: u32,
    pub(super) pieces: u32,
    pub(super) closing: u32,
}

/// One event's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// One of the events at the start.
    Head(u32),
    /// This part is opened, in so many steps.
    Open(usize, u32),
    /// A piece of this part.
    Piece(usize, u32),
    /// This part is closed, in so many steps.
    Close(usize, u32),
    /// One of the events at the end.
    Tail(u32),
}

/// The whole order.
#[derive(Debug)]
pub(super) struct Score {
    pub(super) heads: u32,
    pub(super) spans: Vec<Span>,
    pub(super) tails: u32,
}

impl Score {
    /// How many events there are.
    pub(super) fn total(&self) -> u64 {
        let in_parts = self.spans.iter().map(|span| u64::from(span.opening) + u64::from(span.pieces) + u64::from(span.closing));
        u64::from(self.heads) + in_parts.sum::<u64>() + u64::from(self.tails)
    }

    /// What comes at this place; `None` after the end.
    pub(super) fn beat(&self, place: u64) -> Option<Beat> {
        let mut left = place;
        let mut within = |events: u32| {
            let found = u32::try_from(left).ok().filter(|step| *step < events);
            if found.is_none() {
                left -= u64::from(events);
            }
            found
        };
        if let Some(step) = within(self.heads) {
            return Some(Beat::Head(step));
        }
        for (part, span) in self.spans.iter().enumerate() {
            if let Some(step) = within(span.opening) {
                return Some(Beat::Open(part, step));
            }
            if let Some(step) = within(span.pieces) {
                return Some(Beat::Piece(part, step));
            }
            if let Some(step) = within(span.closing) {
                return Some(Beat::Close(part, step));
            }
        }
        within(self.tails).map(Beat::Tail)
    }

    /// The place of this part's first piece, or of the event after its opening where it has none.
    pub(super) fn first_piece(&self, part: usize) -> u64 {
        let all = |span: &Span| u64::from(span.opening) + u64::from(span.pieces) + u64::from(span.closing);
        let before: u64 = self.spans.iter().take(part).map(all).sum();
        u64::from(self.heads) + before + self.spans.get(part).map_or(0, |span| u64::from(span.opening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_place_and_there_is_none_after_the_last() {
        let empty = Span { opening: 1, pieces: 0, closing: 1 };
        let score = Score { heads: 1, spans: vec![empty, Span { opening: 0, pieces: 2, closing: 1 }], tails: 1 };
        let beats: Vec<Beat> = (0..).map_while(|place| score.beat(place)).collect();
        let expected = [
            Beat::Head(0),
            Beat::Open(0, 0),
            Beat::Close(0, 0),
            Beat::Piece(1, 0),
            Beat::Piece(1, 1),
            Beat::Close(1, 0),
            Beat::Tail(0),
        ];
        assert_eq!(beats, expected);
        assert_eq!((score.total(), score.first_piece(1)), (7, 3));
    }
}
