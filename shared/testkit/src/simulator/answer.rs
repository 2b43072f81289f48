//! From a request to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::log::{Ending, Ticket, key_hint};
use super::models::Task;
use super::play::{Body, Document, HANG_LIMIT, Piece, Player, Severed, oversized_bytes, sleep_ms};
use super::prepare::{Door, Job, shorten};
use super::refusal::{House, Refusal};
use super::render::{Events, FILLER_MARK, whole};
use super::route::{Route, house_of, presented_key, route_of};
use super::scenario::Fault;
use super::script::{Script, UsageFigures, token};
use super::socket::Line;
use super::{Shared, control, embedding, fast, unix_millis};

/// The largest request body that is read: 64 MiB.
pub(super) const MAX_REQUEST_BYTES: usize = 64 << 20;
pub(super) async fn answer(shared: Arc<Shared>, line: Arc<Line>, request: Request<Incoming>) -> Result<Response<Body>, Severed> {
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::answer(&shared, request).await);
    }
    let mut ticket = open_ticket(&shared, &request);
    let house = house_of(request.uri().path());
    let (parts, body) = request.into_parts();
    let route = match allowed(&shared, &parts, house) {
        Ok(route) => route,
        Err(refusal) => return Ok(refuse(&refusal, ticket)),
    };
    match route {
        Route::ModelList => Ok(finish(document(200, &shared.models.list()), ticket)),
        Route::Model(id) => Ok(match shared.models.one(&id) {
            Some(model) => finish(document(200, &model), ticket),
            None => refuse(&Refusal::unknown_model(&id, house).param("model"), ticket),
        }),
        Route::Task { task, deployment } => {
            let Ok(collected) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
                return Ok(refuse(&Refusal::new(413, "Request too large.").code("request_too_large"), ticket));
            };
            let bytes = collected.to_bytes();
            let door = Door { shared: &shared, task, house, key: presented_key(&parts.headers, house) };
            if let Some(answer) = fast::answer(&door, &bytes, &mut ticket) {
                return Ok(answer);
            }
            match door.prepare(deployment, &bytes, &mut ticket) {
                Ok(job) => perform(job, ticket, line).await,
                Err(refusal) => Ok(refuse(&refusal, ticket)),
            }
        }
    }
}

fn open_ticket(shared: &Arc<Shared>, request: &Request<Incoming>) -> Ticket {
    let mut ticket = shared.log.ticket(unix_millis());
    let path = request.uri().path();
    let header = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    ticket.note(|entry| {
        request.method().as_str().clone_into(&mut entry.method);
        entry.path = shorten(path);
        entry.key_hint = presented_key(request.headers(), house_of(path)).map(key_hint);
        entry.x_request_id = header.map(shorten);
        entry.request_id.clone_from(&entry.x_request_id);
    });
    ticket
}

fn allowed(shared: &Shared, parts: &http::request::Parts, house: House) -> Result<Route, Refusal> {
    let route = route_of(&parts.method, &parts.uri)?;
    if !shared.keys.is_empty() {
        let key = presented_key(&parts.headers, house).ok_or_else(|| Refusal::key_missing(house))?;
        if !shared.keys.contains(key) {
            return Err(Refusal::key_wrong(&key_hint(key), house));
        }
    }
    Ok(route)
}

async fn perform(mut job: Job, ticket: Ticket, line: Arc<Line>) -> Result<Response<Body>, Severed> {
    sleep_ms(job.scenario.headers_delay_ms).await;
    let mut ticket = ticket;
    let scenario = &job.scenario;
    let ok = scenario.status.unwrap_or(200);
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
        Fault::None if ok >= 300 => Ok(refuse(&Refusal::of_scenario(ok, scenario), ticket)),
        Fault::ErrorBody => {
            Ok(finish(document(200, &Refusal::of_scenario(scenario.status.unwrap_or(500), scenario).body()), ticket))
        }
        Fault::ErrorEvent if !job.streams() => {
            Ok(finish(document(200, &Refusal::of_scenario(scenario.status.unwrap_or(500), scenario).body()), ticket))
        }
        Fault::Html => Ok(finish(plain(ok, "text/html; charset=utf-8", Bytes::from_static(PORTAL.as_bytes())), ticket)),
        Fault::EmptyBody => {
            let kind = if job.streams() { EVENT_STREAM } else { JSON };
            Ok(finish(plain(200, kind, Bytes::new()), ticket))
        }
        _ if job.streams() => Ok(play_stream(job, ticket, line)),
        _ => {
            sleep_ms(std::mem::take(&mut job.scenario.first_token_delay_ms)).await;
            Ok(play_document(job, ticket, line))
        }
    }
}

fn play_stream(job: Job, mut ticket: Ticket, line: Arc<Line>) -> Response<Body> {
    let script = Script::write(&job.asked, &job.scenario, job.seed);
    let events = Events::new(job.task, job.house, &job.stamp, script, job.asked.choices, job.asked.include_usage);
    ticket.note(|entry| entry.status = 200);
    let body = Player::new(Piece::Events(Box::new(events)), job.scenario, ticket, line).into_body();
    respond(EVENT_STREAM, job.seed, body)
}

fn play_document(mut job: Job, mut ticket: Ticket, line: Arc<Line>) -> Response<Body> {
    let fault = job.scenario.fault;
    let document = write_document(&mut job);
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
        return respond(JSON, job.seed, Either::Left(Full::new(document.bytes)));
    }
    if fault == Fault::Oversized {
        length = length - FILLER_MARK.len() as u64 + oversized_bytes(&job.scenario);
    }
    let body = Player::new(Piece::Document(document), job.scenario, ticket, line).into_body();
    let mut response = respond(JSON, job.seed, body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn write_document(job: &mut Job) -> Document {
    match job.scenario.fault {
        Fault::Oversized => {
            job.asked.choices = 1;
            job.scenario.text = Some(FILLER_MARK.to_owned());
        }
        Fault::Empty => job.asked.inputs.clear(),
        _ => {}
    }
    let script = Script::write(&job.asked, &job.scenario, job.seed);
    let (answer, usage, tokens) = if job.task == Task::Embedding {
        let usage = script.usage.map(UsageFigures::of_prompt);
        let mut answer = embedding::answer(&job.asked, &job.stamp.model, usage);
        if job.scenario.fault == Fault::Oversized {
            answer["data"] = json!([{"object": "embedding", "index": 0, "embedding": FILLER_MARK}]);
        }
        (answer, usage, 0)
    } else {
        let answer = whole(job.task, job.house, &job.stamp, &script, job.asked.choices);
        (answer, script.usage, script.visible_tokens * i64::from(job.asked.choices))
    };
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

fn refuse(refusal: &Refusal, ticket: Ticket) -> Response<Body> {
    let mut response = document(refusal.status, &refusal.body());
    if let Some(secs) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    finish(response, ticket)
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

fn respond(kind: &'static str, seed: u64, body: Body) -> Response<Body> {
    let mut response = plain(200, kind, Bytes::new());
    *response.body_mut() = body;
    let headers = response.headers_mut();
    let id = HeaderValue::try_from(format!("req_{}", token(!seed, 24)));
    headers.insert("x-request-id", id.unwrap_or_else(|_| HeaderValue::from_static("req_0")));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    headers.insert("openai-processing-ms", HeaderValue::from_static("12"));
    response
}
