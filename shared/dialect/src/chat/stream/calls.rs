//! Which call a fragment belongs to, whatever a vendor makes of `index`, `id` and `name` (conversions.md §11.6).

use crate::chat::arguments::Progress;

/// The calls of one choice.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Vec<Call>);

/// One call, as far as it is known. Its place in the list is its key.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    /// It has been announced.
    pub(super) has_begun: bool,
    pub(super) is_signed: bool,
    /// What came before the name.
    pub(super) waiting: String,
    pub(super) progress: Progress,
}

/// What a fragment says about which call it is of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Label<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// Its place in the delta, and how many fragments that has.
    pub(super) position: usize,
    pub(super) of: usize,
}

/// Calls of one choice that are told apart; what comes of later ones is left out.
const MAX_CALLS: usize = 1024;

impl Calls {
    /// The call of a fragment, a new one if it is of none yet, with its key.
    pub(super) fn find(&mut self, label: &Label<'_>) -> Option<(u64, &mut Call)> {
        let place = match self.known(label) {
            Some(place) => place,
            None if self.0.len() < MAX_CALLS => {
                self.0.push(Call { index: label.index, ..Call::default() });
                self.0.len() - 1
            }
            None => return None,
        };
        let call = self.0.get_mut(place)?;
        for (known, said) in [(&mut call.id, label.id), (&mut call.name, label.name)] {
            if known.is_empty() {
                said.clone_into(known);
            }
        }
        Some((place as u64, call))
    }

    /// The keys of calls that are whole.
    pub(super) fn whole(&self) -> Vec<u64> {
        (0..).zip(&self.0).filter(|(_, call)| call.has_begun && call.progress.is_whole()).map(|(key, _)| key).collect()
    }

    fn known(&self, label: &Label<'_>) -> Option<usize> {
        if let Some(index) = label.index {
            let place = self.0.iter().rposition(|call| call.index == Some(index))?;
            return self.0.get(place).filter(|call| !differs(&call.id, label.id)).map(|_| place);
        }
        let same_id = |call: &Call| !label.id.is_empty() && call.id == label.id;
        if let Some(place) = self.0.iter().rposition(same_id) {
            return Some(place);
        }
        if label.id.is_empty() && label.name.is_empty() {
            // several nameless fragments: those of the last calls, in order
            let first = self.0.len().saturating_sub(label.of.max(1));
            return Some(first + label.position).filter(|place| *place < self.0.len()).or(self.0.len().checked_sub(1));
        }
        let last = self.0.last()?;
        let is_another = differs(&last.id, label.id)
            || differs(&last.name, label.name)
            || (!label.name.is_empty() && !last.name.is_empty() && (label.position > 0 || last.progress.is_whole()));
        (!is_another).then(|| self.0.len() - 1)
    }
}

fn differs(known: &str, said: &str) -> bool {
    !known.is_empty() && !said.is_empty() && known != said
}
