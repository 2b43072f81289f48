use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use sluice_domain::{AccountId, GroupName, Now, Role, Status, TokenId, UserId};
use sluice_telemetry::metrics::Registry;

use super::*;
use crate::metrics::Metrics;

const NOW: u64 = 1_000;

struct World {
    view: View,
    questions: mpsc::Receiver<KeyDigest>,
    boot_millis: Arc<AtomicU64>,
}

/// A view that is usable and connected.
fn world() -> World {
    let boot_millis = Arc::new(AtomicU64::new(NOW));
    let read = Arc::clone(&boot_millis);
    let clock = Clock::new(move || Now { wall: UnixMillis(0), boot_millis: read.load(Ordering::Relaxed) });
    let (view, questions) = View::new(clock, Metrics::declare(&Registry::new()).view);
    view.set_digest_key([1; 32]);
    view.publish(Arc::default());
    view.set_connected(true);
    World { view, questions, boot_millis }
}

fn digest(number: u8) -> KeyDigest {
    KeyDigest([number; 32])
}

fn token(number: u8, rev: i64) -> Token {
    Token {
        id: TokenId::new(i64::from(number)),
        user_id: UserId::new(1),
        rev,
        digest: digest(number),
        status: Status::Enabled,
        expires_at: None,
        name: "t".into(),
        group: None,
        models: None,
        ip_allow: vec![],
        account_id: AccountId::new(2),
        capped: false,
        uses_account_id: None,
        limits: sluice_domain::Limits::default(),
    }
}

fn user(rev: i64) -> User {
    User {
        id: UserId::new(1),
        rev,
        status: Status::Enabled,
        role: Role::User,
        group: GroupName::parse("default").unwrap(),
        account_id: AccountId::new(1),
        limits: sluice_domain::Limits::default(),
    }
}

fn page(tokens: Vec<Token>, is_complete: bool) -> Page {
    let tokens = tokens.into_iter().map(Taken::Is).collect();
    Page { as_of_seq: 10, tokens, users: vec![Taken::Is(user(1))], is_last: true, is_complete }
}

fn found(token: Token, as_of_seq: i64) -> Answer {
    Answer::Found { token: Box::new(token), user: Box::new(user(1)), as_of_seq }
}

/// What is known without asking: the token's revision.
fn known(view: &View, number: u8) -> Option<Result<i64, IdentifyError>> {
    view.look_up(&digest(number)).map(|verdict| verdict.map(|identity| identity.token.rev))
}

/// What a key that is not held is called once no more questions may be asked.
fn beyond_the_questions(view: &View, number: u8) -> IdentifyError {
    for flooding in 0..=u8::MAX {
        // the first of them are asked for, and nobody answers
        let mut invented = [flooding; 32];
        invented[0] = !flooding;
        let _ = view.identify(&KeyDigest(invented)).now_or_never();
    }
    view.identify(&digest(number)).now_or_never().expect("too many were asked for to ask again").unwrap_err()
}

#[test]
fn a_known_key_is_identified_without_waiting() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    let identity = view.identify(&digest(1)).now_or_never().unwrap().unwrap();
    assert_eq!((identity.token.rev, identity.user.id), (5, UserId::new(1)));
}

#[test]
fn digests_are_made_only_once_there_is_a_configuration_and_a_key() {
    let clock = Clock::new(|| Now { wall: UnixMillis(0), boot_millis: 0 });
    let (view, _questions) = View::new(clock, Metrics::declare(&Registry::new()).view);
    assert_eq!(view.digest("secret"), None);
    view.set_digest_key([1; 32]);
    assert_eq!(view.digest("secret"), None);
    view.publish(Arc::default());
    assert_eq!(view.digest("secret"), Some(DigestKey::from_bytes([1; 32]).digest("secret")));
}

#[test]
fn only_a_higher_revision_replaces_what_is_held() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    for (rev, expected) in [(4, 5), (5, 5), (6, 6)] {
        let changed = Token { status: Status::Disabled, ..token(1, rev) };
        view.take_changes(20, vec![Taken::Is(changed)], vec![]);
        assert_eq!(known(&view, 1), Some(Ok(expected)));
    }
}

