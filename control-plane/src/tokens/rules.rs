//! Pure decisions about tokens: which fields fit.

use ipnet::IpNet;
use sluice_domain::{GroupName, Limits, ModelName, Quota, Status, UnixMillis};
use std::net::IpAddr;

use super::{Token, TokenFields};
use crate::http::{ApiError, LimitBody, Patch, Rules};

/// The most models or addresses a token lists.
const MOST_LISTED: usize = 500;
/// The most characters of both lists together: relays keep them in memory for every token in use.
const MOST_LISTED_CHARS: usize = 16_384;
/// The longest name, in characters.
const MOST_NAME: usize = 50;

/// Fields of a token that keep their rules. `Keep` and `None` stay as they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) name: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) quota: Patch<Quota>,
    pub(super) request_limit: Patch<Quota>,
    pub(super) expires_at: Patch<UnixMillis>,
    pub(super) models: Patch<Vec<ModelName>>,
    pub(super) ip_allow: Patch<Vec<String>>,
    pub(super) group: Patch<GroupName>,
    pub(super) limits: Option<Limits>,
}

impl Checked {
    /// The token after the change; the cap is moved elsewhere.
    pub(super) fn put_into(&self, token: &mut Token) {
        if let Some(name) = &self.name {
            token.name.clone_from(name);
        }
        token.status = self.status.unwrap_or(token.status);
        token.expires_at = self.expires_at.clone().apply(token.expires_at);
        token.models = self.models.clone().apply(token.models.take());
        token.ip_allow = self.ip_allow.clone().apply(Some(std::mem::take(&mut token.ip_allow))).unwrap_or_default();
        token.group = self.group.clone().apply(token.group.take());
        if let Some(limits) = &self.limits {
            token.limits.clone_from(limits);
        }
        token.capped = is_limited(&self.quota, token.capped);
        token.uses_limited = is_limited(&self.request_limit, token.uses_limited);
    }
}

/// Checks what the lists of a token come to together.
pub(super) fn check_lists(token: &Token) -> Result<(), ApiError> {
    let models = token.models.iter().flatten().map(|model| model.as_str().chars().count());
    let chars: usize = models.chain(token.ip_allow.iter().map(|block| block.chars().count())).sum();
    if chars <= MOST_LISTED_CHARS {
        return Ok(());
    }
    let rule = format!("and ip_allow must have at most {MOST_LISTED_CHARS} characters together, they have {chars}");
    Err(ApiError::field("models", "length", rule))
}

/// Whether something is limited after a change of its limit.
fn is_limited(limit: &Patch<Quota>, before: bool) -> bool {
    match limit {
        Patch::Keep => before,
        Patch::Clear => false,
        Patch::Set(_) => true,
    }
}

/// A limit for the whole life of a token.
fn limit(rules: &mut Rules, field: &str, limit: &Patch<i64>) -> Patch<Quota> {
    match *limit {
        Patch::Set(units) if units < 0 => {
            rules.refuse(field, "range", "must not be negative");
            Patch::Keep
        }
        Patch::Set(units) => rules.quota(field, units).map_or(Patch::Keep, Patch::Set),
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
    }
}

/// Checks the fields of a token.
pub(super) fn check(fields: TokenFields, now: UnixMillis) -> Result<Checked, ApiError> {
    let mut rules = Rules::new();
    if let Some(name) = &fields.name {
        rules.line("name", name, 1, MOST_NAME);
    }
    if fields.status == Some(Status::AutoDisabled) {
        rules.refuse("status", "choice", "must be enabled or disabled");
    }
    let quota = limit(&mut rules, "quota", &fields.quota);
    let request_limit = limit(&mut rules, "request_limit", &fields.request_limit);
    if matches!(fields.expires_at, Patch::Set(end) if end <= now) {
        rules.refuse("expires_at", "past", "must be in the future");
    }
    let models = listed(&mut rules, "models", "name", fields.models, ModelName::parse);
    let ip_allow = listed(&mut rules, "ip_allow", "address", fields.ip_allow, block);
    let group = match fields.group {
        Patch::Set(name) => rules.read("group", "name", GroupName::parse(&name)).map_or(Patch::Keep, Patch::Set),
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
    };
    let limits = LimitBody::read(&mut rules, fields.limits.as_deref());
    rules.done()?;
    let TokenFields { name, status, expires_at, .. } = fields;
    Ok(Checked { name, status, quota, request_limit, expires_at, models, ip_allow, group, limits })
}

fn listed<T, E: std::fmt::Display>(
    rules: &mut Rules,
    field: &str,
    code: &str,
    list: Patch<Vec<String>>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Patch<Vec<T>> {
    let Patch::Set(texts) = list else {
        return if list == Patch::Keep { Patch::Keep } else { Patch::Clear };
    };
    rules.at_most(field, &texts, MOST_LISTED);
    let texts = texts.iter().take(MOST_LISTED).enumerate();
    Patch::Set(texts.filter_map(|(at, text)| rules.read(&format!("{field}[{at}]"), code, parse(text))).collect())
}

/// Reads an address or a block, and gives it in one form.
fn block(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let net = address
        .or_else(|_| text.parse::<IpNet>().map(|net| net.trunc()))
        .map_err(|_| "must be an address or a block such as 10.0.0.0/8")?;
    Ok(net.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::CountedName;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn refused(fields: TokenFields) -> Vec<String> {
        check(fields, NOW).unwrap_err().errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn every_field_that_breaks_its_rule_is_named() {
        let texts = |texts: &[&str]| Patch::Set(texts.iter().map(|text| (*text).to_owned()).collect());
        let fields = TokenFields {
            name: Some(String::new()),
            status: Some(Status::AutoDisabled),
            quota: Patch::Set(-1),
            request_limit: Patch::Set(-1),
            expires_at: Patch::Set(NOW),
            models: texts(&["gpt-4o", "a,b"]),
            ip_allow: texts(&["10.0.0.0/8", "10.0.0.0/33", "host"]),
            group: Patch::Set("a\nb".to_owned()),
            limits: Some(vec![LimitBody { of: CountedName::Requests, count: 0, window_secs: Some(60), shadow: false }]),
        };
        assert_eq!(
            refused(fields),
            [
                "name",
                "status",
                "quota",
                "request_limit",
                "expires_at",
                "models[1]",
                "ip_allow[1]",
                "ip_allow[2]",
                "group",
                "limits[0]"
            ]
        );
        assert_eq!(refused(TokenFields { quota: Patch::Set(i64::MAX), ..TokenFields::default() }), ["quota"]);
        let many = TokenFields { models: Patch::Set(vec!["m".to_owned(); 501]), ..TokenFields::default() };
        assert_eq!(refused(many), ["models"]);
    }

    #[test]
    fn addresses_are_kept_in_one_form() {
        for (text, form) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            (" 2001:DB8::1 ", "2001:db8::1/128"),
        ] {
            assert_eq!(block(text).as_deref(), Ok(form));
        }
    }
}
