//! Notes in Redis: one key each, with the end it was given.

use std::time::Duration;

use fred::interfaces::KeysInterface;
use fred::types::Expiration;
use futures_util::future::BoxFuture;

use super::{Redis, away};
use crate::notes::Notes;
use crate::shared::Away;

impl Notes for Redis {
    fn note<'a>(&'a self, name: &'a str, text: &'a str, lifetime: Duration) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move {
            let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX).max(1);
            let noted = self.client.set::<(), _, _>(name, text, Some(Expiration::EX(seconds)), None, false).await;
            noted.map_err(|error| away(&error))
        })
    }

    fn noted<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Away>> {
        Box::pin(async move { self.client.get(name).await.map_err(|error| away(&error)) })
    }

    fn strike<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move { self.client.del::<i64, _>(name).await.map(drop).map_err(|error| away(&error)) })
    }
}
