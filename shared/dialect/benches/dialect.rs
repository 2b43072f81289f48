//! The three readings on the path of every request: a caller's body, the cutting of a stream, and one event of it.

use bytes::Bytes;
use divan::{Bencher, black_box};
use sluice_dialect::openai::{Answer, Request, StreamMeter, StreamOptions, StreamSettings, Surface};
use sluice_dialect::sse::{DEFAULT_MAX_FRAME_BYTES, Frame, Splitter};

const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-9x8y7z","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06","#,
    r#""system_fingerprint":"fp_50cad350e4","choices":[{"index":0,"delta":{"content":" sluice"},"logprobs":null,"#,
    r#""finish_reason":null}],"usage":null}"#,
    "\n\n"
);

fn main() {
    divan::main();
}

/// A chat request of about one kilobyte.
fn chat_body() -> Bytes {
    let text = "A sluice is a gate that meters what flows into channels. ".repeat(14);
    let body = format!(
        r#"{{"model":"gpt-4o","temperature":0.7,"stream":true,"messages":[{{"role":"system","content":"Answer in one line.\nBe kind."}},{{"role":"user","content":"{text}"}}],"max_tokens":256}}"#
    );
    body.into()
}

fn answer_body() -> Bytes {
    let text = "The gate opens at noon. ".repeat(30);
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":19,"completion_tokens":210,"total_tokens":229,"prompt_tokens_details":{{"cached_tokens":0}}}}}}"#
    );
    body.into()
}

#[divan::bench]
fn read_request_1_kb(bencher: Bencher<'_, '_>) {
    let body = chat_body();
    bencher.bench(|| Request::read(black_box(body.clone()), Surface::ChatCompletions));
}

#[divan::bench]
fn edit_request_1_kb(bencher: Bencher<'_, '_>) {
    let request = Request::read(chat_body(), Surface::ChatCompletions);
    bencher.bench(|| request.as_ref().ok().map(|request| request.upstream_body(Some("mapped"), StreamOptions::Force, None)));
}

#[divan::bench]
fn visit_prompt_1_kb(bencher: Bencher<'_, '_>) {
    let request = Request::read(chat_body(), Surface::ChatCompletions);
    bencher.bench(|| {
        let mut bytes = 0;
        let counts = request.as_ref().ok().map(|request| request.visit_prompt(&mut |text| bytes += text.len()));
        (bytes, counts)
    });
}

#[divan::bench]
fn read_answer_1_kb(bencher: Bencher<'_, '_>) {
    let body = answer_body();
    bencher.bench(|| Answer::read(black_box(body.clone()), Surface::ChatCompletions, &[]));
}

#[divan::bench]
fn observe_one_event(bencher: Bencher<'_, '_>) {
    let frame = Frame::whole(Bytes::from_static(EVENT.as_bytes()));
    let mut meter = StreamMeter::new(Surface::ChatCompletions, &StreamSettings::default());
    bencher.bench_local(|| {
        let mut bytes = 0;
        let verdict = meter.observe(black_box(&frame), &mut |text| bytes += text.len());
        (bytes, verdict)
    });
}

#[divan::bench]
fn observe_and_rename_one_event(bencher: Bencher<'_, '_>) {
    let frame = Frame::whole(Bytes::from_static(EVENT.as_bytes()));
    let settings = StreamSettings { rename: Some("my-model".into()), ..StreamSettings::default() };
    let mut meter = StreamMeter::new(Surface::ChatCompletions, &settings);
    bencher.bench_local(|| meter.observe(black_box(&frame), &mut |_| {}));
}

/// A hundred events, in chunks that hold one whole event, or that cut them.
#[divan::bench(args = [EVENT.len(), 100, 4096])]
fn split_100_events(bencher: Bencher<'_, '_>, chunk_bytes: usize) {
    let stream = Bytes::from(EVENT.repeat(100));
    bencher.bench(|| {
        let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_BYTES);
        let mut frames = 0;
        let mut rest = stream.clone();
        while !rest.is_empty() {
            splitter.push(rest.split_to(chunk_bytes.min(rest.len())));
            while let Ok(Some(_)) = splitter.next_frame() {
                frames += 1;
            }
        }
        frames
    });
}
