//! Arguments of calls of custom tools, and arguments that come in fragments.

use serde_json::{Map, Value};

/// The arguments of a call of a custom tool, whose input is plain text.
pub(super) fn custom(input: &str) -> Map<String, Value> {
    Map::from_iter([("input".to_owned(), Value::from(input))])
}

/// Follows the fragments of a call's arguments, to tell when they are whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    depth: u32,
    has_begun: bool,
    in_string: bool,
    is_escaped: bool,
}

impl Progress {
    pub(super) fn push(&mut self, fragment: &str) {
        for byte in fragment.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.has_begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_whole_when_every_bracket_is_closed() {
        let mut progress = Progress::default();
        for (fragment, is_whole) in [("", false), (r#"{"a":"}\"#, false), (r#""{"#, false), (r#"","b":[1]"#, false), ("}", true)]
        {
            progress.push(fragment);
            assert_eq!(progress.is_whole(), is_whole, "{fragment}");
        }
    }
}
