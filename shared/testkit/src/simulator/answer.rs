//! From a request to its answer.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::events::Events;
use super::log::{Ending, Ticket, key_hint};
use super::models::Task;
use super::openai::embedding;
use super::play::{Body, Document, HANG_LIMIT, Piece, Player, Severed, oversized_bytes, sleep_ms};
use super::prepare::{Door, Job, shorten};
use super::refusal::{House, Refusal};
use super::route::{Route, Streaming, house_of, presented_key, route_of};
use super::scenario::Fault;
use super::script::Script;
use super::socket::Line;
use super::stamp::{FILLER_MARK, request_id};
use super::usage::UsageFigures;
use super::{Shared, control, fast, gemini, messages, openai, responses, unix_millis};

/// The largest request body that is read: 64 MiB.
pub(super) const MAX_REQUEST_BYTES: usize = 64 << 20;

pub(super) async fn answer(shared: Arc<Shared>, line: Arc<Line>, request: Request<Incoming>) -> Result<Response<Body>, Severed> {
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::answer(&shared, request).await);
    }
    let house = house_of(request.uri().path(), request.headers());
    let mut ticket = open_ticket(&shared, &request, house);
    let (parts, body) = request.into_parts();
    let refuse = |refusal: &Refusal, ticket| Ok(refuse(refusal, house, shared.next_seed(), ticket));
    let (key, route) = match allowed(&shared, &parts, house) {
        Ok(allowed) => allowed,
        Err(refusal) => return refuse(&refusal, ticket),
    };
    match route {
        Route::ModelList => Ok(finish(document(200, &shared.models.list(house)), ticket)),
        Route::Model(id) => match shared.models.one(&id, house) {
            Some(model) => Ok(finish(document(200, &model), ticket)),
            None => refuse(&Refusal::unknown_model(&id, house).param("model"), ticket),
        },
        Route::Stored { id, call } => {
            let asked = responses::Stored { account: shared.memory.of(key.as_deref()), id: &id, query: parts.uri.query() };
            match asked.answer(call) {
                Ok(answer) => Ok(finish(answer.into_response(), ticket)),
                Err(refusal) => refuse(&refusal, ticket),
            }
        }
        Route::Task { task, model, stream } => {
            let Ok(collected) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
                return refuse(&Refusal::too_large(house), ticket);
            };
            let bytes = collected.to_bytes();
            let headers = &parts.headers;
            let door = Door { shared: &shared, task, house, key: key.as_deref(), headers, model, streaming: stream };
            if let Some(answer) = fast::answer(&door, &bytes, &mut ticket) {
                return Ok(answer);
            }
            match door.prepare(&bytes, &mut ticket) {
                Ok(job) => perform(job, &shared, ticket, line).await,
                Err(refusal) => refuse(&refusal, ticket),
            }
        }
    }
}

fn open_ticket(shared: &Arc<Shared>, request: &Request<Incoming>, house: House) -> Ticket {
    let mut ticket = shared.log.ticket(unix_millis());
    let path = request.uri().path();
    let header = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    ticket.note(|entry| {
        request.method().as_str().clone_into(&mut entry.method);
        entry.path = shorten(path);
        entry.key_hint = presented_key(request.headers(), request.uri(), house).as_deref().map(key_hint);
        entry.x_request_id = header.map(shorten);
        entry.request_id.clone_from(&entry.x_request_id);
    });
    ticket
}

/// The key a request presents, and where it goes.
type Allowed<'a> = (Option<Cow<'a, str>>, Route);

fn allowed<'a>(shared: &Shared, parts: &'a http::request::Parts, house: House) -> Result<Allowed<'a>, Refusal> {
    let route = route_of(&parts.method, &parts.uri, house)?;
    let key = presented_key(&parts.headers, &parts.uri, house);
    if !shared.keys.is_empty() {
        let key = key.as_deref().ok_or_else(|| Refusal::key_missing(house))?;
        if !shared.keys.contains(key) {
            return Err(Refusal::key_wrong(&key_hint(key), house));
        }
    }
    Ok((key, route))
}

