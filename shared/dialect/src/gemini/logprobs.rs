//! `logprobsResult`: chosen tokens and, in a second list, what else could have stood there.

use serde_json::{Value, json};

use super::spelling;
use crate::ir::TokenLogprob;

/// The tokens of a candidate, in order; none when it has none.
pub(super) fn read(candidate: &Value) -> Vec<TokenLogprob> {
    let Some(result) = spelling::get(candidate, "logprobsResult") else { return Vec::new() };
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut alternatives = list(spelling::get(result, "topCandidates")).into_iter();
    let mut tokens = Vec::new();
    for chosen in &list(spelling::get(result, "chosenCandidates")) {
        let top = alternatives.next().map(|step| list(spelling::get(&step, "candidates"))).unwrap_or_default();
        let top = top.iter().filter_map(read_token).collect();
        tokens.extend(read_token(chosen).map(|token| TokenLogprob { top, ..token }));
    }
    tokens
}

fn read_token(token: &Value) -> Option<TokenLogprob> {
    let text = spelling::get(token, "token")?.as_str()?.to_owned();
    let logprob = spelling::get(token, "logProbability").and_then(Value::as_f64).unwrap_or(0.0);
    Some(TokenLogprob { token: text, logprob, bytes: None, top: Vec::new() })
}

/// The result for a caller; `None` without tokens.
pub(super) fn write(tokens: &[TokenLogprob]) -> Option<Value> {
    let one = |token: &TokenLogprob| json!({"token": token.token, "logProbability": token.logprob});
    let chosen: Vec<Value> = tokens.iter().map(one).collect();
    let top: Vec<Value> =
        tokens.iter().map(|token| json!({"candidates": token.top.iter().map(one).collect::<Value>()})).collect();
    (!tokens.is_empty()).then(|| json!({"chosenCandidates": chosen, "topCandidates": top}))
}
