//! What this relay knows: the table that requests are routed by, and who may call.
//!
//! Everything here was said by the control plane and is read without asking it: [`View::table`] is one pointer, swapped whole;
//! [`View::identify`] is two map look-ups. Only a key that was never seen here costs a round trip.
//!
//! What must not live here: the wire (that is `link`), and what a request may do with what it finds. Start reading at [`View`], then
//! `identities.rs` for the rules about revisions.

mod config_state;
mod disk;
mod identities;
mod news;
mod resolver;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use sluice_dialect::signature::Sealer;
use sluice_domain::{Clock, KeyDigest, UnixMillis};
use sluice_sealed::DigestKey;
use sluice_snapshot::{Table, Token, User};
use tokio::sync::mpsc;

pub use self::config_state::ConfigState;
pub use self::disk::LastGood;
use self::identities::{Identities, Lookup};
pub use self::news::{Answer, Deny, DenyTarget, Held, Page, Taken};
use self::resolver::{Resolver, Wait};
use crate::metrics::{ByAnswer, ViewMetrics};

/// The longest a request waits for the control plane to say whose key it carries.
pub const RESOLVE_WAIT: Duration = Duration::from_secs(3);

/// Who calls.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The token.
    pub token: Arc<Token>,
    /// Its owner.
    pub user: Arc<User>,
}

/// Why a caller was not identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// There is no such key: answer 401.
    #[error("the key is unknown")]
    Unknown,
    /// It cannot be said now, or not with the freshness that is promised: answer 503.
    #[error("whose key it is cannot be confirmed now")]
    NotKnown,
}

/// What this relay knows. Clones are the same view.
#[derive(Debug, Clone)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: ArcSwap<Table>,
    digest_key: ArcSwapOption<DigestKey>,
    /// Makes and opens the envelopes that state of one provider travels in through callers of another dialect.
    sealer: ArcSwapOption<Sealer>,
    /// Whether a table was ever published.
    is_usable: AtomicBool,
    /// Whether revocations reached this relay lately enough.
    is_fresh: AtomicBool,
    /// The wall clock of the control plane less ours, in milliseconds.
    offset_millis: AtomicI64,
    identities: Identities,
    resolver: Resolver,
    clock: Clock,
    metrics: ViewMetrics,
}

impl View {
    /// Knows nothing yet. What the receiver gives is to be asked of the control plane.
    #[must_use]
    pub fn new(clock: Clock, metrics: ViewMetrics) -> (Self, mpsc::Receiver<KeyDigest>) {
        let (resolver, questions) = Resolver::new();
        let view = Self(Arc::new(Inner {
            table: ArcSwap::from_pointee(Table::default()),
            digest_key: ArcSwapOption::empty(),
            sealer: ArcSwapOption::empty(),
            is_usable: AtomicBool::new(false),
            is_fresh: AtomicBool::new(true),
            offset_millis: AtomicI64::new(0),
            identities: Identities::default(),
            resolver,
            clock,
            metrics,
        }));
        (view, questions)
    }