async fn perform(mut job: Job, shared: &Shared, mut ticket: Ticket, line: Arc<Line>) -> Result<Response<Body>, Severed> {
    sleep_ms(job.scenario.headers_delay_ms).await;
    let scenario = &job.scenario;
    let (house, seed) = (job.house, job.stamp.seed);
    let ok = scenario.status.unwrap_or(200);
    let error_body = || {
        let refusal = Refusal::of_scenario(scenario.status.unwrap_or(500), scenario, house);
        document(200, &refusal.body(house, &job.stamp.request_id()))
    };
    match scenario.fault {
        Fault::HangBeforeHeaders => {
            tokio::time::sleep(HANG_LIMIT).await;
            ticket.close(Ending::Cut);
            Err(Severed)
        }
        Fault::ResetBeforeHeaders => {
            line.reset_on_drop();
            ticket.close(Ending::Cut);
            Err(Severed)
        }
        Fault::None if ok >= 300 => Ok(refuse(&Refusal::of_scenario(ok, scenario, house), house, seed, ticket)),
        Fault::ErrorBody => Ok(finish(error_body(), ticket)),
        Fault::ErrorEvent if !job.streams() => Ok(finish(error_body(), ticket)),
        Fault::Html => Ok(finish(plain(ok, "text/html; charset=utf-8", Bytes::from_static(PORTAL.as_bytes())), ticket)),
        Fault::EmptyBody => {
            let kind = if job.streams() { stream_type(&job) } else { JSON };
            Ok(finish(plain(200, kind, Bytes::new()), ticket))
        }
        _ if job.streams() => Ok(play_stream(job, shared, ticket, line)),
        _ => {
            sleep_ms(std::mem::take(&mut job.scenario.first_token_delay_ms)).await;
            Ok(play_document(job, shared, ticket, line))
        }
    }
}

fn stream_type(job: &Job) -> &'static str {
    match (job.house, job.streaming) {
        (House::Google, Streaming::Array) => JSON,
        (House::Google, _) => "text/event-stream",
        _ => EVENT_STREAM,
    }
}

/// The script of an answer. Responses that are to be stored are remembered from here on.
fn write_script(job: &Job, shared: &Shared) -> Script {
    let script = Script::write(&job.asked, &job.scenario, job.stamp.seed);
    if job.task == Task::Responses && job.asked.repeated["store"] == true {
        shared.memory.of(job.key.as_deref()).keep(&job.stamp.id, responses::remembered(&job.asked, &job.stamp, &script));
    }
    script
}

fn play_stream(job: Job, shared: &Shared, mut ticket: Ticket, line: Arc<Line>) -> Response<Body> {
    let script = write_script(&job, shared);
    let kind = stream_type(&job);
    let Job { task, house, asked, stamp, scenario, streaming, .. } = job;
    let events = match task {
        Task::Responses => Events::Responses(responses::Events::new(asked, stamp.clone(), script)),
        Task::Messages => Events::Messages(messages::Events::new(stamp.clone(), script)),
        Task::Gemini => Events::Gemini(gemini::Events::new(asked, stamp.clone(), script, streaming)),
        _ => Events::Openai(openai::Events::new(task, house, &stamp, script, asked.choices, asked.include_usage)),
    };
    ticket.note(|entry| entry.status = 200);
    let body = Player::new(Piece::Events(Box::new(events), house), scenario, ticket, line).into_body();
    respond(kind, house, &stamp.request_id(), body)
}

