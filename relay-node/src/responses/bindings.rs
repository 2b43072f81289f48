//! Whose a stored response is, and where it is stored: in the fleet's Redis where there is one, and in this relay's memory.
//!
//! A binding holds ids and a model's name, never a key or a text. It may be lost at any time; then its response is not found.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sluice_domain::{ChannelId, ChannelKeyId, UserId};
use sluice_limits::{Away, Notes};
use tokio::time::timeout;

/// Bindings one relay remembers; the oldest go first.
const MOST: u64 = 100_000;
/// The longest id of a response that is believed, in bytes.
const LONGEST_ID: usize = 256;

/// The id of a response: a few plain characters, so that it can stand in an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResponseId(Box<str>);

impl ResponseId {
    /// Reads an id; `None` where it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        let is_step = matches!(text, "." | "..");
        let fits = !text.is_empty() && text.len() <= LONGEST_ID && !is_step && text.bytes().all(is_plain);
        fits.then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a response is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The channel that made it.
    pub channel: ChannelId,
    /// The key it was made with.
    pub key: ChannelKeyId,
    /// The model, as its caller asked for it.
    pub model: Box<str>,
}

impl Binding {
    /// The channel and key.
    #[must_use]
    pub const fn place(&self) -> (ChannelId, ChannelKeyId) {
        (self.channel, self.key)
    }
}

/// Bindings by owner and id: who asks for another's response asks for one that is not there.
pub struct Bindings {
    here: Cache<(UserId, ResponseId), Arc<Binding>>,
    fleet: Option<Arc<dyn Notes>>,
    /// The longest a request waits for the fleet.
    patience: Duration,
    lifetime: Duration,
}

impl std::fmt::Debug for Bindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bindings").field("fleet", &self.fleet).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Bindings {
    /// How long a binding is remembered unless told otherwise: as long as OpenAI keeps responses.
    pub const LIFETIME: Duration = Duration::from_hours(30 * 24);

    /// Remembers nothing yet. `fleet`: where all relays note theirs, and how long a request may wait for that.
    #[must_use]
    pub fn new(fleet: Option<(Arc<dyn Notes>, Duration)>, lifetime: Duration) -> Self {
        let (fleet, patience) = fleet.map_or((None, Duration::ZERO), |(fleet, patience)| (Some(fleet), patience));
        let here = Cache::builder().max_capacity(MOST).time_to_live(lifetime).build();
        Self { here, fleet, patience, lifetime }
    }

    /// Remembers where a response is. When the fleet cannot be told, this relay still knows.
    pub async fn remember(&self, owner: UserId, id: ResponseId, binding: Binding) {
        if let Some(fleet) = &self.fleet
            && let Ok(text) = serde_json::to_string(&binding)
        {
            // nothing is owed for it: whoever asks another relay for it then is told that it is not there
            let _ = timeout(self.patience, fleet.note(&name(owner, &id), &text, self.lifetime)).await;
        }
        self.here.insert((owner, id), Arc::new(binding));
    }

    /// Where a response of this owner is.
    ///
    /// # Errors
    /// When it is not known here, and the fleet cannot be asked.
    pub async fn find(&self, owner: UserId, id: &ResponseId) -> Result<Option<Arc<Binding>>, Away> {
        if let Some(known) = self.here.get(&(owner, id.clone())) {
            return Ok(Some(known));
        }
        let Some(fleet) = &self.fleet else { return Ok(None) };
        let asked = timeout(self.patience, async { fleet.noted(&name(owner, id)).await }).await;
        let noted = asked.unwrap_or(Err(Away("it took too long")))?;
        // what cannot be read was noted by another version
        let binding: Option<Arc<Binding>> = noted.and_then(|text| serde_json::from_str(&text).ok()).map(Arc::new);
        if let Some(binding) = &binding {
            self.here.insert((owner, id.clone()), Arc::clone(binding));
        }
        Ok(binding)
    }

    /// Forgets a response that is gone.
    pub async fn forget(&self, owner: UserId, id: &ResponseId) {
        self.here.invalidate(&(owner, id.clone()));
        if let Some(fleet) = &self.fleet {
            // a binding that stays leads to an upstream that says that there is no such response
            let _ = timeout(self.patience, async { fleet.strike(&name(owner, id)).await }).await;
        }
    }
}

