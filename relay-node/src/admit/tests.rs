use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_billing::Ratio;
use sluice_domain::{AccountId, KeyDigest, Status, TokenId, UserId};
use sluice_snapshot::{Channel, Group, Resource, Snapshot, StateHash, Upsert, User, Version};

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
            models: vec![],
            groups: vec![],
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
fn a_model_list_without_entries_allows_nothing() {
    let model = ModelName::parse("gpt-4o").unwrap();
    assert!(check_model(&token(), &model, model.as_str()).is_ok());
    let refusal = check_model(&Token { models: Some(vec![]), ..token() }, &model, model.as_str()).unwrap_err();
    assert_eq!((refusal.kind, refusal.param()), (Kind::ModelNotAllowed, Some("model")));
}
