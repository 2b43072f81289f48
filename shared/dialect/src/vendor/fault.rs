//! Errors that vendors send with status 200, in whichever form, as one: message, the vendor's own code, and a word for what kind of error it
//! is, by which it is decided whose fault it was and whether somebody else is asked.

use serde_json::{Value, json};

use super::Vendor;
use super::settings::text;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The key is wrong, expired or may not do this.
    Key,
    /// The key's account has nothing left.
    Quota,
    /// Too much at once.
    Limit,
    /// The vendor is busy.
    Busy,
    /// What was asked for is not there.
    Missing,
    /// A filter refused what was said.
    Filter,
    /// The request is wrong.
    Request,
    /// The vendor failed.
    Server,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Key => "authentication_error",
            Self::Quota => "insufficient_quota",
            Self::Limit => "rate_limit_error",
            Self::Busy => "overloaded_error",
            Self::Missing => "not_found_error",
            Self::Filter => "content_filter",
            Self::Request => "invalid_request_error",
            Self::Server => "server_error",
        }
    }

    const fn of_status(status: u64) -> Self {
        match status {
            401 | 403 => Self::Key,
            402 => Self::Quota,
            404 => Self::Missing,
            429 => Self::Limit,
            503 => Self::Busy,
            400..=499 => Self::Request,
            _ => Self::Server,
        }
    }
}

/// The error that an answer, or an event of a stream, tells. `None` where it tells none.
pub(super) fn of(vendor: Vendor, answer: &Value) -> Option<Vec<u8>> {
    let (kind, code, message) = match vendor {
        Vendor::Ollama => ollama(answer)?,
        Vendor::Cohere => cohere(answer)?,
        Vendor::DeepL => plain(answer)?,
        Vendor::DashScope => dashscope(answer)?,
        Vendor::Dify => dify(answer)?,
        Vendor::Coze => coze(answer)?,
        Vendor::Hunyuan => hunyuan(answer)?,
        Vendor::Wenxin => wenxin(answer)?,
        Vendor::ZhipuV3 => zhipu(answer)?,
        Vendor::Replicate => replicate(answer)?,
        Vendor::Spark => spark(answer)?,
        Vendor::Library => library(answer)?,
    };
    let code = Some(code).filter(|code| !code.is_empty());
    Some(json!({"error": {"message": message, "type": kind.word(), "code": code}}).to_string().into_bytes())
}

type Told<'v> = (Kind, String, &'v str);

/// The kind whose words a code begins with; the vendor's failure where it begins with none.
fn by_beginning(code: &str, kinds: &[(&[&str], Kind)]) -> Kind {
    let found = kinds.iter().find(|(words, _)| words.iter().any(|word| code.starts_with(word)));
    found.map_or(Kind::Server, |(_, kind)| *kind)
}

fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// `{"error":"model 'x' not found"}`: <https://docs.ollama.com/api/errors>
fn ollama(answer: &Value) -> Option<Told<'_>> {
    let message = answer.get("error")?.as_str().filter(|message| !message.is_empty())?;
    let kind = if message.contains("not found") { Kind::Missing } else { Kind::Server };
    Some((kind, String::new(), message))
}

/// `{"message":"…"}`, where an answer has an object of that name or none.
fn plain(answer: &Value) -> Option<Told<'_>> {
    let message = answer.get("message")?.as_str().filter(|message| !message.is_empty())?;
    Some((Kind::Server, String::new(), message))
}

/// The same, or an answer that ended by an error: <https://docs.cohere.com/reference/chat#response.body.finish_reason>
fn cohere(answer: &Value) -> Option<Told<'_>> {
    match text(answer, "/finish_reason") {
        reason @ ("ERROR" | "TIMEOUT") => {
            Some((Kind::Server, reason.to_owned(), "the upstream failed in the middle of its answer"))
        }
        _ => plain(answer),
    }
}

