//! Tokens and users by the rules of revisions.
//!
//! An entry is replaced only by one with a higher revision. A change or a revocation of something that is not held raises the floor of
//! its revision, so that an answer that was under way cannot bring the old form back. Floors are few and bounded: when there are too
//! many, they are exchanged for a point in the history below which answers are dropped.

mod book;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use ahash::RandomState;
use parking_lot::{Mutex, RwLock};
use sluice_domain::{KeyDigest, TokenId, UserId};
use sluice_snapshot::{Token, User};

use self::book::Book;
use super::Identity;
use super::news::{Answer, Deny, DenyTarget, Held, Page, Taken};

/// Locks for reading. A power of two.
const SHARDS: usize = 64;
/// Tokens held at most; beyond it those that were not used since the last round go.
const MAX_TOKENS: usize = 1_000_000;
/// Keys remembered as unknown.
const MAX_UNKNOWN: usize = 10_000;
/// How long what pages do not confirm is kept while they are awaited, in milliseconds.
const PAGES_MILLIS: u64 = 60_000;
/// How long a key stays unknown, in milliseconds.
const UNKNOWN_MILLIS: u64 = 5_000;

/// What a look-up led to.
#[derive(Debug)]
pub(super) enum Lookup {
    /// Both are held.
    Found(Identity),
    /// The token is held, its owner is not: ask.
    Half,
    /// The token is not held.
    Missing,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    was_used: AtomicBool,
    /// The round of pages that confirmed it.
    round: AtomicU32,
}

