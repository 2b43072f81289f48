//! Bodies of models that clouds serve.

use sluice_dialect::json::{self, Fields};

/// Takes out what the address says, and puts in the version.
pub(super) fn claude(body: &mut Fields, version: &str, keeps_stream: bool) {
    body.remove("model");
    if !keeps_stream {
        body.remove("stream");
    }
    body.set("anthropic_version", json::quoted(version));
}

/// Takes the ids off Gemini's calls and results.
pub(super) fn drop_call_ids(body: &mut Fields) {
    body.each_object("contents", |content| {
        content.each_object("parts", |part| {
            for call in ["functionCall", "functionResponse"] {
                part.within(call, |call| {
                    call.remove("id");
                });
            }
        });
    });
}
