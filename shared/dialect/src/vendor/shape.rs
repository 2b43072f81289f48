//! Lines of a conversation in the shape that a vendor wants them: alternating, or as one text.

use super::talk::{Line, Speaker};
use crate::loss::{Field, Losses, Unsupported};

/// For vendors whose messages must alternate, from the user's first to the user's last: the instructions of all the conversation, and the rest.
///
/// # Errors
/// When the conversation ends with the model's own words.
pub(super) fn alternating(lines: Vec<Line>, losses: &mut Losses<'_>) -> Result<(Option<String>, Vec<Line>), Unsupported> {
    let mut system: Option<String> = None;
    let mut rest: Vec<Line> = Vec::new();
    for line in lines {
        if line.speaker == Speaker::System {
            let said = system.get_or_insert_default();
            if !said.is_empty() {
                said.push_str("\n\n");
            }
            said.push_str(&line.text);
            continue;
        }
        match rest.last_mut().filter(|last| last.speaker == line.speaker && line.speaker != Speaker::Tool) {
            Some(last) => {
                last.say(&line.text, "\n");
                last.images.extend(line.images);
                last.files.extend(line.files);
                last.calls.extend(line.calls);
            }
            None => rest.push(line),
        }
    }
    if rest.last().is_some_and(|last| last.speaker == Speaker::Assistant) {
        losses.reject(Field::Prefill)?;
        rest.pop();
    }
    if rest.first().is_none_or(|first| first.speaker != Speaker::User) {
        rest.insert(0, Line::new(Speaker::User, "…".to_owned()));
    }
    Ok((system, rest))
}

/// For vendors that take one text: what was said last, alone where nothing else was said, and otherwise behind all of it with its speakers.
pub(super) fn one_text(lines: &[Line]) -> String {
    if let [only] = lines {
        return only.text.clone();
    }
    let told = lines.iter().map(|line| {
        let speaker = line.speaker.word().to_ascii_uppercase();
        format!("{speaker}:\n{}", line.text)
    });
    told.collect::<Vec<_>>().join("\n\n")
}

/// Every image of a conversation, in order.
pub(super) fn images(lines: &[Line]) -> impl Iterator<Item = &str> {
    lines.iter().flat_map(|line| &line.images).map(String::as_str)
}