#[test]
fn a_change_of_a_key_that_is_not_held_stops_an_older_answer() {
    let World { view, .. } = world();
    view.take_changes(20, vec![Taken::Is(token(1, 7))], vec![]);
    assert_eq!(known(&view, 1), None, "it is not kept, only its revision is");
    assert!(!view.answered(&digest(1), found(token(1, 6), 30)));
    assert_eq!(known(&view, 1), None);
    assert!(view.answered(&digest(1), found(token(1, 7), 30)));
    assert_eq!(known(&view, 1), Some(Ok(7)));
}

#[test]
fn a_revocation_that_overtakes_its_answer_wins() {
    let World { view, .. } = world();
    view.deny(Deny { seq: 50, rev: 9, target: DenyTarget::Token(TokenId::new(1)) });
    assert!(!view.answered(&digest(1), found(token(1, 9), 49)), "the answer was read before the revocation");
    assert!(!view.answered(&digest(1), found(token(1, 8), 50)), "the answer has the revoked revision");
    assert!(view.answered(&digest(1), found(Token { status: Status::Disabled, ..token(1, 9) }, 50)));
    assert_eq!(known(&view, 1), Some(Ok(9)));
}

#[test]
fn a_revoked_token_and_every_token_of_a_revoked_user_are_asked_for_again() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5), token(2, 5)], false));
    view.deny(Deny { seq: 50, rev: 6, target: DenyTarget::Token(TokenId::new(1)) });
    assert_eq!(known(&view, 1), None);
    assert_eq!(known(&view, 2), Some(Ok(5)));
    view.deny(Deny { seq: 51, rev: 2, target: DenyTarget::User(UserId::new(1)) });
    assert_eq!(known(&view, 2), None);
    view.take_page(page(vec![], false));
    assert_eq!(known(&view, 2), None, "a page from before the revocation brings nothing back");
}

#[test]
fn a_revocation_of_what_is_already_newer_changes_nothing() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    view.deny(Deny { seq: 10, rev: 5, target: DenyTarget::Token(TokenId::new(1)) });
    assert_eq!(known(&view, 1), Some(Ok(5)));
}

#[test]
fn floors_are_bounded_and_giving_them_up_lets_nothing_old_in() {
    let World { view, .. } = world();
    let changes = |ids: std::ops::Range<i64>| ids.map(|id| Taken::Is(Token { id: TokenId::new(id), ..token(9, 7) })).collect();
    view.take_changes(20, changes(1..60_000), vec![]);
    assert!(!view.answered(&digest(1), found(token(1, 6), 19)));
    view.take_changes(30, changes(60_000..120_000), vec![]);
    assert!(!view.answered(&digest(1), found(token(1, 6), 29)), "its floor is gone, the point in the history holds");
    view.take_page(Page { as_of_seq: 29, ..page(vec![token(1, 6)], true) });
    assert_eq!(known(&view, 1), None);
    assert!(view.answered(&digest(1), found(token(1, 7), 30)));
}

#[test]
fn a_deleted_token_never_comes_back() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    view.take_changes(20, vec![Taken::Gone { id: 1, rev: 6 }], vec![]);
    assert_eq!(known(&view, 1), None);
    view.take_changes(21, vec![Taken::Is(token(1, 5))], vec![]);
    assert!(!view.answered(&digest(1), found(token(1, 4), 99)));
    assert_eq!(known(&view, 1), None);
}

#[test]
fn a_token_that_could_not_be_read_is_there_again_once_it_is_written_anew() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    view.take_changes(20, vec![Taken::Gone { id: 1, rev: 6 }], vec![]);
    assert_eq!(known(&view, 1), None);
    // by whoever can read it as it is, or in its next form
    view.take_changes(21, vec![Taken::Is(token(1, 6))], vec![]);
    assert_eq!(known(&view, 1), Some(Ok(6)));
    view.take_changes(22, vec![Taken::Gone { id: 1, rev: 5 }], vec![]);
    assert_eq!(known(&view, 1), Some(Ok(6)), "an old word takes nothing away");
    view.take_changes(23, vec![], vec![Taken::Gone { id: 1, rev: 3 }]);
    assert_ne!(known(&view, 1), Some(Ok(6)), "nor does anybody pay for it whose row could not be read");
    view.take_changes(24, vec![], vec![Taken::Is(user(4))]);
    assert_eq!(known(&view, 1), Some(Ok(6)));
}

