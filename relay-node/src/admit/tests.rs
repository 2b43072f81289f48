use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_billing::Ratio;
use sluice_domain::{AccountId, KeyDigest, Status, TokenId, UserId};
use sluice_snapshot::{Channel, Group, Resource, Snapshot, StateHash, Token, Upsert, User, Version};

use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000);
const HERE: &str = "192.0.2.7";

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn table() -> Table {
    let of = |name: &str, usable: &[&str]| {
        let usable = usable.iter().map(|name| group(name)).collect();
        Resource::Group(Group { name: group(name), ratio: Ratio::ONE, usable, limits: sluice_domain::Limits::default() })
    };
    let channel = |id, status| {
        Resource::Channel(Channel {
            id: ChannelId::new(id),
            name: "c".into(),
            provider: "openai".into(),
            base_url: None,
            api_version: None,
            keys: vec![],
            models: vec![ModelName::parse("gpt-5-high").unwrap()],
            groups: vec![group("default")],
            priority: 0,
            weight: 0,
            status,
            model_mapping: BTreeMap::new(),
            cache_read_ratio: None,
            policy: sluice_snapshot::ChannelPolicy::default(),
            limits: sluice_domain::Limits::default(),
            settings: Arc::default(),
            definition: None,
        })
    };
    let resources = [
        of("default", &["vip", "gone"]),
        of("vip", &[]),
        of("staff", &[]),
        channel(12, Status::Enabled),
        channel(13, Status::Disabled),
    ];
    let upserts = resources.map(|resource| Upsert {
        key: resource.key(),
        hash: StateHash::of_entry(resource.key().kind(), &resource.key().name(), 1, b""),
        resource: Ok(Arc::new(resource)),
    });
    Table::compile(&Snapshot::new(Version::default(), upserts.into()).0).0
}

fn token() -> Token {
    Token {
        id: TokenId::new(1),
        user_id: UserId::new(1),
        rev: 1,
        digest: KeyDigest([0; 32]),
        status: Status::Enabled,
        expires_at: None,
        name: "laptop".into(),
        group: None,
        models: None,
        ip_allow: vec![],
        account_id: AccountId::new(2),
        capped: false,
        uses_account_id: None,
        limits: sluice_domain::Limits::default(),
    }
}

fn user() -> User {
    User {
        id: UserId::new(1),
        rev: 1,
        status: Status::Enabled,
        role: Role::User,
        group: group("default"),
        account_id: AccountId::new(1),
        limits: sluice_domain::Limits::default(),
    }
}

fn judge(token: Token, user: User, pin: Option<ChannelPin>) -> Result<Admitted, Kind> {
    let caller = Caller { token: Arc::new(token), user: Arc::new(user), pin };
    check(caller, &table(), HERE.parse().unwrap(), NOW).map_err(|refusal| refusal.kind)
}

#[test]
fn the_first_check_that_fails_is_told() {
    let disabled = Token { status: Status::Disabled, ..token() };
    let expired = Token { expires_at: Some(UnixMillis(NOW.0 - 1)), ..token() };
    let elsewhere = Token { ip_allow: vec!["198.51.100.0/24".parse().unwrap()], ..token() };
    let in_group = |name| Token { group: Some(group(name)), ..token() };
    let banned = User { status: Status::Disabled, ..user() };
    let all_wrong = Token { status: Status::Disabled, group: Some(group("staff")), ..expired.clone() };
    for (token, user, kind) in [
        (disabled, user(), Kind::TokenDisabled),
        (expired, user(), Kind::TokenExpired),
        (elsewhere, user(), Kind::AddressNotAllowed),
        (token(), banned.clone(), Kind::UserDisabled),
        (in_group("staff"), user(), Kind::GroupNotAllowed),
        (in_group("gone"), user(), Kind::GroupNotFound),
        (token(), User { group: group("unheard-of"), ..user() }, Kind::GroupNotFound),
        (all_wrong, banned, Kind::TokenDisabled),
    ] {
        assert_eq!(judge(token, user, None).unwrap_err(), kind);
    }
}

#[test]
fn a_tokens_group_comes_before_its_owners() {
    let using = |token| judge(token, user(), None).unwrap().group.as_str().to_owned();
    assert_eq!(using(token()), "default");
    assert_eq!(using(Token { group: Some(group("vip")), ..token() }), "vip");
    assert_eq!(using(Token { group: Some(group("default")), ..token() }), "default");
    assert_eq!(using(Token { group: Some(group("auto")), ..token() }), "auto");
}

#[test]
fn only_administrators_name_a_channel_and_it_must_be_in_use() {
    let admin = || User { role: Role::Admin, ..user() };
    let pin = |id| Some(ChannelPin::Channel(ChannelId::new(id)));
    assert_eq!(judge(token(), admin(), pin(12)).unwrap().pin, Some(ChannelId::new(12)));
    assert_eq!(judge(token(), admin(), pin(13)).unwrap_err(), Kind::PinNotAllowed);
    assert_eq!(judge(token(), admin(), pin(14)).unwrap_err(), Kind::PinUnknown);
    assert_eq!(judge(token(), admin(), Some(ChannelPin::Unreadable)).unwrap_err(), Kind::PinUnknown);
    assert_eq!(judge(token(), user(), pin(12)).unwrap_err(), Kind::PinNotAllowed);
    assert_eq!(judge(token(), user(), Some(ChannelPin::Unreadable)).unwrap_err(), Kind::PinNotAllowed);
}

#[test]
fn a_token_asks_for_the_models_of_its_list_with_any_suffix_but_not_for_another_that_is_called_so() {
    let refused = |models: Option<&[&str]>, model: &str| {
        let models = models.map(|models| models.iter().map(|model| ModelName::parse(model).unwrap()).collect());
        let admitted = judge(Token { models, ..token() }, user(), None).unwrap();
        let asked = ModelName::parse(model).unwrap();
        check_model(&admitted, &table(), &asked, model).err().map(|refusal| (refusal.kind, refusal.param() == Some("model")))
    };
    let no = Some((Kind::ModelNotAllowed, true));
    assert_eq!((refused(None, "gpt-4o"), refused(Some(&[]), "gpt-4o")), (None, no));
    let listed = Some(&["claude-opus-4-6", "gpt-5", "mistral"][..]);
    for (model, expected) in [
        ("claude-opus-4-6-thinking", None),
        ("gpt-5-low", None),
        ("gpt-5-high", no), // a channel lists it
        ("mistral-medium", no),
        ("claude-opus-4-5-thinking", no),
    ] {
        assert_eq!(refused(listed, model), expected, "{model}");
    }
}