/// `{"code":"Throttling.RateQuota","message":"…","request_id":"…"}`: <https://help.aliyun.com/zh/model-studio/error-code>
fn dashscope(answer: &Value) -> Option<Told<'_>> {
    const KINDS: [(&[&str], Kind); 7] = [
        (&["Throttling", "LimitRequests"], Kind::Limit),
        (&["Arrearage", "PrepaidBillOverdue", "PostpaidBillOverdue", "CommodityNotPurchased"], Kind::Quota),
        (&["InvalidApiKey", "AccessDenied", "Unauthorized"], Kind::Key),
        (&["DataInspectionFailed", "data_inspection_failed"], Kind::Filter),
        (&["ModelNotFound", "Model.NotFound", "WorkSpaceNotFound"], Kind::Missing),
        (&["Invalid", "BadRequest", "Unsupported"], Kind::Request),
        (&["ServiceUnavailable", "ModelUnavailable", "ModelServing"], Kind::Busy),
    ];
    let code = answer.get("code")?.as_str().filter(|code| !code.is_empty())?;
    Some((by_beginning(code, &KINDS), code.to_owned(), text(answer, "/message")))
}

/// `{"event":"error","status":400,"code":"invalid_param","message":"…"}`, or the same without an event:
/// <https://docs.dify.ai/api-reference/chat/send-chat-message>
fn dify(answer: &Value) -> Option<Told<'_>> {
    let is_event = answer.get("event").is_some();
    let is_error = text(answer, "/event") == "error" || (!is_event && answer.get("code").is_some_and(Value::is_string));
    if !is_error {
        return None;
    }
    let code = text(answer, "/code");
    let kind = match code {
        "provider_quota_exceeded" => Kind::Quota,
        "app_unavailable" | "provider_not_initialize" | "model_currently_not_support" => Kind::Busy,
        _ => Kind::of_status(answer.get("status").and_then(Value::as_u64).unwrap_or(500)),
    };
    Some((kind, code.to_owned(), text(answer, "/message")))
}

/// `{"code":4100,"msg":"…"}`, in a stream also inside `last_error`: <https://www.coze.cn/open/docs/developer_guides/coze_error_codes>
fn coze(answer: &Value) -> Option<Told<'_>> {
    let is_wrong = |pointer: &str| number(answer, pointer).filter(|code| *code != 0);
    let (code, message) = match (is_wrong("/code"), is_wrong("/last_error/code")) {
        (Some(code), _) => (code, "/msg"),
        (None, Some(code)) => (code, "/last_error/msg"),
        (None, None) => return None,
    };
    let kind = match code {
        4100 | 4101 | 700_012_006 => Kind::Key,
        4008 | 4009 | 4011 | 4027 | 4028 => Kind::Quota,
        4013 | 4014 => Kind::Limit,
        4015 | 4016 | 4200 => Kind::Missing,
        4000..=4099 => Kind::Request,
        _ => Kind::Server,
    };
    Some((kind, code.to_string(), text(answer, message)))
}

/// `{"Response":{"Error":{"Code":"AuthFailure.SignatureFailure","Message":"…"}}}`, in a stream also `ErrorMsg`. The code is a text:
/// <https://cloud.tencent.com/document/api/1729/101842>
fn hunyuan(answer: &Value) -> Option<Told<'_>> {
    const KINDS: [(&[&str], Kind); 6] = [
        (&["AuthFailure", "UnauthorizedOperation"], Kind::Key),
        (&["RequestLimitExceeded", "LimitExceeded", "FailedOperation.EngineServerLimitExceeded"], Kind::Limit),
        (
            &[
                "ResourceInsufficient",
                "FailedOperation.ResourcePackExhausted",
                "FailedOperation.FreeResourcePackExhausted",
                "FailedOperation.ServiceNotActivated",
                "FailedOperation.ServiceStop",
            ],
            Kind::Quota,
        ),
        (&["OperationDenied"], Kind::Filter),
        (&["ResourceNotFound"], Kind::Missing),
        (&["Invalid", "MissingParameter", "Unknown", "Unsupported"], Kind::Request),
    ];
    if let Some(error) = answer.pointer("/ErrorMsg").filter(|error| error.is_object()) {
        let code = error.get("Code").map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
        return Some((Kind::Server, code.unwrap_or_default(), text(error, "/Msg")));
    }
    let error = answer.pointer("/Response/Error").or_else(|| answer.get("Error")).filter(|error| error.is_object())?;
    let code = text(error, "/Code");
    let kind = by_beginning(code, &KINDS);
    Some((kind, code.to_owned(), text(error, "/Message")))
}

