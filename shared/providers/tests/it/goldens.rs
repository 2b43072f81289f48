//! Every provider of the catalogue: what it is sent for a plain question, and what its own stream and its own error mean here.
//!
//! `tests/golden/<slug>.json` holds what the provider's page says it answers (`stream`, `answer`, `error`, `inside`) and what that means
//! (`means`, `told`), written by hand; `sent` is what we send, kept by `UPDATE=1 cargo test -p sluice-providers goldens`.

use std::path::PathBuf;

use http::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};
use sluice_dialect::Surface;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::{Answer, Incoming, Manner, Passage, Request, Sent, Site, StreamMeter, Way};
use sluice_dialect::json::Fields;
use sluice_dialect::loss::LossPolicy;
use sluice_dialect::openai::{Reported, Verdict};
use sluice_dialect::signature::Sealer;
use sluice_dialect::sse::{Frame, Splitter};
use sluice_domain::Usage;
use sluice_providers::event_stream::Decoder;
use sluice_providers::{
    AuthScheme, BaseUrl, BaseUrlMeaning, Capability, Catalog, ChannelAddress, ClientHints, Dropped, FieldName, Framing, Provider,
};

/// What must be in no golden.
const SECRET: &str = "topsecret";

fn file(slug: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{slug}.json"))
}

fn golden(slug: &str) -> Value {
    let text = std::fs::read(file(slug)).unwrap_or_else(|error| panic!("{slug} has no golden: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{slug}: {error}"))
}

fn base_url(provider: &Provider) -> BaseUrl {
    let typed = match provider.base_url.meaning {
        BaseUrlMeaning::Prefix if provider.needs_base_url() => "https://x.example",
        BaseUrlMeaning::Prefix => "",
        BaseUrlMeaning::FullUrl => "https://x.example/{model}",
    };
    provider.parse_base_url(typed).unwrap()
}

