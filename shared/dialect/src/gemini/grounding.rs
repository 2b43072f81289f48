//! `groundingMetadata`: pages an answer rests on, as OpenAI's `url_citation`s and back (best effort).

use serde_json::{Value, json};

use super::spelling;

/// The citations of a candidate. `text` is all text it has said; Google counts its bytes, OpenAI its characters.
pub(super) fn read(candidate: &Value, text: &str) -> Vec<Value> {
    let Some(grounding) = spelling::get(candidate, "groundingMetadata") else { return Vec::new() };
    let list = |name| spelling::get(grounding, name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let chunks = list("groundingChunks");
    let mut citations = Vec::new();
    for support in list("groundingSupports") {
        let Some(segment) = spelling::get(support, "segment") else { continue };
        let place = |name| spelling::get(segment, name).and_then(Value::as_u64).and_then(|place| usize::try_from(place).ok());
        let (start, end) = (place("startIndex").unwrap_or(0), place("endIndex").unwrap_or(0));
        let (Some(start), Some(end)) = (characters(text, start), characters(text, end)) else { continue };
        let indices = spelling::get(support, "groundingChunkIndices").and_then(Value::as_array);
        for index in indices.into_iter().flatten().filter_map(Value::as_u64) {
            let chunk = usize::try_from(index).ok().and_then(|index| chunks.get(index));
            let Some((url, title)) = chunk.and_then(page) else { continue };
            citations.push(json!({"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": title}));
        }
    }
    citations
}

fn page(chunk: &Value) -> Option<(&str, &str)> {
    let web = spelling::get(chunk, "web")?;
    let url = spelling::get(web, "uri")?.as_str()?;
    Some((url, spelling::get(web, "title").and_then(Value::as_str).unwrap_or_default()))
}

/// How many characters so many bytes are.
fn characters(text: &str, bytes: usize) -> Option<usize> {
    text.get(..bytes).map(|head| head.chars().count())
}

/// The pages of some citations for a caller; `None` when there are none. Each comes with the text it belongs to, and the place of
/// that text among the parts, where it is known.
pub(super) fn write<'c>(citations: impl Iterator<Item = (&'c Value, Option<(&'c str, usize)>)>) -> Option<Value> {
    let (mut chunks, mut supports) = (Vec::new(), Vec::new());
    for (citation, place) in citations {
        let inner = citation.get("url_citation").unwrap_or(citation);
        let Some(url) = inner.get("url").and_then(Value::as_str) else { continue };
        let title = inner.get("title").and_then(Value::as_str).unwrap_or_default();
        if let Some((text, part)) = place {
            let end_of = |name| inner.get(name).and_then(Value::as_u64).and_then(|place| bytes(text, place));
            if let (Some(start), Some(end)) = (end_of("start_index"), end_of("end_index")) {
                let segment = json!({"partIndex": part, "startIndex": start, "endIndex": end, "text": text.get(start..end)});
                supports.push(json!({"segment": segment, "groundingChunkIndices": [chunks.len()]}));
            }
        }
        chunks.push(json!({"web": {"uri": url, "title": title}}));
    }
    (!chunks.is_empty()).then(|| json!({"groundingChunks": chunks, "groundingSupports": supports}))
}

/// How many bytes so many characters are.
fn bytes(text: &str, characters: u64) -> Option<usize> {
    let characters = usize::try_from(characters).ok()?;
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(characters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_there_and_in_bytes_here() {
        let text = "Größe: 5.";
        let candidate = json!({"groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}, {"retrievedContext": {}}],
            "groundingSupports": [
                {"segment": {"startIndex": 9, "endIndex": 11, "text": "5."}, "groundingChunkIndices": [0, 1, 7]},
                {"segment": {"endIndex": 99}, "groundingChunkIndices": [0]},
            ],
        }});
        let citations = read(&candidate, text);
        assert_eq!(
            citations,
            [json!({"type": "url_citation", "start_index": 7, "end_index": 9, "url": "https://a.example/", "title": "A"})]
        );
        assert_eq!(
            write(citations.iter().map(|citation| (citation, Some((text, 0))))),
            Some(json!({
                "groundingChunks": [{"web": {"uri": "https://a.example/", "title": "A"}}],
                "groundingSupports": [
                    {"segment": {"partIndex": 0, "startIndex": 9, "endIndex": 11, "text": "5."}, "groundingChunkIndices": [0]}
                ],
            }))
        );
        assert_eq!(write(std::iter::empty()), None);
    }
}
