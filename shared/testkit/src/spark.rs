//! iFlytek's Spark by WebSocket, as its page has it: <https://www.xfyun.cn/doc/spark/Web.html> and
//! <https://www.xfyun.cn/doc/spark/general_url_authentication.html>.
//!
//! It is strict: an address that is not signed is refused before the handshake, and a request that is not of the documented form is answered
//! by an error. What it says follows what it is asked: a directive in the last question ([`Act`]) makes it misbehave.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use url::form_urlencoded;

/// How far a date may be from now, in seconds.
const MAX_SKEW_SECS: i64 = 300;
/// How long somebody waits who is told [`Act::Slow`].
const SLOW: Duration = Duration::from_mins(10);

/// Whose requests are served.
#[derive(Debug, Clone)]
pub struct SparkKey {
    /// The application.
    pub app_id: &'static str,
    /// What signs.
    pub secret: &'static str,
    /// What names the secret.
    pub key: &'static str,
}

impl SparkKey {
    /// As a channel has it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}|{}|{}", self.app_id, self.secret, self.key)
    }
}

/// What is done with a question, by the words it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Answered, and the connection left open.
    Answer,
    /// `[limit]`: an error in place of an answer.
    Limit,
    /// `[audit]`: an error behind the first words.
    Audit,
    /// `[cut]`: the connection breaks behind the first words.
    Cut,
    /// `[close]`: it is closed there in good order.
    Close,
    /// `[slow]`: nothing comes behind the first words.
    Slow,
    /// `[silent]`: nothing comes at all.
    Silent,
    /// `[huge]`: a message beyond all bounds.
    Huge,
}

impl Act {
    fn of(question: &str) -> Self {
        let acts = [
            ("[limit]", Self::Limit),
            ("[audit]", Self::Audit),
            ("[cut]", Self::Cut),
            ("[close]", Self::Close),
            ("[slow]", Self::Slow),
            ("[silent]", Self::Silent),
            ("[huge]", Self::Huge),
        ];
        acts.into_iter().find(|(word, _)| question.contains(word)).map_or(Self::Answer, |(_, act)| act)
    }
}

/// A server of Spark's. It ends when it is dropped.
#[derive(Debug)]
pub struct Spark {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

impl Spark {
    /// Starts one on the runtime of the caller.
    pub async fn start(key: SparkKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        #[expect(clippy::disallowed_methods, reason = "it ends with the server")]
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, key.clone(), Arc::clone(&seen)));
            }
        });
        Self { addr, asked, server }
    }

    /// The base URL of a channel that points here.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What was asked, as far as it was of the right form.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().clone()
    }
}

impl Drop for Spark {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, key: SparkKey, asked: Arc<Mutex<Vec<Value>>>) {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the library wants a whole answer")]
    let handshake = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut path);
        judge(request, &key).map(|()| response).map_err(|(status, message)| refused(status, message))
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, handshake).await else { return };
    let Some(Ok(message)) = socket.next().await else { return };
    let question: Value = message.to_text().ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if let Some(wrong) = wrong(&question, &path, &key) {
        say(&mut socket, &failed(10_163, &format!("param validate error: {wrong}"))).await;
    } else {
        asked.lock().push(question.clone());
        if !answer(&mut socket, &question).await {
            return;
        }
    }
    // it leaves the end to the other side
    while let Some(Ok(_)) = socket.next().await {}
}

