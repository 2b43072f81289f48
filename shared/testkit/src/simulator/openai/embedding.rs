//! Embeddings: vectors that depend on the text alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::render::usage_json;
use crate::simulator::asked::{Asked, Encoding};
use crate::simulator::ids::{fingerprint, mix};
use crate::simulator::models::Task;
use crate::simulator::usage::UsageFigures;

/// The answer to an embeddings request.
pub(in crate::simulator) fn answer(asked: &Asked, model: &str, usage: Option<UsageFigures>) -> Value {
    let dimensions = asked.dimensions.unwrap_or_else(|| usual_dimensions(model));
    let embed = |(index, text): (usize, &str)| {
        let vector = vector(text, dimensions);
        let embedding = if asked.encoding == Encoding::Base64 { json!(encode(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = asked.inputs.iter().map(|input| input.text.as_str()).enumerate().map(embed).collect();
    let mut answer = json!({"object": "list", "data": data, "model": model});
    if let Some(usage) = usage {
        answer["usage"] = usage_json(usage, Task::Embedding);
    }
    answer
}

fn usual_dimensions(model: &str) -> u32 {
    match model {
        "text-embedding-3-large" => 3072,
        model if model.starts_with("text-embedding") => 1536,
        _ => 8,
    }
}

/// A vector of length 1.
pub(in crate::simulator) fn vector(text: &str, dimensions: u32) -> Vec<f32> {
    let mut state = fingerprint(text.as_bytes());
    let mut figure = || f32::from(u16::try_from(mix(&mut state) >> 48).unwrap_or(0)) / 32_768.0 - 1.0;
    let raw: Vec<f32> = (0..dimensions).map(|_| figure()).collect();
    let length = raw.iter().map(|part| part * part).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.iter().map(|part| part / length).collect()
}

/// Little-endian 32-bit floats in base64, as the official SDKs ask for.
fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|part| part.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one_and_depend_on_the_text_alone() {
        let one = vector("one", 64);
        assert_eq!(one, vector("one", 64));
        assert_ne!(one, vector("two", 64));
        let length: f32 = one.iter().map(|part| part * part).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
    }
}