#[test]
fn a_token_with_a_new_key_is_not_found_by_its_old_one() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    view.take_changes(20, vec![Taken::Is(Token { digest: digest(9), ..token(1, 6) })], vec![]);
    assert_eq!(known(&view, 1), None);
    assert_eq!(known(&view, 9), Some(Ok(6)));
    assert_eq!(view.identity_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_complete_prewarm_knows_who_does_not_exist_and_follows_changes() {
    let World { view, questions: _questions, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    assert_eq!(beyond_the_questions(&view, 2), IdentifyError::Unknown);
    view.take_changes(20, vec![Taken::Is(token(2, 1))], vec![]);
    assert_eq!(known(&view, 2), Some(Ok(1)));
    view.begin_pages();
    assert_eq!(known(&view, 3), None, "after a snapshot nobody knows until the pages came");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_made_this_moment_is_asked_for_even_after_a_complete_prewarm() {
    let World { view, mut questions, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    let (new, invented) = (digest(2), digest(3));
    let answers = async {
        let asked = questions.recv().await.unwrap();
        assert!(view.answered(&asked, found(token(2, 1), 11)));
        let asked = questions.recv().await.unwrap();
        assert!(view.answered(&asked, Answer::Unknown));
    };
    let callers = async {
        assert_eq!(view.identify(&new).await.unwrap().token.rev, 1);
        assert_eq!(view.identify(&invented).await.unwrap_err(), IdentifyError::Unknown);
    };
    tokio::join!(callers, answers);
}

#[test]
fn after_a_snapshot_what_the_pages_do_not_confirm_is_forgotten_at_the_last_one() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5), token(2, 5)], false));
    view.begin_pages();
    view.take_page(Page { is_last: false, ..page(vec![token(2, 5)], false) });
    assert_eq!(known(&view, 1), Some(Ok(5)), "it is served until then");
    view.take_page(page(vec![], false));
    assert_eq!(known(&view, 1), None);
    assert_eq!(known(&view, 2), Some(Ok(5)));
}

#[test]
fn a_last_page_that_does_not_come_is_given_up_unless_the_connection_is_gone() {
    let World { view, boot_millis, .. } = world();
    view.take_page(page(vec![token(1, 5), token(2, 5)], false));
    view.begin_pages();
    view.set_connected(false);
    boot_millis.store(NOW + 100_000, Ordering::Relaxed);
    view.end_overdue_pages();
    assert_eq!(known(&view, 1), Some(Ok(5)), "nothing can confirm it, so it stays while it is fresh");
    view.begin_pages();
    view.take_page(Page { is_last: false, ..page(vec![token(2, 5)], false) });
    boot_millis.store(NOW + 159_999, Ordering::Relaxed);
    view.end_overdue_pages();
    assert_eq!(known(&view, 1), Some(Ok(5)));
    boot_millis.store(NOW + 160_000, Ordering::Relaxed);
    view.end_overdue_pages();
    assert_eq!(known(&view, 1), None);
    assert_eq!(known(&view, 2), Some(Ok(5)));
}

#[test]
fn an_unknown_key_stays_unknown_for_five_seconds_or_until_it_is_made() {
    let World { view, boot_millis, .. } = world();
    assert!(view.answered(&digest(1), Answer::Unknown));
    assert!(view.answered(&digest(2), Answer::Unknown));
    boot_millis.store(NOW + 4_999, Ordering::Relaxed);
    assert_eq!(known(&view, 1), Some(Err(IdentifyError::Unknown)));
    view.take_page(page(vec![token(2, 1)], false));
    assert_eq!(known(&view, 2), Some(Ok(1)));
    boot_millis.store(NOW + 5_000, Ordering::Relaxed);
    assert_eq!(known(&view, 1), None);
}

#[test]
fn when_revocations_could_not_have_come_nobody_is_served_and_nobody_is_called_unknown() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    view.set_fresh(false);
    assert_eq!(known(&view, 1), Some(Err(IdentifyError::NotKnown)));
    assert_eq!(known(&view, 2), None);
    view.set_connected(false);
    assert_eq!(view.identify(&digest(2)).now_or_never().unwrap().unwrap_err(), IdentifyError::NotKnown);
    view.set_fresh(true);
    assert_eq!(known(&view, 1), Some(Ok(5)));
}

