//! What the real service answers to a request it refuses.

use serde_json::{Value, json};

use super::scenario::Scenario;

/// Whose house rules an endpoint follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum House {
    /// `api.openai.com`.
    OpenAi,
    /// Azure OpenAI: other credentials, other errors, content filter results.
    Azure,
}

/// An error answer: a status and the `error` object of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) kind: Option<String>,
    pub(super) param: Option<String>,
    pub(super) code: Option<String>,
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        let kind = Some("invalid_request_error".to_owned());
        Self { status, message: message.into(), kind, param: None, code: None, retry_after: None }
    }

    pub(super) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    pub(super) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self
    }

    pub(super) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }

    pub(super) fn invalid_json() -> Self {
        Self::new(400, "We could not parse the JSON body of your request: the payload is not valid JSON.")
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::new(400, format!("Missing required parameter: '{param}'.")).param(param).code("missing_required_parameter")
    }

    pub(super) fn wrong_type(param: &str, expected: &str, got: &Value) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if number.is_f64() => "a decimal number",
            Value::Number(_) => "an integer",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let text = format!("Invalid type for '{param}': expected {expected}, but got {got} instead.");
        Self::new(400, text).param(param).code("invalid_type")
    }

    pub(super) fn invalid_value(param: &str, rule: &str) -> Self {
        Self::new(400, format!("Invalid value for '{param}': {rule}.")).param(param).code("invalid_value")
    }

    pub(super) fn unknown_model(model: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(404, format!("The model `{model}` does not exist or you do not have access to it."))
                .code("model_not_found"),
            House::Azure => Self { kind: None, ..Self::new(404, "The API deployment for this resource does not exist.") }
                .code("DeploymentNotFound"),
        }
    }

    pub(super) fn key_missing(house: House) -> Self {
        match house {
            House::OpenAi => Self::new(
                401,
                "You didn't provide an API key. Send it in an Authorization header: Authorization: Bearer YOUR_KEY.",
            ),
            House::Azure => Self { kind: None, ..Self::new(401, AZURE_DENIED) }.code("401"),
        }
    }

    pub(super) fn key_wrong(hint: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(401, format!("Incorrect API key provided: {hint}.")).code("invalid_api_key"),
            House::Azure => Self::key_missing(house),
        }
    }

    pub(super) fn unknown_path(method: &str, path: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(404, format!("Invalid URL ({method} {path})")),
            House::Azure => Self { kind: None, ..Self::new(404, "Resource not found") }.code("404"),
        }
    }

    pub(super) fn wrong_method(method: &str, path: &str) -> Self {
        let text = format!("Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)");
        Self::new(405, text).code("method_not_supported")
    }

    /// The usual error of this status, with what the scenario says otherwise.
    pub(super) fn of_scenario(status: u16, scenario: &Scenario) -> Self {
        let mut refusal = usual(status);
        refusal.retry_after = scenario.retry_after;
        if let Some(message) = &scenario.error_message {
            refusal.message.clone_from(message);
        }
        if let Some(kind) = &scenario.error_type {
            refusal = refusal.kind(kind);
        }
        if let Some(code) = &scenario.error_code {
            refusal = refusal.code(code);
        }
        refusal
    }
}

const AZURE_DENIED: &str =
    "Access denied due to invalid subscription key or wrong API endpoint. Provide a valid key for an active subscription.";

fn usual(status: u16) -> Refusal {
    match status {
        401 => Refusal::new(401, "Incorrect API key provided: sk-sim…. The scenario says so.").code("invalid_api_key"),
        402 | 403 => Refusal::new(status, "You are not allowed to sample from this model.").code("model_access_denied"),
        404 => Refusal::new(404, "The model does not exist or you do not have access to it.").code("model_not_found"),
        413 => Refusal::new(413, "Request too large.").code("request_too_large"),
        429 => Refusal::new(429, "Rate limit reached for requests. Please try again later.")
            .kind("requests")
            .code("rate_limit_exceeded"),
        503 => Refusal::new(503, "The engine is currently overloaded, please try again later.").kind("server_error"),
        500.. => Refusal::new(status, "The server had an error while processing your request.").kind("server_error"),
        _ => Refusal::new(status, format!("The request was refused with status {status}.")),
    }
}