fn refused(status: u16, message: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(json!({"message": message}).to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// The page on authentication: 401 for a wrong signature, 403 for a date that is too far away.
fn judge(request: &Request, key: &SparkKey) -> Result<(), (u16, &'static str)> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let of = |name: &str| form_urlencoded::parse(query).find(|(known, _)| known == name).map(|(_, value)| value);
    let (Some(authorization), Some(date), Some(host)) = (of("authorization"), of("date"), of("host")) else {
        return Err((401, "Unauthorized"));
    };
    let told = request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if host != told {
        return Err((401, "HMAC signature does not match"));
    }
    let secs = secs_of(&date).ok_or((403, "HMAC signature cannot be verified, a valid date or x-date header is required"))?;
    if (now_secs() - secs).abs() > MAX_SKEW_SECS {
        return Err((403, "HMAC signature cannot be verified, a valid date or x-date header is required"));
    }
    let signed = format!("host: {host}\ndate: {date}\nGET {} HTTP/1.1", request.uri().path());
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.as_bytes()).expect("any length will do");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let expected = format!(
        r#"hmac username="{}", algorithm="hmac-sha256", headers="host date request-line", signature="{signature}""#,
        key.key
    );
    if BASE64_STANDARD.decode(&*authorization).ok().as_deref() == Some(expected.as_bytes()) {
        Ok(())
    } else {
        Err((401, "HMAC signature cannot be verified"))
    }
}

/// `Tue, 14 Nov 2023 22:13:20 GMT`
fn secs_of(date: &str) -> Option<i64> {
    date.ends_with(" GMT").then(|| jiff::fmt::rfc2822::parse(date).ok()).flatten().map(|time| time.timestamp().as_second())
}

fn now_secs() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "it stands for a server elsewhere, whose clock is the real one")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// What is wrong with a request.
fn wrong(question: &Value, path: &str, key: &SparkKey) -> Option<String> {
    let only = |pointer: &str, known: &[&str]| {
        let fields = question.pointer(pointer).and_then(Value::as_object);
        let Some(fields) = fields else { return Some(format!("{pointer} is missing")) };
        let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
        unknown.map(|name| format!("{pointer} has no {name}"))
    };
    let chat = ["domain", "temperature", "max_tokens", "top_k", "chat_id"];
    let parts = [("", &["header", "parameter", "payload"][..]), ("/header", &["app_id", "uid"]), ("/parameter", &["chat"])];
    let inner = [("/parameter/chat", &chat[..]), ("/payload", &["message"]), ("/payload/message", &["text"])];
    if let Some(wrong) = parts.into_iter().chain(inner).find_map(|(pointer, known)| only(pointer, known)) {
        return Some(wrong);
    }
    if question["header"]["app_id"] != key.app_id {
        return Some("app_id".to_owned());
    }
    let domains = [
        ("/v1.1/chat", "lite"),
        ("/v3.1/chat", "generalv3"),
        ("/chat/pro-128k", "pro-128k"),
        ("/v3.5/chat", "generalv3.5"),
        ("/chat/max-32k", "max-32k"),
        ("/v4.0/chat", "4.0Ultra"),
    ];
    let Some((_, domain)) = domains.into_iter().find(|(known, _)| *known == path) else { return Some("path".to_owned()) };
    let chat = &question["parameter"]["chat"];
    if chat["domain"] != domain {
        return Some(format!("domain {} at {path}", chat["domain"]));
    }
    let in_range = |name: &str, least: f64, most: f64| {
        chat.get(name).is_none_or(|value| value.as_f64().is_some_and(|value| value >= least && value <= most))
    };
    if !in_range("temperature", 0.01, 1.0) || !in_range("top_k", 1.0, 6.0) || !in_range("max_tokens", 1.0, 8_192.0) {
        return Some("out of range".to_owned());
    }
    let roles: Vec<&str> = texts(question).iter().map(|line| line["role"].as_str().unwrap_or_default()).collect();
    let known: BTreeSet<&str> = if domain.starts_with("general") && domain != "generalv3.5" || domain == "lite" {
        BTreeSet::from(["user", "assistant"])
    } else {
        BTreeSet::from(["system", "user", "assistant"])
    };
    let is_told = texts(question).iter().all(|line| line["content"].as_str().is_some_and(|content| !content.is_empty()));
    (roles.last() != Some(&"user") || !roles.iter().all(|role| known.contains(role)) || !is_told).then(|| "text".to_owned())
}

fn texts(question: &Value) -> &[Value] {
    question["payload"]["message"]["text"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The answer repeats the question; tokens are words. False: the connection is over.
async fn answer(socket: &mut WebSocketStream<TcpStream>, question: &Value) -> bool {
    let last = texts(question).last().and_then(|line| line["content"].as_str()).unwrap_or_default();
    let act = Act::of(last);
    match act {
        Act::Limit => {
            say(socket, &failed(11_202, "licc failed: AppIdQpsOverFlowError")).await;
            return true;
        }
        Act::Silent => {
            sleep(SLOW).await;
            return false;
        }
        Act::Huge => {
            drop(socket.send(Message::text("x".repeat(17 << 20))).await);
            return true;
        }
        _ => {}
    }
    let words = [format!("You said: {last}"), " Is".to_owned(), " that so?".to_owned()];
    say(socket, &piece(0, 0, &words[0], None)).await;
    match act {
        Act::Audit => {
            say(socket, &failed(10_014, "the answer is sensitive")).await;
            return true;
        }
        Act::Cut => {
            socket.get_ref().set_zero_linger().ok();
            return false;
        }
        Act::Close => {
            drop(socket.close(None).await);
            return true;
        }
        Act::Slow => {
            sleep(SLOW).await;
            return false;
        }
        _ => {}
    }
    drop(socket.send(Message::Ping(Vec::new().into())).await);
    say(socket, &piece(1, 1, &words[1], None)).await;
    let asked: usize = texts(question).iter().map(|line| count(line["content"].as_str().unwrap_or_default())).sum();
    let said = words.iter().map(|words| count(words)).sum();
    say(socket, &piece(2, 2, &words[2], Some((asked, said)))).await;
    true
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

fn piece(status: u8, seq: u8, content: &str, usage: Option<(usize, usize)>) -> Value {
    let mut said = json!({
        "header": {"code": 0, "message": "Success", "sid": "cht000704fa@dx16ade44e4d87a1c802", "status": status},
        "payload": {"choices": {"status": status, "seq": seq, "text": [{"content": content, "role": "assistant", "index": 0}]}}
    });
    if let Some((asked, said_tokens)) = usage {
        said["payload"]["usage"] = json!({"text": {
            "question_tokens": asked, "prompt_tokens": asked, "completion_tokens": said_tokens, "total_tokens": asked + said_tokens
        }});
    }
    said
}

fn failed(code: i64, message: &str) -> Value {
    json!({"header": {"code": code, "message": message, "sid": "cht00120013@dx181c8172afb0001102", "status": 2}})
}

async fn say(socket: &mut WebSocketStream<TcpStream>, message: &Value) {
    // pretty, as nobody may rely on one line
    let text = serde_json::to_string_pretty(message).expect("JSON is text");
    drop(socket.send(Message::text(text)).await);
}
