//! Files of a request that its upstream must have before it is asked.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use sluice_dialect::vendor::{Upload, Vendor};
use sluice_providers::Target;
use sluice_routing::Candidate;
use sluice_upstream::{Route, Timeouts};

use super::Journey;
use super::failure::Failure;
use crate::error::{Kind, Refusal};

/// Files of one request.
const MAX_FILES: usize = 16;
/// The longest one upload may take.
const MAX_TIME: Duration = Duration::from_mins(1);
/// What is read of the answer to an upload, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

impl Journey {
    /// Uploads what a body speaks of, and gives the body with the vendor's names of it.
    pub(super) async fn with_uploads(
        &self,
        candidate: &Candidate,
        (vendor, uploads): (Vendor, Vec<Upload>),
        (route, asked): (&Route, &Target),
        mut body: Bytes,
    ) -> Result<Bytes, Failure> {
        if uploads.len() > MAX_FILES {
            let message = format!("a request may bring {MAX_FILES} files for the provider of this model");
            return Err(Failure::callers(Refusal::new(Kind::InvalidRequest, message)));
        }
        for file in uploads {
            let unusable =
                |status| Failure::unusable(Kind::BadResponse, "the upstream did not take a file of the request", status);
            let Some(form) = vendor.upload(asked.url.path(), &body, &file) else { return Err(unusable(StatusCode::OK)) };
            let no_room = |_| Failure::no_memory(StatusCode::OK);
            let _held = self.app.bytes.hold(form.body.len()).map_err(no_room)?;
            let mut target = asked.clone();
            target.url.set_path(&form.path);
            let kind = HeaderValue::from_str(&form.content_type).map_err(|_| unusable(StatusCode::OK))?;
            target.headers.insert(CONTENT_TYPE, kind);
            let sent = self.app.engine.client.send(route, target, form.body, Timeouts::whole(MAX_TIME)).await;
            let answer = sent.map_err(|error| Failure::not_sent(&error))?;
            let status = answer.status;
            if !status.is_success() {
                return Err(self.refused(candidate, answer).await);
            }
            let said = answer.collect(MAX_ANSWER_BYTES).await.map_err(|error| Failure::unreadable(error, status))?;
            let id = vendor.uploaded(&said).ok_or_else(|| unusable(status))?;
            body = file.named(&body, &id);
        }
        Ok(body)
    }
}