fn name(owner: UserId, id: &ResponseId) -> String {
    format!("sluice:response:{owner}:{}", id.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_util::future::BoxFuture;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Board {
        notes: Mutex<HashMap<String, (String, Duration)>>,
        is_away: Mutex<bool>,
    }

    impl Board {
        fn reach(&self) -> Result<(), Away> {
            if *self.is_away.lock() { Err(Away("away")) } else { Ok(()) }
        }
    }

    impl Notes for Board {
        fn note<'a>(&'a self, name: &'a str, text: &'a str, lifetime: Duration) -> BoxFuture<'a, Result<(), Away>> {
            Box::pin(async move {
                self.reach().map(|()| drop(self.notes.lock().insert(name.to_owned(), (text.to_owned(), lifetime))))
            })
        }

        fn noted<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Away>> {
            Box::pin(async move { self.reach().map(|()| self.notes.lock().get(name).map(|(text, _)| text.clone())) })
        }

        fn strike<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Away>> {
            Box::pin(async move { self.reach().map(|()| drop(self.notes.lock().remove(name))) })
        }
    }

    const ANA: UserId = UserId::new(1);
    const BEN: UserId = UserId::new(2);

    fn id(text: &str) -> ResponseId {
        ResponseId::parse(text).unwrap()
    }

    fn binding() -> Binding {
        Binding { channel: ChannelId::new(3), key: ChannelKeyId::new(31), model: "gpt-4o".into() }
    }

    fn relay(board: &Arc<Board>) -> Bindings {
        Bindings::new(Some((Arc::clone(board) as Arc<dyn Notes>, Duration::from_secs(5))), Bindings::LIFETIME)
    }

    #[tokio::test]
    async fn a_response_is_its_owners_alone_and_known_to_every_relay() {
        let board = Arc::new(Board::default());
        let (here, there) = (relay(&board), relay(&board));
        here.remember(ANA, id("resp_1"), binding()).await;
        for relay in [&here, &there] {
            assert_eq!(relay.find(ANA, &id("resp_1")).await.unwrap().as_deref(), Some(&binding()));
            assert_eq!(relay.find(BEN, &id("resp_1")).await.unwrap(), None, "another's");
        }
        let noted = board.notes.lock().clone();
        let expected = (r#"{"channel":3,"key":31,"model":"gpt-4o"}"#.to_owned(), Bindings::LIFETIME);
        assert_eq!(noted, HashMap::from([("sluice:response:1:resp_1".to_owned(), expected)]), "ids alone");
        there.forget(ANA, &id("resp_1")).await;
        assert_eq!(relay(&board).find(ANA, &id("resp_1")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_fleet_that_cannot_be_asked_is_told_apart_from_one_that_does_not_know() {
        let board = Arc::new(Board::default());
        let (here, there) = (relay(&board), relay(&board));
        *board.is_away.lock() = true;
        here.remember(ANA, id("resp_1"), binding()).await;
        assert!(here.find(ANA, &id("resp_1")).await.unwrap().is_some(), "known here all the same");
        there.find(ANA, &id("resp_1")).await.unwrap_err();
        let alone = Bindings::new(None, Bindings::LIFETIME);
        assert_eq!(alone.find(ANA, &id("resp_1")).await.unwrap(), None);
    }

    #[test]
    fn an_id_is_a_few_plain_characters() {
        for good in ["resp_68af", "a-b.c:d", "0f9d3c1e-4f6a"] {
            assert_eq!(id(good).as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "a%2fb", "ä", "a?b", &"x".repeat(257)] {
            assert_eq!(ResponseId::parse(bad), None, "{bad}");
        }
    }
}