    /// The table in force. Load it once per request and keep it to the end.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.0.table.load_full()
    }

    /// Whether there is anything to serve from.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.0.is_usable.load(Ordering::Acquire) && self.0.digest_key.load().is_some()
    }

    /// Makes and opens envelopes. Every relay of a site has the same key; before there is one, nobody is served.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.0.sealer.load().as_ref().map_or_else(|| Sealer::new(&[0; 32]), |sealer| Sealer::clone(sealer))
    }

    /// The digest of the secret part of a presented key. `None`: this relay knows nothing yet; answer 503 `config_not_ready`.
    #[must_use]
    pub fn digest(&self, secret: &str) -> Option<KeyDigest> {
        if !self.0.is_usable.load(Ordering::Acquire) {
            return None;
        }
        self.0.digest_key.load().as_ref().map(|key| key.digest(secret))
    }

    /// Whose key it is. Without waiting when it is held; otherwise the control plane is asked, once for all who wait. A key that is not
    /// held although every key there is should be is called unknown without asking when too many such keys come.
    ///
    /// # Errors
    /// When there is no such key, or when that cannot be said now.
    pub async fn identify(&self, digest: &KeyDigest) -> Result<Identity, IdentifyError> {
        match self.look_up(digest) {
            Some(verdict) => verdict,
            None => self.ask(digest).await,
        }
    }

    fn look_up(&self, digest: &KeyDigest) -> Option<Result<Identity, IdentifyError>> {
        let is_fresh = self.0.is_fresh.load(Ordering::Relaxed);
        match self.0.identities.find(digest) {
            Lookup::Found(identity) if is_fresh => Some(Ok(identity)),
            Lookup::Found(_) => Some(Err(IdentifyError::NotKnown)),
            Lookup::Half => None,
            Lookup::Missing => {
                let now = self.0.clock.read().boot_millis;
                let is_unknown = is_fresh && self.0.identities.was_unknown(digest, now);
                is_unknown.then_some(Err(IdentifyError::Unknown))
            }
        }
    }

    async fn ask(&self, digest: &KeyDigest) -> Result<Identity, IdentifyError> {
        let now = self.0.clock.read().boot_millis;
        // even where every key there is should be held: the news of one that was made this moment may be on its way
        let is_complete = self.0.identities.is_complete();
        let Wait::For(mut answered) = self.0.resolver.ask(*digest, !is_complete, now) else {
            if is_complete && self.0.is_fresh.load(Ordering::Relaxed) {
                return Err(IdentifyError::Unknown);
            }
            self.0.metrics.resolves.of(&ByAnswer::Limited).increment();
            return Err(IdentifyError::NotKnown);
        };
        // the sender goes when there is an answer, whatever it is
        let _ = tokio::time::timeout(RESOLVE_WAIT, answered.changed()).await;
        self.look_up(digest).unwrap_or(Err(IdentifyError::NotKnown))
    }

    /// A moment of this node's wall clock as the control plane's clock shows it: what the end of a token is judged by.
    #[must_use]
    pub fn corrected(&self, wall: UnixMillis) -> UnixMillis {
        wall.plus_millis(self.0.offset_millis.load(Ordering::Relaxed))
    }

    /// Takes over by how much the control plane's wall clock is ahead of ours, in milliseconds.
    pub fn set_offset(&self, millis: i64) {
        self.0.offset_millis.store(millis, Ordering::Relaxed);
    }

    /// Puts a table in force.
    pub fn publish(&self, table: Arc<Table>) {
        #[expect(clippy::cast_precision_loss, reason = "a sequence beyond 2^53 may be off by one in a figure")]
        self.0.metrics.config_seq.set(table.version.seq as f64);
        self.0.table.store(table);
        self.0.is_usable.store(true, Ordering::Release);
    }

    /// Takes over the key that digests are made with. Identities known by digests of another key are forgotten.
    pub fn set_digest_key(&self, bytes: [u8; 32]) {
        let is_same = self.0.digest_key.load().as_ref().is_some_and(|key| key.expose() == &bytes);
        if !is_same {
            self.0.identities.clear();
            let key = DigestKey::from_bytes(bytes);
            self.0.sealer.store(Some(Arc::new(Sealer::new(&key.envelope_key()))));
            self.0.digest_key.store(Some(Arc::new(key)));
        }
    }

    /// The key that digests are made with, to keep on disk.
    #[must_use]
    pub fn digest_key(&self) -> Option<[u8; 32]> {
        self.0.digest_key.load().as_ref().map(|key| *key.expose())
    }

    /// Says whether revocations reach this relay, or did so lately enough. When not, nobody is identified.
    pub fn set_fresh(&self, is_fresh: bool) {
        self.0.is_fresh.store(is_fresh, Ordering::Relaxed);
    }

    /// Says whether the control plane can be asked for identities.
    pub fn set_connected(&self, is_connected: bool) {
        self.0.resolver.set_connected(is_connected);
        if !is_connected {
            self.0.identities.stop_pages();
        }
    }

    /// Forgets every identity: another history began.
    pub fn forget_identities(&self) {
        self.0.identities.clear();
    }

    /// Something of what there is cannot be held here, so that a key that is not held may exist: it is asked for.
    pub fn is_missing_some(&self) {
        self.0.identities.is_missing_some();
    }

    /// Pages with identities are about to come: what they do not confirm is forgotten at the last one.
    pub fn begin_pages(&self) {
        self.0.identities.begin_pages(self.0.clock.read().boot_millis);
    }

    /// Forgets what pages should have confirmed and did not, because the last one does not come.
    pub fn end_overdue_pages(&self) {
        self.0.identities.end_overdue_pages(self.0.clock.read().boot_millis);
        self.0.metrics.identities.set_count(self.0.identities.len());
    }

    /// Takes in a page of identities.
    pub fn take_page(&self, page: Page) {
        self.0.identities.take_page(page, self.0.clock.read().boot_millis);
        self.0.metrics.identities.set_count(self.0.identities.len());
    }

    /// Takes in identities that changed.
    pub fn take_changes(&self, seq: i64, tokens: Vec<Taken<Token>>, users: Vec<Taken<User>>) {
        self.0.identities.take_changes(seq, tokens, users);
        self.0.metrics.identities.set_count(self.0.identities.len());
    }

    /// Applies a revocation of a token or a user. One of a channel is for [`ConfigState::deny`].
    pub fn deny(&self, deny: Deny) {
        self.0.identities.deny(deny);
        self.0.metrics.denies.increment();
    }

    /// Takes in what the control plane said about a key. `false`: the answer is older than a revocation; ask again.
    #[must_use]
    pub fn answered(&self, digest: &KeyDigest, answer: Answer) -> bool {
        let now = self.0.clock.read().boot_millis;
        let is_found = matches!(answer, Answer::Found { .. });
        if !self.0.identities.answered(digest, answer, now) {
            return false;
        }
        self.0.metrics.resolves.of(if is_found { &ByAnswer::Found } else { &ByAnswer::Unknown }).increment();
        self.0.metrics.identities.set_count(self.0.identities.len());
        self.0.resolver.answered(digest, is_found);
        true
    }

    /// The control plane could not say.
    pub fn not_answered(&self, digest: &KeyDigest) {
        self.0.metrics.resolves.of(&ByAnswer::Failed).increment();
        self.0.resolver.answered(digest, false);
    }

    /// Every identity held, to keep on disk.
    #[must_use]
    pub fn held(&self) -> Held {
        self.0.identities.held()
    }

    /// Puts in identities that were kept on disk.
    pub fn restore(&self, held: Held) {
        self.0.identities.restore(held);
        self.0.metrics.identities.set_count(self.0.identities.len());
    }

    /// Tokens held.
    #[must_use]
    pub fn identity_count(&self) -> usize {
        self.0.identities.len()
    }
}

#[cfg(test)]
mod tests;
