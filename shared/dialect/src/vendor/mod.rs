//! Protocols of conversations that only one vendor's upstreams speak: a caller's request is written for them, and their answers are read.
//!
//! Each vendor is a file with `write`, `read` (a whole answer) and `event` (one event of a stream, where it has streams of its own). What they
//! share stands beside them: the conversation as lines ([`talk`]), which wishes a vendor can be told ([`wishes`]), calls of tools in pieces
//! ([`calls`]), and errors, which most of them send with status 200 ([`fault`]). Sources are named in each file.

mod calls;
mod cohere;
mod coze;
mod dashscope;
mod deepl;
mod dify;
mod fault;
mod halt;
mod hunyuan;
mod library;
mod marks;
mod ollama;
mod replicate;
mod settings;
mod shape;
mod spark;
mod stream;
mod talk;
mod upload;
mod wenxin;
mod wishes;
mod zhipu;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::codec::{AnswerError, Reading, Written};
use crate::frames::Framing;
use crate::ir::{Request, Response};
use crate::json;
use crate::loss::{Losses, Unsupported};
use crate::target::Target;

pub use halt::Halt;
pub use stream::Reader;
pub use upload::{Form, Upload};

/// Whose protocol it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Vendor {
    /// Ollama's `POST /api/chat`.
    #[serde(rename = "ollama_chat")]
    Ollama,
    /// Cohere's `POST /v2/chat`.
    #[serde(rename = "cohere_chat")]
    Cohere,
    /// Alibaba's text generation, beside its compatible mode.
    #[serde(rename = "dashscope_generation")]
    DashScope,
    /// Dify's apps.
    #[serde(rename = "dify_app")]
    Dify,
    /// Coze's bots: `POST /v3/chat`.
    #[serde(rename = "coze_chat")]
    Coze,
    /// Tencent's `ChatCompletions`.
    #[serde(rename = "hunyuan_chat")]
    Hunyuan,
    /// Baidu's first interface.
    #[serde(rename = "wenxin_chat")]
    Wenxin,
    /// Zhipu's third interface.
    #[serde(rename = "zhipu_v3_invoke")]
    ZhipuV3,
    /// Replicate's predictions.
    #[serde(rename = "replicate_prediction")]
    Replicate,
    /// DeepL's translations.
    #[serde(rename = "deepl_translate")]
    DeepL,
    /// iFlytek's Spark, by WebSocket.
    #[serde(rename = "spark_chat")]
    Spark,
    /// AI Proxy's knowledge libraries.
    #[serde(rename = "library_ask")]
    Library,
}

