//! Reranking in the form of Jina, which OpenAI itself does not have: documents by how many words of the query they hold.
//!
//! Unknown fields and wrong kinds are refused; documents are texts, or objects with one.

use serde_json::{Map, Value, json};

use super::fields::{boolean, given, integer, text};
use crate::simulator::asked::{Asked, Input, count_words};
use crate::simulator::refusal::Refusal;
use crate::simulator::usage::UsageFigures;

const KNOWN: [&str; 8] =
    ["model", "query", "documents", "top_n", "return_documents", "max_chunk_per_doc", "overlap_tokens", "rank_fields"];

pub(in crate::simulator) fn check(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    if let Some(name) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Refusal::bad(format!("Unrecognized request argument supplied: {name}")).param(name));
    }
    let query = text(body, "query")?.ok_or_else(|| Refusal::missing("query"))?;
    if query.is_empty() {
        return Err(Refusal::invalid_value("query", "it is empty"));
    }
    let documents = given(body, "documents").ok_or_else(|| Refusal::missing("documents"))?;
    let documents = documents.as_array().ok_or_else(|| Refusal::wrong_type("documents", "an array", documents))?;
    if documents.is_empty() {
        return Err(Refusal::invalid_value("documents", "the array is empty"));
    }
    let inputs: Vec<Input> = documents.iter().map(input).collect::<Result<_, _>>()?;
    let words = count_words(query) + inputs.iter().map(|input| input.tokens).sum::<i64>();
    Ok(Asked {
        prompt_tokens: words.max(1),
        top: integer(body, "top_n", 1, u32::MAX)?,
        returns_documents: boolean(body, "return_documents")?.unwrap_or(true),
        last_text: query.to_owned(),
        inputs,
        ..Asked::default()
    })
}

fn input(document: &Value) -> Result<Input, Refusal> {
    let text = document.as_str().or_else(|| document["text"].as_str());
    let text = text.ok_or_else(|| Refusal::wrong_type("documents", "strings, or objects with a text", document))?;
    Ok(Input { text: text.to_owned(), tokens: count_words(text) })
}

/// The answer: the best first.
pub(in crate::simulator) fn answer(asked: &Asked, model: &str, usage: Option<UsageFigures>) -> Value {
    let words: Vec<&str> = asked.last_text.split_whitespace().collect();
    let held = |text: &str| words.iter().filter(|word| text.split_whitespace().any(|one| one == **word)).count();
    let mut found: Vec<(usize, usize)> =
        asked.inputs.iter().enumerate().map(|(index, input)| (index, held(&input.text))).collect();
    found.sort_by_key(|(index, held)| (std::cmp::Reverse(*held), *index));
    let top = asked.top.map_or(found.len(), |top| top as usize);
    let result = |(index, held): (usize, usize)| {
        let share = f64::from(u32::try_from(held).unwrap_or(0)) / f64::from(u32::try_from(words.len().max(1)).unwrap_or(1));
        let mut result = json!({"index": index, "relevance_score": share});
        if asked.returns_documents {
            result["document"] = json!({"text": asked.inputs[index].text});
        }
        result
    };
    let results: Vec<Value> = found.into_iter().take(top).map(result).collect();
    let mut answer = json!({"model": model, "object": "list", "results": results});
    if let Some(usage) = usage {
        answer["usage"] = json!({"total_tokens": usage.prompt_tokens});
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &Value) -> Result<Asked, Refusal> {
        check(body.as_object().unwrap())
    }

    #[test]
    fn the_document_that_holds_most_of_the_query_is_first() {
        let body = json!({"query": "red fox", "documents": ["a dog", {"text": "the red fox"}, "a fox"], "top_n": 2});
        let answer = answer(&asked(&body).unwrap(), "m", None);
        assert_eq!(answer["results"][0], json!({"index": 1, "relevance_score": 1.0, "document": {"text": "the red fox"}}));
        assert_eq!(answer["results"][1]["index"], 2);
        assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_search_is_refused_by_name() {
        for (body, param) in [
            (json!({"documents": ["a"]}), "query"),
            (json!({"query": "", "documents": ["a"]}), "query"),
            (json!({"query": "q", "documents": []}), "documents"),
            (json!({"query": "q", "documents": [1]}), "documents"),
            (json!({"query": "q", "documents": ["a"], "top_n": 0}), "top_n"),
            (json!({"query": "q", "documents": ["a"], "top_k": 1}), "top_k"),
        ] {
            assert_eq!(asked(&body).unwrap_err().param.as_deref(), Some(param), "{body}");
        }
    }
}
