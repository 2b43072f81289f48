//! What the real services answer to a request they refuse: one error, four forms of it.

use serde_json::{Value, json};

use super::scenario::Scenario;

/// Whose house rules an endpoint follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum House {
    /// `api.openai.com`.
    OpenAi,
    /// Azure OpenAI: other credentials, other errors, content filter results.
    Azure,
    /// `api.anthropic.com`.
    Anthropic,
    /// `generativelanguage.googleapis.com`.
    Google,
}

/// An error answer: a status and what its body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// The `type` of OpenAI's form.
    pub(super) kind: Option<String>,
    pub(super) param: Option<Box<str>>,
    pub(super) code: Option<Box<str>>,
    pub(super) retry_after: Option<u64>,
    /// Whether `kind` is also the `type` or `status` of Anthropic's and Google's forms, instead of the one of the HTTP status.
    has_own_kind: bool,
    /// The one of the `details` of Google's form.
    detail: Option<Box<Value>>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind: Some("invalid_request_error".to_owned()),
            param: None,
            code: None,
            retry_after: None,
            has_own_kind: false,
            detail: None,
        }
    }

    /// The usual refusal of a bad request.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.into());
        self
    }

    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self
    }

    fn own_kind(&self) -> Option<&str> {
        self.kind.as_deref().filter(|_| self.has_own_kind)
    }

    /// The body in a house's form. `request_id` is the one in the headers.
    pub(super) fn body(&self, house: House, request_id: &str) -> Value {
        match house {
            House::OpenAi | House::Azure => {
                json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
            }
            House::Anthropic => {
                let kind = self.own_kind().unwrap_or_else(|| anthropic_type(self.status));
                json!({"type": "error", "error": {"type": kind, "message": self.message}, "request_id": request_id})
            }
            House::Google => {
                let status = self.own_kind().unwrap_or_else(|| google_status(self.status));
                let mut error = json!({"code": self.status, "message": self.message, "status": status});
                if let Some(detail) = &self.detail {
                    error["details"] = json!([detail]);
                }
                json!({"error": error})
            }
        }
    }

    pub(super) fn invalid_json(house: House) -> Self {
        match house {
            House::OpenAi | House::Azure => {
                Self::bad("We could not parse the JSON body of your request: the payload is not valid JSON.")
            }
            House::Anthropic => Self::bad("The request body is not valid JSON: it could not be parsed."),
            House::Google => Self::bad("Invalid JSON payload received. The payload could not be parsed."),
        }
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::bad(format!("Missing required parameter: '{param}'.")).param(param).code("missing_required_parameter")
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
        Self::bad(text).param(param).code("invalid_type")
    }

    pub(super) fn invalid_value(param: &str, rule: &str) -> Self {
        Self::bad(format!("Invalid value for '{param}': {rule}.")).param(param).code("invalid_value")
    }

    pub(super) fn unknown_model(model: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(404, format!("The model `{model}` does not exist or you do not have access to it."))
                .code("model_not_found"),
            House::Azure => Self { kind: None, ..Self::new(404, "The API deployment for this resource does not exist.") }
                .code("DeploymentNotFound"),
            House::Anthropic => Self::new(404, format!("model: {model}")),
            House::Google => Self::new(
                404,
                format!(
                    "models/{model} is not found for API version v1beta, or is not supported for generateContent. \
                     Call ListModels to see the list of available models and their supported methods."
                ),
            ),
        }
    }

    pub(super) fn key_missing(house: House) -> Self {
        match house {
            House::OpenAi => Self::new(
                401,
                "You didn't provide an API key. Send it in an Authorization header: Authorization: Bearer YOUR_KEY.",
            ),
            House::Azure => Self { kind: None, ..Self::new(401, AZURE_DENIED) }.code("401"),
            House::Anthropic => Self::new(401, "x-api-key header is required"),
            House::Google => Self::new(403, GOOGLE_ANONYMOUS),
        }
    }

    pub(super) fn key_wrong(hint: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(401, format!("Incorrect API key provided: {hint}.")).code("invalid_api_key"),
            House::Azure => Self::key_missing(house),
            House::Anthropic => Self::new(401, "invalid x-api-key"),
            House::Google => Self::bad("API key not valid. Please pass a valid API key.").detail(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            })),
        }
    }

    pub(super) fn unknown_path(method: &str, path: &str, house: House) -> Self {
        match house {
            House::OpenAi => Self::new(404, format!("Invalid URL ({method} {path})")),
            House::Azure => Self { kind: None, ..Self::new(404, "Resource not found") }.code("404"),
            House::Anthropic => Self::new(404, "Not Found"),
            House::Google => Self::new(404, format!("The requested URL {path} was not found on this server.")),
        }
    }

    pub(super) fn wrong_method(method: &str, path: &str, house: House) -> Self {
        match house {
            House::Anthropic => Self::new(405, "Method Not Allowed"),
            House::Google => Self::new(404, format!("The requested URL {path} was not found on this server.")),
            House::OpenAi | House::Azure => {
                let text =
                    format!("Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)");
                Self::new(405, text).code("method_not_supported")
            }
        }
    }

    pub(super) fn too_large(house: House) -> Self {
        match house {
            House::Anthropic => Self::new(413, "Request exceeds the maximum size"),
            House::Google => Self::bad("Request payload size exceeds the limit."),
            House::OpenAi | House::Azure => Self::new(413, "Request too large.").code("request_too_large"),
        }
    }

    /// The usual error of this status, with what the scenario says otherwise.
    pub(super) fn of_scenario(status: u16, scenario: &Scenario, house: House) -> Self {
        let mut refusal = match house {
            House::OpenAi | House::Azure => usual(status),
            House::Anthropic => Self::new(status, anthropic_message(status)),
            House::Google => Self::new(status, google_message(status)),
        };
        refusal.retry_after = scenario.retry_after;
        if let Some(message) = &scenario.error_message {
            refusal.message.clone_from(message);
        }
        if let Some(kind) = &scenario.error_type {
            refusal = refusal.kind(kind);
            refusal.has_own_kind = true;
        }
        if let Some(code) = &scenario.error_code {
            refusal = refusal.code(code);
        }
        refusal
    }
}

const AZURE_DENIED: &str =
    "Access denied due to invalid subscription key or wrong API endpoint. Provide a valid key for an active subscription.";
const GOOGLE_ANONYMOUS: &str = "Method doesn't allow unregistered callers (callers without established identity). \
     Please use API Key or other form of API consumer identity to call this API.";

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

/// <https://docs.claude.com/en/api/errors>
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_message(status: u16) -> &'static str {
    match status {
        401 => "invalid x-api-key",
        403 => "Your API key does not have permission to use the specified resource",
        404 => "model: the scenario says so",
        413 => "Request exceeds the maximum size",
        429 => "This request would exceed your organization's rate limit. Please try again later.",
        529 => "Overloaded",
        500.. => "Internal server error",
        _ => "The request was refused.",
    }
}

/// <https://cloud.google.com/apis/design/errors>
fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

fn google_message(status: u16) -> &'static str {
    match status {
        401 => "Request had invalid authentication credentials.",
        403 => "The caller does not have permission",
        404 => "Requested entity was not found.",
        429 => "Resource has been exhausted (e.g. check quota).",
        503 => "The model is overloaded. Please try again later.",
        504 => "Deadline expired before operation could complete.",
        500.. => "An internal error has occurred. Please retry or report the issue.",
        _ => "Request contains an invalid argument.",
    }
}
