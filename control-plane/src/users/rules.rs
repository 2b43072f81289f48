//! Pure decisions about people: names, and who may manage whom.

use sluice_domain::Role;

use crate::auth::Actor;
use crate::http::{ApiError, Code, Rules};

/// The longest username, in characters.
pub const MAX_USERNAME: usize = 64;

/// The form of a username by which two are the same: in lower case.
#[must_use]
pub fn username_key(username: &str) -> String {
    username.to_lowercase().chars().take(MAX_USERNAME).collect()
}

/// Checks a username: 1 to 64 letters, digits and `. _ - @`, any script.
pub fn check_username(rules: &mut Rules, field: &str, username: &str) {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    rules.line(field, username, 1, MAX_USERNAME);
    // lower case may be longer than what was written
    if username.to_lowercase().chars().count() > MAX_USERNAME {
        rules.refuse(field, "length", format!("must have at most {MAX_USERNAME} characters in lower case"));
    }
    if !username.chars().all(fits) {
        rules.refuse(field, "characters", "may have letters, digits and . _ - @ only");
    }
    if username.eq_ignore_ascii_case("me") {
        rules.refuse(field, "reserved", "must not be the word that stands for oneself");
    }
}

/// Checks an e-mail address and gives the form in which it is stored.
pub(super) fn read_email(rules: &mut Rules, email: &str) -> String {
    rules.line("email", email, 3, 191);
    let is_address =
        email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    if !is_address || email.contains(char::is_whitespace) {
        rules.refuse("email", "email", "must be an address such as ana@example.com");
    }
    email.to_lowercase()
}

/// Lets administrators pass who stand above a role; root stands above everybody.
///
/// # Errors
/// 403 when the role is their own or higher.
pub fn may_manage(actor: &Actor, role: Role) -> Result<(), ApiError> {
    if actor.role > role || actor.role == Role::Root {
        return Ok(());
    }
    Err(ApiError::new(Code::AboveYou, "only users of a lower role can be managed"))
}

/// Lets pass who may give a role to somebody: a lower one than their own.
///
/// # Errors
/// 403 when the role is their own or higher.
pub(super) fn may_give(actor: &Actor, role: Role) -> Result<(), ApiError> {
    if actor.role > role {
        return Ok(());
    }
    Err(ApiError::new(Code::AboveYou, "only a lower role than your own can be given"))
}

#[cfg(test)]
mod tests {
    use sluice_domain::UserId;

    use super::*;

    fn actor(role: Role) -> Actor {
        Actor { user_id: UserId::new(1), role, scopes: None }
    }

    #[test]
    fn only_those_above_manage_and_only_lower_roles_are_given() {
        use Role::{Admin, Root, User};
        let manages = |by, whom| may_manage(&actor(by), whom).is_ok();
        assert!(manages(Admin, User) && manages(Root, Admin) && manages(Root, Root));
        assert!(!manages(Admin, Admin) && !manages(Admin, Root) && !manages(User, User));
        let gives = |by, role| may_give(&actor(by), role).is_ok();
        assert!(gives(Admin, User) && gives(Root, Admin));
        assert!(!gives(Root, Root) && !gives(Admin, Admin));
    }

    #[test]
    fn usernames_of_any_script_fit_and_ambiguous_ones_do_not() {
        let fits = |name: &str| {
            let mut rules = Rules::new();
            check_username(&mut rules, "username", name);
            rules.done().is_ok()
        };
        assert!(["ana", "Ana.B-2_c", "张伟", "a@b"].into_iter().all(fits));
        assert!(!["", "me", "Me", "a b", "a/b", "a\u{202e}b", &"x".repeat(65), &"İ".repeat(64)].into_iter().any(fits));
        assert_eq!(username_key("Ana"), username_key("aNA"));
    }
}