fn secret(provider: &Provider) -> SecretString {
    SecretString::from(match provider.auth.scheme {
        AuthScheme::OauthJson => format!(r#"{{"access_token":"{SECRET}","account_id":"acc"}}"#),
        AuthScheme::GoogleServiceAccount => format!(r#"{{"client_email":"a@b","project_id":"p","private_key":"{SECRET}"}}"#),
        AuthScheme::Aws => format!("AKIA|{SECRET}|us-east-1"),
        AuthScheme::TencentTc3 | AuthScheme::SparkAddress => format!("app|id|{SECRET}"),
        AuthScheme::BaiduToken => format!("id|{SECRET}"),
        AuthScheme::ZhipuJwt => format!("id.{SECRET}"),
        AuthScheme::Bearer | AuthScheme::Header if provider.auth.second_header.is_some() => format!("{SECRET}|app"),
        AuthScheme::Bearer | AuthScheme::Header => SECRET.to_owned(),
    })
}

/// What a caller's body becomes at a provider, before its hooks.
pub(crate) fn written(provider: &Provider, caller: Surface, upstream: Surface, model: &str, body: &Value) -> Sent {
    let site = Site { sealer: Sealer::new(&[1; 32]), ids: IdMaker::new([7; 16]), now: 1_700_000_000, shows_usage: true };
    let incoming = Incoming { surface: caller, body: body.to_string().into(), model: None, form: None };
    let (losses, table, manner) = (LossPolicy::default(), Table::default(), Manner::default());
    let way = Way {
        surface: upstream,
        model,
        suffix: None,
        table: &table,
        family: provider.family,
        host: provider.host,
        options: &provider.writer,
        output_limit: None,
        account: None,
        stream_options: provider.stream_options,
        losses: &losses,
        manner: &manner,
    };
    Request::read(incoming, &site.sealer).unwrap().write(&way, &site).unwrap()
}

/// The whole request, as it is sent: without the value of any header that is secret.
fn sent(provider: &Provider, caller: Surface, upstream: Surface, model: &str, asks: &Value) -> Value {
    let is_streamed = asks["stream"] == true;
    let written = written(provider, caller, upstream, model, asks);
    let mut body = Fields::parse(written.body).unwrap();
    provider.adjust(upstream, model, &mut body, &mut Dropped::default());
    let body: Value = serde_json::from_slice(&body.finish()).unwrap();
    let (base_url, secret) = (base_url(provider), secret(provider));
    let extra = &[(FieldName::AccountId, "acc")];
    let channel =
        ChannelAddress { base_url: &base_url, secret: &secret, api_version: None, organization: None, strip_dots: false, extra };
    let hints = ClientHints { betas: &written.betas, ..ClientHints::default() };
    let target = provider.call(&channel, upstream.into(), model, is_streamed, &hints).unwrap();
    json!({"method": target.method.as_str(), "url": target.url.as_str(), "headers": headers(&target.headers), "body": body})
}

fn headers(headers: &HeaderMap) -> Value {
    let shown = |value: &http::HeaderValue| if value.is_sensitive() { "(secret)".into() } else { value.to_str().unwrap().into() };
    let mut headers: Vec<(String, Value)> = headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect();
    headers.sort_by(|one, other| one.0.cmp(&other.0));
    Value::Object(headers.into_iter().collect())
}

/// Every provider whose interfaces others have, too. What vendors alone speak has its goldens in the dialects' tests.
fn shipped() -> Vec<std::sync::Arc<Provider>> {
    let is_common = |provider: &&std::sync::Arc<Provider>| {
        provider.is_served() && !matches!(provider.speaks(Surface::ChatCompletions), Some(Surface::Vendor(_)))
    };
    Catalog::shipped().unwrap().iter().filter(is_common).cloned().collect()
}

/// Every provider that has conversations, with its golden and how it is asked on behalf of Chat callers.
fn conversing() -> Vec<(std::sync::Arc<Provider>, Value, Surface, String)> {
    let providers = shipped().into_iter().filter_map(|provider| {
        let golden = golden(&provider.slug);
        let model = golden["model"].as_str().unwrap().to_owned();
        let upstream = provider.speaks_for(Surface::ChatCompletions, &base_url(&provider), &model)?;
        Some((provider, golden, upstream, model))
    });
    let providers: Vec<_> = providers.collect();
    assert!(providers.len() > 40, "{}", providers.len());
    providers
}

#[test]
fn each_provider_is_sent_what_its_golden_says_and_no_secret_shows() {
    let asks = json!({
        "model": "ours", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 500, "temperature": 0.5, "top_p": 1,
        "stop": "###", "user": "u-1", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    });
    // a field that only Chat has would be refused elsewhere
    let mut without_stop = asks.clone();
    without_stop.as_object_mut().unwrap().remove("stop");
    let texts = json!({"model": "ours", "input": ["a"], "encoding_format": "float", "dimensions": 64});
    let mut wrong = Vec::new();
    for provider in &shipped() {
        let mut golden = golden(&provider.slug);
        let model = golden["model"].as_str().unwrap().to_owned();
        let really = match provider.speaks_for(Surface::ChatCompletions, &base_url(provider), &model) {
            Some(Surface::Responses) => sent(provider, Surface::ChatCompletions, Surface::Responses, &model, &without_stop),
            Some(upstream) => sent(provider, Surface::ChatCompletions, upstream, &model, &asks),
            None => sent(provider, Surface::Embeddings, Surface::Embeddings, &model, &texts),
        };
        assert!(!really.to_string().contains(SECRET), "{}", provider.slug);
        if golden["sent"] != really {
            golden["sent"] = really;
            wrong.push(provider.slug.clone());
            #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
            if std::env::var("UPDATE").is_ok() {
                // in one step: other tests read it at the same time
                let anew = file(&provider.slug).with_extension("anew");
                std::fs::write(&anew, serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
                std::fs::rename(anew, file(&provider.slug)).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "what is sent has changed: {wrong:?}: UPDATE=1 cargo test -p sluice-providers goldens");
}

/// What a stream of a provider's own is for callers of Messages.
#[derive(Debug, Default)]
struct Heard {
    thinking: String,
    text: String,
    usage: Usage,
    finish: String,
    is_complete: bool,
}

fn heard(provider: &Provider, upstream: Surface, stream: &[u8], passage: Passage) -> Heard {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(stream.to_vec().into());
    let mut frames = Vec::new();
    while let Some(frame) = splitter.next_frame().unwrap() {
        frames.push(frame);
    }
    frames.extend(splitter.finish().map(Frame::closed));
    let (mut meter, mut bytes) = (StreamMeter::new(passage, true, None), Vec::new());
    let mut ignored = |_: &str| {};
    for frame in frames {
        let frame = amended(provider, upstream, frame);
        match meter.observe(&frame, &mut ignored) {
            Verdict::Forward | Verdict::Done => bytes.extend_from_slice(frame.bytes()),
            Verdict::Rewritten(anew) | Verdict::DoneWith(anew) => bytes.extend_from_slice(&anew),
            Verdict::Withhold => {}
            other => panic!("{}: {other:?}", provider.slug),
        }
    }
    bytes.extend(meter.close(&mut ignored).unwrap_or_default());
    let summary = meter.finish();
    let Reported::Counted(usage) = summary.usage else { panic!("{}: {:?}", provider.slug, summary.usage) };
    let finish = format!("{:?}", summary.finish.unwrap());
    let mut heard = Heard { usage, finish, is_complete: summary.is_complete, ..Heard::default() };
    for line in String::from_utf8(bytes).unwrap().lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(line).unwrap();
        heard.thinking += event["delta"]["thinking"].as_str().unwrap_or_default();
        heard.text += event["delta"]["text"].as_str().unwrap_or_default();
    }
    heard
}

/// An event as hooks put it right.
fn amended(provider: &Provider, upstream: Surface, frame: Frame) -> Frame {
    let data = frame.event().data.and_then(|data| serde_json::from_slice::<Value>(&data).ok());
    let Some(Value::Object(mut event)) = data.filter(|_| provider.amends(upstream, true)) else { return frame };
    provider.amend(upstream, "ours", &mut event);
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(format!("data: {}\n\n", Value::Object(event)).into_bytes().into());
    splitter.next_frame().unwrap().unwrap()
}

/// The bytes of a stream, in the provider's frames.
fn framed(provider: &Provider, golden: &Value) -> Vec<u8> {
    let events = golden["stream"].as_array().unwrap().iter().map(|event| event.as_str().unwrap());
    match provider.framing {
        Framing::Events => events.flat_map(|event| [event.as_bytes(), b"\n\n"].concat()).collect(),
        Framing::AwsEventStream => events.flat_map(aws_frame).collect(),
    }
}

/// An event as Bedrock sends it: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html>.
fn aws_frame(event: &str) -> Vec<u8> {
    use base64::Engine as _;
    let data = event.split_once("data: ").unwrap().1;
    let payload = json!({"bytes": base64::prelude::BASE64_STANDARD.encode(data)}).to_string();
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let mut frame = u32::try_from(headers.len() + payload.len() + 16).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

/// The events of a stream as server-sent events, cut at one byte on the way here.
fn unframed(provider: &Provider, bytes: &[u8], cut: usize) -> Vec<u8> {
    if provider.framing == Framing::Events {
        return bytes.to_vec();
    }
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in [&bytes[..cut], &bytes[cut..]] {
        decoder.push(piece, &mut frames).unwrap();
    }
    decoder.finish().unwrap();
    let event = |data: Vec<u8>| {
        let kind = serde_json::from_slice::<Value>(&data).unwrap()["type"].as_str().unwrap().to_owned();
        [b"event: ", kind.as_bytes(), b"\ndata: ", &data, b"\n\n"].concat()
    };
    frames.iter().filter_map(sluice_providers::event_stream::Frame::chunk).flat_map(event).collect()
}

fn asks_messages(model: &str) -> Value {
    json!({
        "model": model, "max_tokens": 9000, "stream": true, "thinking": {"type": "enabled", "budget_tokens": 2048},
        "messages": [{"role": "user", "content": "Why?"}]
    })
}

#[test]
fn each_providers_stream_means_what_its_golden_says() {
    for (provider, golden, upstream, model) in conversing() {
        let passage = written(&provider, Surface::Messages, upstream, &model, &asks_messages("ours")).passage;
        let bytes = framed(&provider, &golden);
        let got = heard(&provider, upstream, &unframed(&provider, &bytes, 0), passage);
        let (slug, means) = (&provider.slug, &golden["means"]);
        assert!(got.is_complete, "{slug}: {got:?}");
        assert_eq!(got.text, means["text"].as_str().unwrap(), "{slug}");
        assert_eq!(got.thinking, means["thinking"].as_str().unwrap(), "{slug}");
        assert_eq!(got.finish, means["finish"].as_str().unwrap(), "{slug}");
        assert_eq!(counts(&got.usage), means["usage"], "{slug}");
    }
}

/// Totals, as the goldens have them.
fn counts(usage: &Usage) -> Value {
    json!({
        "input": usage.total_input(), "cache_read": usage.cache_read, "cache_write": usage.cache_write_5m + usage.cache_write_1h,
        "output": usage.total_output(), "reasoning": usage.reasoning
    })
}

#[test]
fn frames_of_claude_at_bedrock_cut_anywhere_are_the_same_events() {
    let catalog = Catalog::shipped().unwrap();
    let provider = catalog.get("aws-bedrock").unwrap();
    let bytes = framed(provider, &golden("aws-bedrock"));
    let whole = unframed(provider, &bytes, 0);
    assert!(whole.starts_with(b"event: message_start"));
    for cut in 0..=bytes.len() {
        assert_eq!(unframed(provider, &bytes, cut), whole, "cut at {cut}");
    }
}

#[test]
fn each_providers_error_is_read_as_its_golden_says() {
    for provider in &shipped() {
        let (golden, slug) = (golden(&provider.slug), &provider.slug);
        let status = u16::try_from(golden["error"]["status"].as_u64().unwrap()).unwrap();
        let read = UpstreamError::read(status, golden["error"]["body"].to_string().as_bytes(), &[SECRET]);
        let told = json!({"message": read.message, "kind": read.kind, "code": read.code});
        assert_eq!(told, golden["told"], "{slug}");
        let inside = golden["inside"]["body"].as_object();
        assert_eq!(inside.is_some(), provider.has_body_errors(), "{slug}: errors with status 200");
        if let Some(inside) = inside {
            let read = provider.body_error(inside).unwrap();
            let told = json!({"status": read.status, "code": read.code, "message": read.message});
            assert_eq!(told, golden["inside"]["told"], "{slug}");
        }
    }
}

#[test]
fn embeddings_count_their_input_alone() {
    let mut seen = 0;
    for provider in &shipped() {
        let golden = golden(&provider.slug);
        let Some(answer) = golden["answer"].as_object() else { continue };
        let mut answer = answer.clone();
        provider.amend(Capability::Embeddings, "ours", &mut answer);
        let asks = json!({"model": "ours", "input": "a"});
        let model = golden["model"].as_str().unwrap();
        let passage = written(provider, Surface::Embeddings, Surface::Embeddings, model, &asks).passage;
        let read = Answer::read(Value::Object(answer).to_string().into(), passage, &[]).unwrap();
        let Reported::Counted(usage) = read.usage() else { panic!("{}: {:?}", provider.slug, read.usage()) };
        assert_eq!(counts(&usage), golden["means"]["usage"], "{}", provider.slug);
        seen += 1;
    }
    assert_eq!(seen, 3);
}