impl<T> Entry<T> {
    const fn new(value: Arc<T>, round: u32) -> Self {
        Self { value, was_used: AtomicBool::new(true), round: AtomicU32::new(round) }
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// The identities of this relay.
#[derive(Debug)]
pub(super) struct Identities {
    tokens: [RwLock<Map<KeyDigest, Entry<Token>>>; SHARDS],
    users: [RwLock<Map<UserId, Entry<User>>>; SHARDS],
    /// Everything that only changes are made by. Locked before a shard, never after.
    book: Mutex<Book>,
    count: AtomicUsize,
    is_complete: AtomicBool,
}

impl Default for Identities {
    fn default() -> Self {
        Self {
            tokens: std::array::from_fn(|_| RwLock::default()),
            users: std::array::from_fn(|_| RwLock::default()),
            book: Mutex::default(),
            count: AtomicUsize::new(0),
            is_complete: AtomicBool::new(false),
        }
    }
}

impl Identities {
    /// Whose key it is. No waiting, no allocation.
    pub(super) fn find(&self, digest: &KeyDigest) -> Lookup {
        let token = {
            let tokens = self.token_shard(digest).read();
            let Some(entry) = tokens.get(digest) else { return Lookup::Missing };
            if !entry.was_used.load(Ordering::Relaxed) {
                entry.was_used.store(true, Ordering::Relaxed);
            }
            Arc::clone(&entry.value)
        };
        match self.user(token.user_id) {
            Some(user) => Lookup::Found(Identity { token, user }),
            None => Lookup::Half,
        }
    }

    /// Whether the control plane said lately that there is no such key.
    pub(super) fn was_unknown(&self, digest: &KeyDigest, now: u64) -> bool {
        self.book.lock().unknown.get(digest).is_some_and(|until| now < *until)
    }

    /// Whether every key there is should be held.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        let mut book = self.book.lock();
        let (round, pages_since, has_pages) = (book.round, book.pages_since, book.has_pages);
        *book = Book { round, pages_since, has_pages, has_holes: book.has_holes || has_pages, ..Book::default() };
        self.is_complete.store(false, Ordering::Relaxed);
        self.tokens.iter().for_each(|shard| shard.write().clear());
        self.users.iter().for_each(|shard| shard.write().clear());
        self.count.store(0, Ordering::Relaxed);
    }

    /// From here on pages say what is held; what none of them confirms goes at the last.
    pub(super) fn begin_pages(&self, now: u64) {
        let mut book = self.book.lock();
        book.round = book.round.wrapping_add(1);
        book.pages_since = Some(now);
        (book.has_pages, book.has_holes) = (false, false);
        self.is_complete.store(false, Ordering::Relaxed);
    }

    /// No pages will come: what is held stays, for as long as it is fresh enough. Keys that are made meanwhile are not told here, so
    /// nobody is unknown.
    pub(super) fn stop_pages(&self) {
        self.book.lock().pages_since = None;
        self.is_complete.store(false, Ordering::Relaxed);
    }

    /// Something of what there is cannot be held here: a key that is not held may exist.
    pub(super) fn is_missing_some(&self) {
        self.book.lock().has_holes = true;
        self.is_complete.store(false, Ordering::Relaxed);
    }

    /// Gives up waiting for the last page: what none confirmed goes.
    pub(super) fn end_overdue_pages(&self, now: u64) {
        let mut book = self.book.lock();
        if book.pages_since.is_some_and(|since| now.saturating_sub(since) >= PAGES_MILLIS) {
            self.end_pages(&mut book);
        }
    }

    pub(super) fn take_page(&self, page: Page, now: u64) {
        let mut book = self.book.lock();
        book.has_pages = true;
        // as long as pages come, their last one is not overdue
        book.pages_since = book.pages_since.map(|since| since.max(now));
        book.has_holes |= page.as_of_seq < book.least_as_of;
        if page.as_of_seq >= book.least_as_of {
            for user in page.users {
                self.take_user(&mut book, user, true);
            }
            for token in page.tokens {
                self.take_token(&mut book, token, true);
            }
        }
        if page.is_last {
            self.end_pages(&mut book);
            self.is_complete.store(page.is_complete && !book.has_holes, Ordering::Relaxed);
        }
        self.make_room(&mut book);
    }

    pub(super) fn take_changes(&self, seq: i64, tokens: Vec<Taken<Token>>, users: Vec<Taken<User>>) {
        let mut book = self.book.lock();
        let keeps_new = book.keeps_new(self.is_complete.load(Ordering::Relaxed));
        for user in users {
            self.take_user(&mut book, user, keeps_new);
        }
        for token in tokens {
            self.take_token(&mut book, token, keeps_new);
        }
        book.bound_floors(seq);
        self.make_room(&mut book);
    }

    pub(super) fn deny(&self, deny: Deny) {
        let mut book = self.book.lock();
        book.denied_seq = book.denied_seq.max(deny.seq);
        book.bound_floors(deny.seq);
        match deny.target {
            DenyTarget::Token(id) => {
                book.token_floors.raise(id, deny.rev);
                let held = book.by_id.get(&id).copied();
                if let Some(digest) = held.filter(|digest| self.token_rev(digest).is_some_and(|rev| rev < deny.rev)) {
                    self.drop_token(&mut book, id, &digest);
                }
            }
            DenyTarget::User(id) => {
                book.user_floors.raise(id, deny.rev);
                let mut users = self.user_shard(id).write();
                if users.get(&id).is_some_and(|held| held.value.rev < deny.rev) {
                    users.remove(&id);
                }
            }
        }
    }

    /// `false`: the answer is older than something applied here.
    pub(super) fn answered(&self, digest: &KeyDigest, answer: Answer, now: u64) -> bool {
        let mut book = self.book.lock();
        let Answer::Found { token, user, as_of_seq } = answer else {
            book.unknown.retain(|_, until| now < *until);
            if book.unknown.len() < MAX_UNKNOWN {
                book.unknown.insert(*digest, now.saturating_add(UNKNOWN_MILLIS));
            }
            // a key is asked for although it is held when its owner is not: then there is no owner
            let orphan = self.token_shard(digest).read().get(digest).map(|entry| Arc::clone(&entry.value));
            if let Some(token) = orphan.filter(|token| self.user(token.user_id).is_none()) {
                self.drop_token(&mut book, token.id, digest);
            }
            return true;
        };
        let is_stale = as_of_seq < book.denied_seq.max(book.least_as_of)
            || token.rev < book.token_floors.of(&token.id)
            || user.rev < book.user_floors.of(&user.id)
            || token.digest != *digest
            || token.user_id != user.id;
        if is_stale {
            return false;
        }
        self.take_user(&mut book, Taken::Is(*user), true);
        self.take_token(&mut book, Taken::Is(*token), true);
        self.make_room(&mut book);
        true
    }

    pub(super) fn held(&self) -> Held {
        let book = self.book.lock();
        let tokens = self.tokens.iter().flat_map(|shard| values(&shard.read())).collect();
        let users = self.users.iter().flat_map(|shard| values(&shard.read())).collect();
        drop(book);
        Held { tokens, users }
    }

    pub(super) fn restore(&self, held: Held) {
        let mut book = self.book.lock();
        for user in held.users {
            self.take_user(&mut book, Taken::Is(Arc::unwrap_or_clone(user)), true);
        }
        for token in held.tokens {
            self.take_token(&mut book, Taken::Is(Arc::unwrap_or_clone(token)), true);
        }
        self.make_room(&mut book);
    }

    fn take_token(&self, book: &mut Book, change: Taken<Token>, keeps_new: bool) {
        let token = match change {
            Taken::Is(token) => token,
            // a row that could not be read counts as gone, and is there again in its next form, or where it can be read: so its own
            // revision is the floor
            Taken::Gone { id, rev } => {
                let id = TokenId::new(id);
                book.token_floors.raise(id, rev);
                let held = book.by_id.get(&id).copied();
                if let Some(digest) = held.filter(|digest| self.token_rev(digest).is_none_or(|held| held <= rev)) {
                    self.drop_token(book, id, &digest);
                }
                return;
            }
        };
        if token.rev < book.token_floors.of(&token.id) {
            return;
        }
        book.unknown.remove(&token.digest);
        let held = book.by_id.get(&token.id).copied();
        let held_rev = held.and_then(|digest| self.token_rev(&digest));
        if let (Some(digest), Some(rev)) = (held, held_rev)
            && token.rev <= rev
        {
            self.confirm_token(book, &digest);
            return;
        }
        if held_rev.is_none() && !keeps_new {
            book.token_floors.raise(token.id, token.rev);
            return;
        }
        if let Some(digest) = held {
            self.drop_token(book, token.id, &digest);
        }
        book.token_floors.0.remove(&token.id);
        book.by_id.insert(token.id, token.digest);
        let entry = Entry::new(Arc::new(token), book.round);
        let replaced = self.token_shard(&entry.value.digest).write().insert(entry.value.digest, entry);
        // two tokens with one digest cannot be; should it happen all the same, the later one stays
        if let Some(replaced) = replaced {
            book.by_id.remove(&replaced.value.id);
        }
        self.count.store(book.by_id.len(), Ordering::Relaxed);
    }

    fn take_user(&self, book: &mut Book, change: Taken<User>, keeps_new: bool) {
        let user = match change {
            Taken::Is(user) => user,
            Taken::Gone { id, rev } => {
                let id = UserId::new(id);
                book.user_floors.raise(id, rev);
                self.user_shard(id).write().retain(|held, entry| *held != id || entry.value.rev > rev);
                return;
            }
        };
        if user.rev < book.user_floors.of(&user.id) {
            return;
        }
        let mut users = self.user_shard(user.id).write();
        match users.get(&user.id) {
            Some(held) if user.rev <= held.value.rev => held.round.store(book.round, Ordering::Relaxed),
            None if !keeps_new => book.user_floors.raise(user.id, user.rev),
            _ => {
                book.user_floors.0.remove(&user.id);
                users.insert(user.id, Entry::new(Arc::new(user), book.round));
            }
        }
    }

    fn end_pages(&self, book: &mut Book) {
        let round = book.round;
        book.pages_since = None;
        for shard in &self.tokens {
            shard.write().retain(|_, entry| {
                let stays = entry.round.load(Ordering::Relaxed) == round;
                if !stays {
                    book.by_id.remove(&entry.value.id);
                }
                stays
            });
        }
        for shard in &self.users {
            shard.write().retain(|_, entry| entry.round.load(Ordering::Relaxed) == round);
        }
        self.count.store(book.by_id.len(), Ordering::Relaxed);
    }

    /// Lets tokens go that were not used since the last round, when there are too many, and the users who have none left.
    fn make_room(&self, book: &mut Book) {
        if book.by_id.len() <= MAX_TOKENS {
            return;
        }
        book.has_holes = true;
        self.is_complete.store(false, Ordering::Relaxed);
        for shard in &self.tokens {
            shard.write().retain(|_, entry| {
                let stays = entry.was_used.swap(false, Ordering::Relaxed);
                if !stays {
                    book.by_id.remove(&entry.value.id);
                }
                stays
            });
        }
        let owners: HashSet<UserId> =
            self.tokens.iter().flat_map(|shard| values(&shard.read())).map(|token| token.user_id).collect();
        for shard in &self.users {
            shard.write().retain(|id, _| owners.contains(id));
        }
        self.count.store(book.by_id.len(), Ordering::Relaxed);
    }

    fn drop_token(&self, book: &mut Book, id: TokenId, digest: &KeyDigest) {
        book.by_id.remove(&id);
        self.token_shard(digest).write().remove(digest);
        self.count.store(book.by_id.len(), Ordering::Relaxed);
    }

    fn confirm_token(&self, book: &Book, digest: &KeyDigest) {
        if let Some(entry) = self.token_shard(digest).read().get(digest) {
            entry.round.store(book.round, Ordering::Relaxed);
        }
    }

    fn token_rev(&self, digest: &KeyDigest) -> Option<i64> {
        self.token_shard(digest).read().get(digest).map(|entry| entry.value.rev)
    }

    fn user(&self, id: UserId) -> Option<Arc<User>> {
        self.user_shard(id).read().get(&id).map(|entry| Arc::clone(&entry.value))
    }

    fn token_shard(&self, digest: &KeyDigest) -> &RwLock<Map<KeyDigest, Entry<Token>>> {
        &self.tokens[usize::from(digest.0[0]) % SHARDS]
    }

    fn user_shard(&self, id: UserId) -> &RwLock<Map<UserId, Entry<User>>> {
        &self.users[usize::try_from(id.get().unsigned_abs() % SHARDS as u64).unwrap_or(0)]
    }
}

fn values<K, T>(map: &Map<K, Entry<T>>) -> Vec<Arc<T>> {
    map.values().map(|entry| Arc::clone(&entry.value)).collect()
}