#[test]
fn another_digest_key_makes_every_identity_unfindable_so_they_go() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    view.set_digest_key([1; 32]);
    assert_eq!(known(&view, 1), Some(Ok(5)));
    view.set_digest_key([2; 32]);
    assert_eq!(known(&view, 1), None);
    assert_eq!(view.identity_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_for_a_key_gets_the_one_answer() {
    let World { view, mut questions, .. } = world();
    let answer = async {
        let asked = questions.recv().await.unwrap();
        assert!(view.answered(&asked, found(token(1, 5), 10)));
        assert!(questions.try_recv().is_err(), "asked once");
    };
    let key = digest(1);
    let (one, two, ()) = tokio::join!(view.identify(&key), view.identify(&key), answer);
    assert_eq!((one.unwrap().token.rev, two.unwrap().token.rev), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_not_a_no() {
    let World { view, mut questions, .. } = world();
    assert_eq!(view.identify(&digest(1)).await.unwrap_err(), IdentifyError::NotKnown);
    let fail = async {
        while let Some(asked) = questions.recv().await {
            view.not_answered(&asked);
            if asked == digest(2) {
                break;
            }
        }
    };
    let key = digest(2);
    let (identified, ()) = tokio::join!(view.identify(&key), fail);
    assert_eq!(identified.unwrap_err(), IdentifyError::NotKnown);
}

#[test]
fn what_is_held_reads_back_from_the_disk() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5), token(2, 6)], true));
    let other = world().view;
    other.restore(view.held());
    assert_eq!(known(&other, 2), Some(Ok(6)));
    assert_eq!(known(&other, 3), None, "it may have been made since");
}

#[test]
fn nobody_is_unknown_while_keys_that_are_made_are_not_told_here() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], true));
    view.set_connected(false);
    assert_eq!(known(&view, 2), None);
    assert_eq!(view.identify(&digest(2)).now_or_never().unwrap().unwrap_err(), IdentifyError::NotKnown);
    assert_eq!(known(&view, 1), Some(Ok(5)));
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_pages_come_is_kept_although_no_page_brings_it() {
    let World { view, questions: _questions, .. } = world();
    view.begin_pages();
    view.take_changes(20, vec![Taken::Is(token(1, 6)), Taken::Is(token(2, 1))], vec![]);
    view.take_page(page(vec![token(1, 5)], true));
    assert_eq!(known(&view, 1), Some(Ok(6)), "the page was read before the change");
    assert_eq!(known(&view, 2), Some(Ok(1)), "it was made after the pages were read");
    assert_eq!(beyond_the_questions(&view, 3), IdentifyError::Unknown);
}

#[tokio::test(start_paused = true)]
async fn pages_with_a_hole_tell_nothing_about_keys_that_are_not_held() {
    let first = || Page { is_last: false, ..page(vec![token(1, 5)], false) };
    let World { view, questions: _questions, .. } = world();
    view.begin_pages();
    view.take_page(first());
    view.forget_identities();
    view.take_page(page(vec![token(2, 5)], true));
    assert_eq!(known(&view, 1), None, "it was forgotten between the pages");
    view.begin_pages();
    view.take_page(first());
    view.is_missing_some();
    view.take_page(page(vec![token(2, 5)], true));
    assert_eq!(beyond_the_questions(&view, 3), IdentifyError::NotKnown, "something cannot be read here");
    view.begin_pages();
    view.forget_identities();
    view.take_page(page(vec![token(2, 5)], true));
    assert_eq!(
        beyond_the_questions(&view, 3),
        IdentifyError::Unknown,
        "what was forgotten before the first page comes with them"
    );
}

#[test]
fn the_key_of_a_user_who_is_gone_is_unknown() {
    let World { view, .. } = world();
    view.take_page(page(vec![token(1, 5)], false));
    view.take_changes(20, vec![], vec![Taken::Gone { id: 1, rev: 2 }]);
    assert_eq!(known(&view, 1), None, "the control plane is asked");
    assert!(view.answered(&digest(1), Answer::Unknown));
    assert_eq!(known(&view, 1), Some(Err(IdentifyError::Unknown)));
}