fn play_document(mut job: Job, shared: &Shared, mut ticket: Ticket, line: Arc<Line>) -> Response<Body> {
    let fault = job.scenario.fault;
    let (house, request_id) = (job.house, job.stamp.request_id());
    let document = write_document(&mut job, shared);
    let mut length = document.bytes.len() as u64;
    ticket.note(|entry| entry.status = 200);
    let is_played = matches!(fault, Fault::Reset | Fault::Truncate | Fault::Close | Fault::Hang | Fault::Oversized);
    if !is_played && job.scenario.write_bytes.is_none() {
        ticket.note(|entry| {
            entry.usage = document.usage;
            entry.sent_tokens = document.tokens;
            entry.bytes = length;
        });
        ticket.close(Ending::Completed);
        return respond(JSON, house, &request_id, Either::Left(Full::new(document.bytes)));
    }
    if fault == Fault::Oversized {
        length = length - FILLER_MARK.len() as u64 + oversized_bytes(&job.scenario);
    }
    let body = Player::new(Piece::Document(document), job.scenario, ticket, line).into_body();
    let mut response = respond(JSON, house, &request_id, body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn write_document(job: &mut Job, shared: &Shared) -> Document {
    match job.scenario.fault {
        Fault::Oversized => {
            job.asked.choices = 1;
            job.scenario.text = Some(FILLER_MARK.to_owned());
        }
        Fault::Empty => job.asked.inputs.clear(),
        _ => {}
    }
    let script = write_script(job, shared);
    let Job { asked, stamp, .. } = &*job;
    let of_prompt = script.usage.map(UsageFigures::of_prompt);
    let (mut answer, usage, tokens) = match job.task {
        Task::Embedding => (embedding::answer(asked, &stamp.model, of_prompt), of_prompt, 0),
        Task::GeminiEmbed | Task::GeminiBatchEmbed => (gemini::embeddings(job.task, asked, &stamp.model), None, 0),
        Task::Rerank => (openai::rerank::answer(asked, &stamp.model, of_prompt), of_prompt, 0),
        Task::Moderation => (openai::moderation::answer(asked, &stamp.model, stamp.seed), None, 0),
        Task::ResponsesCount => (responses::count(asked), None, 0),
        Task::MessagesCount => (messages::count(asked), None, 0),
        Task::GeminiCount => (gemini::count(asked), None, 0),
        task => {
            let answer = match task {
                Task::Responses => responses::whole(asked, stamp, &script),
                Task::Messages => messages::whole(stamp, &script),
                Task::Gemini => gemini::whole(asked, stamp, &script),
                _ => openai::whole(task, job.house, stamp, &script, asked.choices),
            };
            (answer, script.usage, script.sent_tokens() * i64::from(asked.choices))
        }
    };
    if job.scenario.fault == Fault::Oversized && job.task.is_plain() {
        answer["data"] = json!([{"object": "embedding", "index": 0, "embedding": FILLER_MARK}]);
    }
    let mut bytes = Bytes::from(answer.to_string());
    if job.scenario.fault == Fault::Malformed {
        bytes.truncate(bytes.len() / 2);
        return Document { bytes, tokens, usage: None };
    }
    Document { bytes, tokens, usage }
}

pub(super) const JSON: &str = "application/json";
pub(super) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const PORTAL: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>Please sign in</h1></body></html>\n";

fn refuse(refusal: &Refusal, house: House, seed: u64, ticket: Ticket) -> Response<Body> {
    let request_id = request_id(!seed);
    let mut response = document(refusal.status, &refusal.body(house, &request_id));
    if let Some(secs) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    name_request(&mut response, house, &request_id);
    finish(response, ticket)
}

/// OpenAI and Anthropic give each request an id.
fn name_request(response: &mut Response<Body>, house: House, request_id: &str) {
    let name = match house {
        House::OpenAi | House::Azure => "x-request-id",
        House::Anthropic => "request-id",
        House::Google => return,
    };
    let id = HeaderValue::try_from(request_id).unwrap_or_else(|_| HeaderValue::from_static("req_0"));
    response.headers_mut().insert(name, id);
}

/// Closes the account of an answer whose body is whole already.
pub(super) fn finish(response: Response<Body>, mut ticket: Ticket) -> Response<Body> {
    let bytes = hyper::body::Body::size_hint(response.body()).exact().unwrap_or(0);
    ticket.note(|entry| {
        entry.status = response.status().as_u16();
        entry.bytes = bytes;
        if entry.scenario.is_empty() {
            "ok".clone_into(&mut entry.scenario);
        }
    });
    ticket.close(Ending::Completed);
    response
}

pub(super) fn document(status: u16, value: &Value) -> Response<Body> {
    plain(status, JSON, Bytes::from(value.to_string()))
}

pub(super) fn plain(status: u16, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(bytes)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn respond(kind: &'static str, house: House, request_id: &str, body: Body) -> Response<Body> {
    let mut response = plain(200, kind, Bytes::new());
    *response.body_mut() = body;
    name_request(&mut response, house, request_id);
    let headers = response.headers_mut();
    match house {
        House::OpenAi | House::Azure => {
            headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
            headers.insert("openai-processing-ms", HeaderValue::from_static("12"));
        }
        House::Anthropic => {
            headers.insert("anthropic-organization-id", HeaderValue::from_static("00000000-0000-4000-8000-000000000000"));
        }
        House::Google => {
            headers.insert("server-timing", HeaderValue::from_static("gfet4t7; dur=12"));
        }
    }
    response
}