/// In which form a vendor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// As it is asked to.
    AsAsked,
    /// As a stream, which is gathered for callers that want none.
    Streamed,
    /// In one piece, which is told again as a stream to callers that want one.
    Whole,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 12] = [
        Self::Ollama,
        Self::Cohere,
        Self::DashScope,
        Self::Dify,
        Self::Coze,
        Self::Hunyuan,
        Self::Wenxin,
        Self::ZhipuV3,
        Self::Replicate,
        Self::DeepL,
        Self::Spark,
        Self::Library,
    ];

    /// The word used in logs, in catalogue files and as metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama_chat",
            Self::Cohere => "cohere_chat",
            Self::DashScope => "dashscope_generation",
            Self::Dify => "dify_app",
            Self::Coze => "coze_chat",
            Self::Hunyuan => "hunyuan_chat",
            Self::Wenxin => "wenxin_chat",
            Self::ZhipuV3 => "zhipu_v3_invoke",
            Self::Replicate => "replicate_prediction",
            Self::DeepL => "deepl_translate",
            Self::Spark => "spark_chat",
            Self::Library => "library_ask",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Cohere => "Cohere",
            Self::DashScope => "DashScope",
            Self::Dify => "Dify",
            Self::Coze => "Coze",
            Self::Hunyuan => "Tencent Hunyuan",
            Self::Wenxin => "Baidu Wenxin",
            Self::ZhipuV3 => "Zhipu ChatGLM",
            Self::Replicate => "Replicate",
            Self::DeepL => "DeepL",
            Self::Spark => "iFlytek Spark",
            Self::Library => "AI Proxy library",
        }
    }

    /// What its streams are cut into.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            // each message of Spark's connection is a line
            Self::Ollama | Self::Spark => Framing::Lines,
            Self::ZhipuV3 => Framing::Marked,
            Self::DeepL | Self::Replicate => Framing::Document,
            _ => Framing::Events,
        }
    }

    /// In which form it answers.
    #[must_use]
    pub const fn answers(self) -> Answers {
        match self {
            // blocking answers of Dify are cut off after 100 s, and its agents have none; Coze's would have to be polled for
            Self::Dify | Self::Coze | Self::Spark => Answers::Streamed,
            // a prediction's stream has an address of its own, which only its answer tells
            Self::DeepL | Self::Replicate => Answers::Whole,
            _ => Answers::AsAsked,
        }
    }

    /// Whether nothing follows a piece of an answer, for vendors that leave the connection open behind it.
    #[must_use]
    pub const fn is_last(self) -> Option<fn(&[u8]) -> bool> {
        match self {
            Self::Spark => Some(spark::is_last),
            _ => None,
        }
    }

    /// Writes a request.
    pub(crate) fn write(self, request: &Request, target: &Target<'_>, losses: &mut Losses<'_>) -> Result<Written, Unsupported> {
        match self {
            Self::Ollama => ollama::write(request, target, losses),
            Self::Cohere => cohere::write(request, target, losses),
            Self::DashScope => dashscope::write(request, target, losses),
            Self::Dify => dify::write(request, target, losses),
            Self::Coze => coze::write(request, target, losses),
            Self::Hunyuan => hunyuan::write(request, target, losses),
            Self::Wenxin => wenxin::write(request, target, losses),
            Self::ZhipuV3 => zhipu::write(request, target, losses),
            Self::Replicate => replicate::write(request, target, losses),
            Self::DeepL => deepl::write(request, target, losses),
            Self::Spark => spark::write(request, target, losses),
            Self::Library => library::write(request, target, losses),
        }
    }

    /// Reads a whole answer.
    pub(crate) fn read(self, body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
        let answer: Value = serde_json::from_str(&json::mended(body)).map_err(|_| AnswerError::NotJson)?;
        if !answer.is_object() {
            return Err(AnswerError::NotJson);
        }
        if fault::of(self, &answer).is_some() {
            return Err(AnswerError::Reported);
        }
        self.answer(&answer, reading)
    }

    fn answer(self, answer: &Value, reading: &mut Reading) -> Result<Response, AnswerError> {
        match self {
            Self::Ollama => ollama::read(answer, reading),
            Self::Cohere => cohere::read(answer, reading),
            Self::DashScope => dashscope::read(answer, reading),
            Self::Hunyuan => hunyuan::read(answer, reading),
            Self::Wenxin => wenxin::read(answer),
            Self::ZhipuV3 => zhipu::read(answer),
            Self::Replicate => replicate::read(answer),
            Self::DeepL => deepl::read(answer),
            Self::Library => library::read(answer),
            // their streams are gathered
            Self::Dify | Self::Coze | Self::Spark => Err(AnswerError::Without("stream")),
        }
    }

    /// An error in an answer with status 200, in the form that [`UpstreamError::read`](crate::error::UpstreamError::read) takes apart. What is
    /// none stays as it is.
    #[must_use]
    pub fn error_body(self, body: &[u8]) -> Cow<'_, [u8]> {
        let said = serde_json::from_str::<Value>(&json::mended(body)).ok().and_then(|answer| fault::of(self, &answer));
        said.map_or(Cow::Borrowed(body), |error| Cow::Owned(Bytes::from(error).into()))
    }

    /// Takes over fields that are the vendor's own, and that callers of Chat write beside its fields.
    pub(crate) fn keep_own(self, caller: &Map<String, Value>, body: &mut Map<String, Value>) {
        match self {
            Self::Ollama => ollama::keep_own(caller, body),
            Self::DashScope => dashscope::keep_own(caller, body),
            Self::Dify => dify::keep_own(caller, body),
            Self::Coze => coze::keep_own(caller, body),
            _ => {}
        }
    }
}
