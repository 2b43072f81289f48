//! Every vendor's goldens: what a Chat caller's request becomes, and what the caller is told of answers, streams and errors.
//!
//! A golden is `asked` (the caller's body) with `sent` (the vendor's) or `refused` (the field in the way); `answer` and `stream` (the vendor's)
//! with `told` (the caller's, in short) or `error`. Vendors that only stream answer whole requests with their `stream`, and those that never do
//! answer streamed ones with their `answer`.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sluice_dialect::Surface;
use sluice_dialect::call_id::IdMaker;
use sluice_dialect::capabilities::Table;
use sluice_dialect::error::UpstreamError;
use sluice_dialect::exchange::{Answer, Form, Incoming, Manner, Passage, Request, Sent, Site, StreamMeter, Unwritable, Way};
use sluice_dialect::frames::Splitter;
use sluice_dialect::ir::Family;
use sluice_dialect::loss::LossPolicy;
use sluice_dialect::openai::{Content, Reported, StreamOptions, Verdict};
use sluice_dialect::signature::Sealer;
use sluice_dialect::sse::Frame;
use sluice_dialect::target::{Host, Options};
use sluice_dialect::vendor::{Answers, Vendor};

/// Goldens in all.
const AT_LEAST: usize = 40;

struct Golden {
    name: String,
    vendor: Vendor,
    value: Value,
}

fn goldens() -> Vec<Golden> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vendor");
    let mut goldens = Vec::new();
    for vendor in Vendor::ALL {
        let folder = root.join(vendor.as_str());
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            let value: Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(value["source"].as_str().is_some_and(|source| source.starts_with("https://")), "{name} has no source");
            goldens.push(Golden { name, vendor, value });
        }
    }
    goldens.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(goldens.len() >= AT_LEAST, "{}", goldens.len());
    goldens
}

fn request(body: &Value) -> Request {
    let incoming = Incoming { surface: Surface::ChatCompletions, body: Bytes::from(body.to_string()), model: None, form: None };
    Request::read(incoming, &sealer()).unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(&[1; 32])
}

fn sent(golden: &Golden, asked: &Value) -> Result<Sent, Unwritable> {
    sent_by(golden, &request(asked))
}

fn sent_by(golden: &Golden, request: &Request) -> Result<Sent, Unwritable> {
    let app = serde_json::from_value(golden.value.get("app").cloned().unwrap_or_else(|| json!({}))).unwrap();
    let (options, losses) = (Options { app, ..Options::default() }, LossPolicy::default());
    let (table, manner) = (Table::default(), Manner::default());
    let way = Way {
        surface: Surface::Vendor(golden.vendor),
        model: golden.value["model"].as_str().unwrap_or("theirs"),
        suffix: None,
        table: &table,
        family: Family::Compatible,
        host: Host::Own,
        options: &options,
        output_limit: None,
        account: None,
        stream_options: StreamOptions::Strip,
        losses: &losses,
        manner: &manner,
    };
    let site = Site { sealer: sealer(), ids: IdMaker::new([7; 16]), now: 1_700_000_000, shows_usage: true };
    request.write(&way, &site)
}

/// The way back of a short question.
fn passage(golden: &Golden, streams: bool) -> Passage {
    let mut asked = json!({"model": "ours", "messages": [{"role": "user", "content": "hi"}], "stream": streams});
    if let Some(tools) = golden.value.pointer("/asked/tools") {
        asked["tools"] = tools.clone();
    }
    sent(golden, &asked).unwrap_or_else(|error| panic!("{}: {error}", golden.name)).passage
}

fn bytes_of(value: &Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::Array(lines) => Some(lines.iter().map(|line| line.as_str().unwrap()).collect::<String>().into()),
        document => Some(serde_json::to_vec_pretty(document).unwrap().into()),
    }
}

/// A stream in pieces of so many bytes.
fn pieces(golden: &Golden, part: &str, bytes: usize) -> Option<Vec<Bytes>> {
    let stream = bytes_of(&golden.value[part])?;
    Some(stream.chunks(bytes).map(Bytes::copy_from_slice).collect())
}

/// What a caller is told, in short: what is not there is left out.
#[derive(Default)]
struct Told {
    content: String,
    reasoning: String,
    calls: Vec<(String, String)>,
    finish: Option<String>,
    usage: Value,
}