/// `{"error_code":110,"error_msg":"Access token invalid or no longer valid"}`:
/// <https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh>
fn wenxin(answer: &Value) -> Option<Told<'_>> {
    let code = number(answer, "/error_code").filter(|code| *code != 0)?;
    let kind = match code {
        6 | 13..=15 | 100 | 110 | 111 => Kind::Key,
        17 | 19 => Kind::Quota,
        4 | 18 | 336_501 | 336_502 => Kind::Limit,
        336_100 => Kind::Busy,
        3 | 336_001 | 336_006 | 336_101..=336_120 | 336_002..=336_005 | 336_007..=336_010 => Kind::Request,
        _ => Kind::Server,
    };
    Some((kind, code.to_string(), text(answer, "/error_msg")))
}

/// `{"success":false,"code":1214,"msg":"…"}`, in a stream an event `error`: <https://open.bigmodel.cn/dev/api/error-code>
fn zhipu(answer: &Value) -> Option<Told<'_>> {
    if matches!(text(answer, "/event"), "error" | "interrupted") {
        return Some((Kind::Server, String::new(), text(answer, "/data")));
    }
    if answer.get("success").is_none_or(|success| *success == true) {
        return None;
    }
    let code = number(answer, "/code").unwrap_or(0);
    let kind = match code {
        1000..=1004 | 1220 => Kind::Key,
        1110..=1113 | 1304 => Kind::Quota,
        1302 | 1303 | 1305 => Kind::Limit,
        1211 | 1222 => Kind::Missing,
        1301 => Kind::Filter,
        1210..=1215 | 1231 | 1261 => Kind::Request,
        _ => Kind::Server,
    };
    Some((kind, code.to_string(), text(answer, "/msg")))
}

/// A prediction that failed, or `{"title":"…","detail":"…","status":402}`: <https://replicate.com/docs/reference/http>
fn replicate(answer: &Value) -> Option<Told<'_>> {
    if let Some(detail) = answer.get("detail").and_then(Value::as_str) {
        let status = answer.get("status").and_then(Value::as_u64).unwrap_or(500);
        return Some((Kind::of_status(status), String::new(), detail));
    }
    match text(answer, "/status") {
        "failed" => Some((Kind::Server, "failed".to_owned(), text(answer, "/error"))),
        "canceled" | "aborted" => Some((Kind::Server, "canceled".to_owned(), "the prediction was canceled")),
        "starting" | "processing" => {
            Some((Kind::Busy, "processing".to_owned(), "the prediction was not ready in the time that its creation waits"))
        }
        _ => None,
    }
}

/// `{"header":{"code":10013,"message":"…"}}`: <https://www.xfyun.cn/doc/spark/%E6%8E%A5%E5%8F%A3%E8%AF%B4%E6%98%8E.html>
fn spark(answer: &Value) -> Option<Told<'_>> {
    let code = number(answer, "/header/code").filter(|code| *code != 0)?;
    let kind = match code {
        10_013 | 10_014 | 10_019 => Kind::Filter,
        10_907 | 10_003..=10_006 | 10_163 => Kind::Request,
        10_007 | 10_008 | 11_202 | 11_203 => Kind::Limit,
        10_110 | 10_222 => Kind::Busy,
        11_200 => Kind::Key,
        11_201 => Kind::Quota,
        _ => Kind::Server,
    };
    Some((kind, code.to_string(), text(answer, "/header/message")))
}

/// `{"success":false,"errCode":1,"message":"…"}`: <https://docs.aiproxy.io/dev/library>
fn library(answer: &Value) -> Option<Told<'_>> {
    let code = number(answer, "/errCode").unwrap_or(0);
    let is_wrong = code != 0 || answer.get("success").is_some_and(|success| *success == false);
    is_wrong.then(|| (Kind::Server, code.to_string(), text(answer, "/message")))
}
