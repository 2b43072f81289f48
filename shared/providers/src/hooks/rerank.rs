//! Reranking: forms of other providers, usage, documents that are left out.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sluice_dialect::json::Fields;

use super::dropped::Dropped;

/// Where an answer of reranking tells its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerankUsage {
    /// `usage.total_tokens`: all of it went in.
    TotalTokens,
    /// `meta.tokens.input_tokens` and `output_tokens`.
    MetaTokens,
}

/// The request in Alibaba's form.
pub(super) fn to_dashscope(body: &mut Fields, dropped: &mut Dropped) {
    let null = || Bytes::from_static(b"null");
    let (query, documents) = (body.remove("query").unwrap_or_else(null), body.remove("documents").unwrap_or_else(null));
    let top_n = body.remove("top_n").map_or_else(Vec::new, |count| [b"\"top_n\":", &count[..], b","].concat());
    let returns = body.remove("return_documents").unwrap_or_else(|| Bytes::from_static(b"true"));
    body.retain(|name| name == "model", |name, value| dropped.note(name, value));
    body.set("input", [b"{\"query\":", &query[..], b",\"documents\":", &documents, b"}"].concat());
    body.set("parameters", [b"{", &top_n[..], b"\"return_documents\":", &returns, b"}"].concat());
}

/// Alibaba's answer in the form of the others.
pub(super) fn from_dashscope(answer: &mut Map<String, Value>) {
    let results = answer.get_mut("output").and_then(|output| output.get_mut("results")).map(Value::take);
    let Some(results) = results else { return };
    answer.shift_remove("output");
    answer.insert("results".to_owned(), results);
    put_usage(answer, RerankUsage::TotalTokens);
}

/// Puts results where they are looked for, each document as an object.
pub(super) fn put_results(answer: &mut Map<String, Value>, from: &str) {
    let Some(mut results) = answer.shift_remove(from) else { return };
    for result in results.as_array_mut().into_iter().flatten() {
        if let Some(document) = result.get_mut("document").filter(|document| document.is_string()) {
            *document = json!({"text": document.take()});
        }
    }
    answer.insert("results".to_owned(), results);
}

/// Puts usage where it is read.
pub(super) fn put_usage(answer: &mut Map<String, Value>, from: RerankUsage) {
    let count = |value: Option<&Value>| value.and_then(Value::as_u64);
    let (input, output) = match from {
        RerankUsage::TotalTokens => (count(answer.get("usage").and_then(|usage| usage.get("total_tokens"))), 0),
        RerankUsage::MetaTokens => {
            let tokens = answer.get("meta").and_then(|meta| meta.get("tokens"));
            let get = |name: &str| count(tokens.and_then(|tokens| tokens.get(name)));
            (get("input_tokens"), get("output_tokens").unwrap_or_default())
        }
    };
    let Some(input) = input else { return };
    let total = input.saturating_add(output);
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": total});
    answer.insert("usage".to_owned(), usage);
}

/// Puts the documents of the request into results without one, if the caller wanted them.
pub(super) fn refill(asked: &Map<String, Value>, answer: &mut Map<String, Value>) {
    if asked.get("return_documents") != Some(&Value::Bool(true)) {
        return;
    }
    let Some(documents) = asked.get("documents").and_then(Value::as_array) else { return };
    let results = answer.get_mut("results").and_then(Value::as_array_mut);
    for result in results.into_iter().flatten().filter_map(Value::as_object_mut) {
        let index = result.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let Some(document) = index.and_then(|index| documents.get(index)) else { continue };
        let is_missing = match result.get("document") {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Object(object)) => object.is_empty(),
            Some(_) => false,
        };
        if is_missing {
            let document = if document.is_string() { json!({"text": document}) } else { document.clone() };
            result.insert("document".to_owned(), document);
        }
    }
}
