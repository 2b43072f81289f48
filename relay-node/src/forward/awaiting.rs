//! Answers that were not ready when they were asked for: asked for again until they are.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName};
use sluice_dialect::vendor::Vendor;
use sluice_providers::Target;
use sluice_upstream::{Answer, ReadError, Route, Timeouts};
use tokio::time::{Instant, sleep};

use super::Journey;
use super::failure::Failure;
use super::halting::Halting;

/// The first wait before asking again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The longest one such question may take.
const MAX_QUESTION: Duration = Duration::from_secs(30);
/// Where nothing else bounds an answer, it is waited for this long.
const MAX_TIME: Duration = Duration::from_hours(1);
/// Questions in a row that may fail by a busy upstream.
const MAX_LAPSES: u32 = 3;
const PREFER: HeaderName = HeaderName::from_static("prefer");

impl Journey {
    /// The answer, when it is ready. Whoever drops the future ends it at the upstream too.
    pub(super) async fn awaited(
        &self,
        answer: Answer,
        (vendor, asked): (Vendor, Target),
        route: &Route,
        halting: &mut Option<Halting>,
    ) -> Result<Answer, Failure> {
        if !answer.status.is_success() {
            return Ok(answer);
        }
        let (status, headers, max_bytes) = (answer.status, answer.headers.clone(), self.app.engine.max_answer_bytes);
        let unread = |error| Failure::unreadable(error, status);
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + MAX_TIME);
        let mut body = answer.collect(max_bytes).await.map_err(unread)?;
        let (mut wait, mut lapses) = (FIRST_WAIT, 0);
        while let Some(path) = vendor.again(asked.url.path(), &body) {
            if let Some(halting) = halting {
                halting.look(&body);
            }
            if Instant::now() + wait >= deadline {
                return Err(unread(ReadError::TotalTimeout));
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            let left = deadline.saturating_duration_since(Instant::now()).min(MAX_QUESTION);
            let sent = self.app.engine.client.send(route, question(&asked, &path), Bytes::new(), Timeouts::whole(left)).await;
            let answer = sent.map_err(|error| Failure::not_sent(&error))?;
            let is_busy = answer.status.is_server_error() || answer.status.as_u16() == 429;
            if is_busy && lapses < MAX_LAPSES {
                lapses += 1;
                continue;
            }
            if !answer.status.is_success() {
                return Ok(answer);
            }
            lapses = 0;
            body = answer.collect(max_bytes).await.map_err(unread)?;
        }
        if let Some(halting) = halting {
            halting.over();
        }
        Ok(Answer::held(status, headers, body))
    }
}

fn question(asked: &Target, path: &str) -> Target {
    let Target { mut url, mut headers, .. } = asked.clone();
    url.set_path(path);
    headers.remove(PREFER);
    headers.remove(CONTENT_TYPE);
    Target { method: Method::GET, url, headers }
}
