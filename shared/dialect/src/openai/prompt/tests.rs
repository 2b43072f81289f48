use bytes::Bytes;

use super::*;
use crate::openai::Request;

fn visit(surface: Surface, body: &str) -> (Vec<String>, PromptCounts) {
    let request = Request::read(Bytes::copy_from_slice(body.as_bytes()), surface).unwrap();
    let mut texts = Vec::new();
    let counts = request.visit_prompt(&mut |text| texts.push(text.to_owned()));
    (texts, counts)
}

#[test]
fn roles_names_and_text_parts_are_prompt() {
    let (texts, counts) = visit(
        Surface::ChatCompletions,
        r#"{"model":"m","messages":[{"role":"system","content":"be\nkind","name":"boss"},{"content":[{"type":"text","text":"see"},
            {"type":"image_url","image_url":{"url":"data:x","detail":"low"}},{"type":"image_url","image_url":"http://x"},
            {"type":"input_audio","input_audio":{"data":"x"}},{"type":"file","file":{"file_id":"x"}},{"type":"video_url","video_url":{}}],"role":"user"}]}"#,
    );
    assert_eq!(texts, ["system", "be\nkind", "boss", "see", "user"]);
    let expected = PromptCounts {
        messages: 2,
        names: 1,
        images: 2,
        low_detail_images: 1,
        audio: 1,
        files: 1,
        videos: 1,
        ..PromptCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn tools_and_calls_made_before_are_prompt() {
    let (texts, counts) = visit(
        Surface::ChatCompletions,
        r#"{"model":"m","tools":[{"type":"function","function":{"name":"get","description":"gets","parameters":{"type": "object"}}}],
            "functions":[{"name":"old"}],
            "messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"get","arguments":"{\"a\":1}"}}]},
                        {"role":"tool","tool_call_id":"1","content":"done"}]}"#,
    );
    assert_eq!(texts, ["assistant", "get", "{\"a\":1}", "tool", "done", "get", "gets", "{\"type\": \"object\"}", "old"]);
    assert_eq!((counts.messages, counts.tools, counts.names), (2, 2, 0));
}

#[test]
fn completions_and_embeddings_take_texts_or_token_ids() {
    assert_eq!(visit(Surface::Completions, r#"{"model":"m","prompt":"a","suffix":"b"}"#).0, ["a", "b"]);
    assert_eq!(visit(Surface::Embeddings, r#"{"model":"m","input":["a","b"]}"#).0, ["a", "b"]);
    assert_eq!(visit(Surface::Embeddings, r#"{"model":"m","input":[[1,2],[3]]}"#).1.token_ids, 3);
    assert_eq!(visit(Surface::Embeddings, r#"{"model":"m","input":[{"text":"a"},{"image":"x"}]}"#).1.images, 1);
}

#[test]
fn odd_shapes_are_skipped_without_losing_the_rest() {
    let (texts, counts) = visit(
        Surface::ChatCompletions,
        r#"{"model":"m","messages":[7,null,"x",[["y"]],{"role":{"a":1},"content":{"text":"t"},"name":[1],"tool_calls":"z"},
            {"content":[null,5,"u",{"text":["v"]}]},{"content":true,"role":-1.5}],"tools":{"a":1}}"#,
    );
    assert_eq!(texts, ["t", "u"]);
    assert_eq!(counts.messages, 7);
}

#[test]
fn text_that_cannot_be_decoded_counts_as_it_is_written() {
    let (texts, _) = visit(Surface::ChatCompletions, r#"{"model":"m","messages":[{"content":"\ud800"},{"content":"rest"}]}"#);
    assert!(texts.concat().contains("rest"));
}

#[test]
fn a_query_and_its_documents_are_prompt() {
    let (texts, _) = visit(Surface::Rerank, r#"{"model":"m","query":"q","documents":["a",{"text":"b","id":"no text"}]}"#);
    assert_eq!(texts, ["q", "a", "b"]);
}