impl Told {
    fn message(&mut self, message: &Value) {
        self.content.push_str(message["content"].as_str().unwrap_or_default());
        self.reasoning.push_str(message["reasoning_content"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap_or(self.calls.len() as u64)).unwrap();
            if self.calls.len() <= index {
                self.calls.resize_with(index + 1, Default::default);
            }
            self.calls[index].0.push_str(call["function"]["name"].as_str().unwrap_or_default());
            self.calls[index].1.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
    }

    fn chunk(&mut self, chunk: &Value, part: &str) {
        if let Some(choice) = chunk["choices"].get(0) {
            self.message(&choice[part]);
            self.finish = choice["finish_reason"].as_str().map(str::to_owned).or(self.finish.take());
        }
        if chunk["usage"].is_object() {
            let usage = &chunk["usage"];
            self.usage = json!([usage["prompt_tokens"], usage["completion_tokens"]]);
        }
    }

    fn value(self) -> Value {
        let mut told = Map::new();
        for (name, text) in [("content", self.content), ("reasoning", self.reasoning)] {
            if !text.is_empty() {
                told.insert(name.to_owned(), text.into());
            }
        }
        if !self.calls.is_empty() {
            let call = |(name, arguments): &(String, String)| {
                json!([name, serde_json::from_str::<Value>(arguments).unwrap_or_else(|_| arguments.as_str().into())])
            };
            told.insert("calls".to_owned(), self.calls.iter().map(call).collect());
        }
        told.extend(self.finish.map(|finish| ("finish".to_owned(), finish.into())));
        if !self.usage.is_null() {
            told.insert("usage".to_owned(), self.usage);
        }
        Value::Object(told)
    }
}

fn error_of(error: &UpstreamError) -> Value {
    json!({"type": error.kind, "code": error.code, "message": error.message})
}

/// What a caller of a whole answer is told, or the error.
fn whole(golden: &Golden, body: &Bytes) -> Result<Value, Value> {
    let answer =
        Answer::read(body.clone(), passage(golden, false), &[]).unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    if let Content::Error(error) = answer.content() {
        return Err(error_of(error));
    }
    let is_reported = matches!(answer.usage(), Reported::Counted(_));
    let written: Value = serde_json::from_slice(&answer.into_body()).unwrap();
    let mut told = Told::default();
    told.chunk(&written, "message");
    if !is_reported {
        told.usage = Value::Null;
    }
    Ok(told.value())
}

fn frames(passage: &Passage, pieces: Vec<Bytes>) -> Vec<Frame> {
    let mut splitter = Splitter::new(passage.framing(), 1 << 20);
    let mut frames = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    frames.extend(splitter.finish());
    frames
}

/// The same of a caller of a stream.
fn streamed(golden: &Golden, pieces: Vec<Bytes>) -> Result<Value, Value> {
    let passage = passage(golden, true);
    let frames = frames(&passage, pieces);
    let (mut meter, mut out, mut heard) = (StreamMeter::new(passage, true, None), Vec::new(), String::new());
    let mut hear = |text: &str| heard.push_str(text);
    let mut is_over = false;
    for frame in frames {
        assert!(!is_over, "{}: something follows the end", golden.name);
        match meter.observe(&frame, &mut hear) {
            Verdict::Rewritten(bytes) => out.extend_from_slice(&bytes),
            Verdict::DoneWith(bytes) => {
                out.extend_from_slice(&bytes);
                is_over = true;
            }
            Verdict::Withhold => {}
            Verdict::Error(raw) => return Err(error_of(&UpstreamError::read(200, &raw, &[]))),
            other => panic!("{}: {other:?}", golden.name),
        }
        if is_over {
            break;
        }
    }
    if !is_over {
        out.extend(meter.close(&mut hear).unwrap_or_default());
    }
    let summary = meter.finish();
    if !summary.is_complete {
        return Err(json!("broken off"));
    }
    let mut told = Told::default();
    for line in String::from_utf8(out).unwrap().lines().filter_map(|line| line.strip_prefix("data: ")) {
        if line != "[DONE]" {
            told.chunk(&serde_json::from_str(line).unwrap(), "delta");
        }
    }
    assert!(heard.contains(&told.content), "{}: {heard} lacks {}", golden.name, told.content);
    if !matches!(summary.usage, Reported::Counted(_)) {
        told.usage = Value::Null;
    }
    Ok(told.value())
}

#[test]
fn requests_are_written_as_their_vendor_takes_them_or_refused_by_name() {
    let mut written = std::collections::BTreeMap::new();
    for golden in goldens() {
        let asked = &golden.value["asked"];
        if asked.is_null() {
            continue;
        }
        let name = &golden.name;
        match sent(&golden, asked) {
            Ok(sent) => {
                let body: Value = serde_json::from_slice(&sent.body).unwrap();
                assert_eq!(body, golden.value["sent"], "{name}: {body:#}");
                let dropped = golden.value.get("dropped").cloned().unwrap_or_else(|| json!([]));
                assert_eq!(json!(sent.dropped), dropped, "{name}");
                *written.entry(golden.vendor).or_insert(0) += 1;
            }
            Err(Unwritable::Unsupported(refused)) => assert_eq!(golden.value["refused"], refused.path, "{name}: {refused}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
    assert_eq!(written.len(), Vendor::ALL.len(), "every vendor has a request: {written:?}");
}

#[test]
fn answers_are_told_to_callers_of_chat() {
    for golden in goldens() {
        let part = if golden.vendor.answers() == Answers::Streamed { "stream" } else { "answer" };
        if let Some(body) = bytes_of(&golden.value[part]) {
            check(&golden, &whole(&golden, &body));
        }
    }
}

#[test]
fn streams_are_told_to_callers_of_chat_however_they_are_cut() {
    for golden in goldens() {
        let part = if golden.vendor.answers() == Answers::Whole { "answer" } else { "stream" };
        for bytes in [1, 7, 1 << 20] {
            if let Some(pieces) = pieces(&golden, part, bytes) {
                check(&golden, &streamed(&golden, pieces));
            }
        }
    }
}

#[test]
fn a_stream_without_its_end_is_no_answer() {
    let mut cut_off = 0;
    for golden in goldens().iter().filter(|golden| golden.vendor.answers() != Answers::Whole && golden.value["error"].is_null()) {
        let Some(stream) = bytes_of(&golden.value["stream"]) else { continue };
        let cut = &stream[..stream.len() / 3];
        assert_eq!(streamed(golden, vec![Bytes::copy_from_slice(cut)]), Err(json!("broken off")), "{}", golden.name);
        if golden.vendor.answers() == Answers::Streamed {
            assert!(whole(golden, &Bytes::copy_from_slice(cut)).is_err(), "{}", golden.name);
        }
        cut_off += 1;
    }
    assert!(cut_off >= 9, "{cut_off}");
}

#[test]
fn callers_of_every_dialect_get_their_own_stream() {
    let mut whole = 0;
    for golden in goldens().iter().filter(|golden| golden.value["told"].is_object()) {
        let part = if golden.vendor.answers() == Answers::Whole { "answer" } else { "stream" };
        for surface in [Surface::Responses, Surface::Messages, Surface::GenerateContent] {
            let Some(pieces) = pieces(golden, part, 64) else { continue };
            let (request, end) = match surface {
                Surface::Responses => (json!({"model": "ours", "input": "hi", "stream": true}), "response.completed"),
                Surface::Messages => {
                    let said = json!([{"role": "user", "content": "hi"}]);
                    (json!({"model": "ours", "max_tokens": 9, "messages": said, "stream": true}), "message_stop")
                }
                _ => (json!({"contents": [{"parts": [{"text": "hi"}]}]}), "finishReason"),
            };
            let is_gemini = surface == Surface::GenerateContent;
            let (model, form) = (is_gemini.then(|| "ours".into()), is_gemini.then_some(Form::Events));
            let incoming = Incoming { surface, body: Bytes::from(request.to_string()), model, form };
            let request = Request::read(incoming, &sealer()).unwrap();
            let passage = sent_by(golden, &request).unwrap_or_else(|error| panic!("{}: {error}", golden.name)).passage;
            let frames = frames(&passage, pieces);
            let (mut meter, mut out) = (StreamMeter::new(passage, true, None), Vec::new());
            for frame in frames {
                match meter.observe(&frame, &mut |_| {}) {
                    Verdict::Rewritten(bytes) => out.extend_from_slice(&bytes),
                    Verdict::DoneWith(bytes) => {
                        out.extend_from_slice(&bytes);
                        break;
                    }
                    Verdict::Withhold => {}
                    other => panic!("{}: {other:?}", golden.name),
                }
            }
            out.extend(meter.close(&mut |_| {}).unwrap_or_default());
            let (out, summary) = (String::from_utf8(out).unwrap(), meter.finish());
            let is_cut = golden.value["told"]["finish"] == "length" || golden.value["told"]["finish"] == "content_filter";
            assert!(summary.is_complete, "{} for {surface:?}", golden.name);
            assert!(
                out.contains(end) || (is_cut && out.contains("response.incomplete")),
                "{} for {surface:?}: {out}",
                golden.name
            );
            whole += 1;
        }
    }
    assert!(whole > 60, "{whole}");
}

fn check(golden: &Golden, told: &Result<Value, Value>) {
    match told {
        Ok(told) => assert_eq!(told, &golden.value["told"], "{}: {told:#}", golden.name),
        Err(error) => assert_eq!(error, &golden.value["error"], "{}: {error:#}", golden.name),
    }
}

#[test]
fn callers_cannot_ask_at_a_vendors_interface() {
    for vendor in Vendor::ALL {
        let surface = Surface::Vendor(vendor);
        let incoming = Incoming { surface, body: Bytes::from_static(b"{\"model\":\"m\"}"), model: None, form: None };
        assert!(Request::read(incoming, &sealer()).is_err());
        assert!(!surface.converses() && !Surface::ALL.contains(&surface) && surface.path().is_empty());
    }
}
