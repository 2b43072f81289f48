//! An upstream's error for a caller who speaks another dialect.
//!
//! Where both speak the same, the upstream's words and status are the caller's. Where not, its message stays, and everything else follows
//! from the status it stands for (relay-api.md §9.2 and §9.3, conversions.md §12): a caller of Chat is never told `RESOURCE_EXHAUSTED`.

use sluice_domain::Dialect;

use super::UpstreamError;

/// Anthropic's status for "too busy", which no other SDK knows.
const OVERLOADED: u16 = 529;

impl UpstreamError {
    /// The same for a caller of a dialect, with the status that the caller is told. `status` is the one it stands for.
    #[must_use]
    pub fn for_caller(self, status: u16, caller: Dialect) -> (u16, Self) {
        let caller = if caller == Dialect::Responses { Dialect::OpenAi } else { caller };
        if self.form == Some(caller) {
            let is_foreign_status = status == OVERLOADED && caller != Dialect::Anthropic;
            return (if is_foreign_status { 503 } else { status }, self);
        }
        let told = told_status(status, caller);
        let (kind, code) = self.words(told);
        let (kind, code) = (Some(kind.to_owned()), code.map(str::to_owned));
        (told, Self { kind, code, param: None, metadata: None, ..self })
    }

    /// OpenAI's `type` and `code` for a status.
    fn words(&self, told: u16) -> (&'static str, Option<&'static str>) {
        const CALLERS: &str = "invalid_request_error";
        match told {
            404 if self.is_unknown_model() => (CALLERS, Some("model_not_found")),
            404 => (CALLERS, None),
            413 => (CALLERS, Some("request_too_large")),
            429 => ("rate_limit_error", Some("rate_limit_exceeded")),
            400 if self.is_context_too_long() => (CALLERS, Some("context_length_exceeded")),
            400..=499 => (CALLERS, Some("invalid_request")),
            503 | OVERLOADED => ("server_error", None),
            504 => ("upstream_error", Some("upstream_timeout")),
            _ => ("upstream_error", Some("bad_response_status_code")),
        }
    }

    /// Whether the model is not known where it was asked for.
    #[must_use]
    pub fn is_unknown_model(&self) -> bool {
        let is_named = [&self.code, &self.kind]
            .into_iter()
            .flatten()
            .any(|word| matches!(word.as_str(), "model_not_found" | "DeploymentNotFound"));
        let message = self.message.to_ascii_lowercase();
        let says_so = ["not found", "not exist", "unknown", "no such"].iter().any(|part| message.contains(part));
        is_named || (message.contains("model") && says_so)
    }

    /// Whether the request is longer than the model takes, by the code of OpenAI or the sentences of the others.
    fn is_context_too_long(&self) -> bool {
        const SENTENCES: [&str; 5] = [
            // Anthropic
            "prompt is too long",
            "exceed context limit",
            // Google
            "exceeds the maximum number of tokens allowed",
            // Bedrock
            "input is too long",
            // OpenAI and those who speak like it
            "maximum context length",
        ];
        let message = self.message.to_ascii_lowercase();
        self.code.as_deref() == Some("context_length_exceeded") || SENTENCES.iter().any(|part| message.contains(part))
    }
}

/// The status a caller is told in place of an upstream's.
const fn told_status(status: u16, caller: Dialect) -> u16 {
    match status {
        422 => 400,
        408 | 504 | 524 => 504,
        OVERLOADED if matches!(caller, Dialect::Anthropic) => OVERLOADED,
        503 | OVERLOADED => 503,
        500..=599 => 502,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str, caller: Dialect) -> (u16, Option<String>, Option<String>) {
        let (status, error) = UpstreamError::read(status, body.as_bytes(), &[]).for_caller(status, caller);
        (status, error.kind, error.code)
    }

    fn words(status: u16, kind: &str, code: &str) -> (u16, Option<String>, Option<String>) {
        (status, Some(kind.to_owned()), Some(code.to_owned()))
    }

    const BUSY: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    const RATE: &str = r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}"#;

    #[test]
    fn the_same_dialect_keeps_its_words() {
        let openai = r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#;
        for caller in [Dialect::OpenAi, Dialect::Responses] {
            let (status, error) = UpstreamError::read(422, openai.as_bytes(), &[]).for_caller(422, caller);
            assert_eq!((status, error.kind.as_deref(), error.param.as_deref()), (422, Some("t"), Some("p")));
        }
        assert_eq!(told(529, BUSY, Dialect::Anthropic).0, 529);
        assert_eq!(told(429, RATE, Dialect::Gemini), words(429, "RESOURCE_EXHAUSTED", "429"));
    }

    #[test]
    fn another_dialect_gets_words_of_its_own() {
        assert_eq!(told(429, RATE, Dialect::OpenAi), words(429, "rate_limit_error", "rate_limit_exceeded"));
        assert_eq!(told(529, BUSY, Dialect::Responses), (503, Some("server_error".to_owned()), None));
        assert_eq!(told(529, BUSY, Dialect::Gemini).0, 503);
        let openai = r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#;
        assert_eq!(told(500, openai, Dialect::Anthropic), words(502, "upstream_error", "bad_response_status_code"));
        assert_eq!(told(422, openai, Dialect::Gemini), words(400, "invalid_request_error", "invalid_request"));
        assert_eq!(told(408, openai, Dialect::Anthropic).0, 504);
        assert_eq!(told(529, openai, Dialect::OpenAi).0, 503, "whoever says it");
        assert_eq!(told(413, BUSY, Dialect::OpenAi), words(413, "invalid_request_error", "request_too_large"));
    }

    #[test]
    fn a_form_of_a_providers_own_is_nobodys() {
        let vendor = r#"{"code":"InvalidParameter","message":"m"}"#;
        assert_eq!(told(400, vendor, Dialect::OpenAi), words(400, "invalid_request_error", "invalid_request"));
        assert_eq!(
            UpstreamError::told(429, "18", "m", &[]).for_caller(429, Dialect::OpenAi).1.code.as_deref(),
            Some("rate_limit_exceeded")
        );
        let served = r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#;
        assert_eq!(told(400, served, Dialect::OpenAi), words(400, "BadRequestError", "400"));
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_as_such() {
        let long = "context_length_exceeded";
        for (body, caller) in [
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
                Dialect::OpenAi,
            ),
            (
                r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}"#,
                Dialect::Responses,
            ),
            (r#"{"message":"Input is too long for requested model."}"#, Dialect::OpenAi),
            (r#"{"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}"#, Dialect::Anthropic),
        ] {
            assert_eq!(told(400, body, caller), words(400, "invalid_request_error", long), "{body}");
        }
    }

    #[test]
    fn a_model_nobody_knows_is_told_as_such() {
        let google = r#"{"error":{"code":404,"message":"models/x is not found for API version v1beta","status":"NOT_FOUND"}}"#;
        assert_eq!(told(404, google, Dialect::OpenAi), words(404, "invalid_request_error", "model_not_found"));
        let other = r#"{"error":{"code":404,"message":"nothing there","status":"NOT_FOUND"}}"#;
        assert_eq!(told(404, other, Dialect::OpenAi), (404, Some("invalid_request_error".to_owned()), None));
    }
}
