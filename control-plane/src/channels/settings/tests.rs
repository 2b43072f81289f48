use serde_json::json;
use sluice_domain::Status;
use sluice_providers::Catalog;

use super::*;
use crate::channels::rules::tests::blank;
use crate::http::Rules;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn settings(value: Value) -> Settings {
    Settings::default().patched(object(value)).unwrap()
}

/// What is refused of a channel's settings, as `field code`.
fn refused(provider: &str, value: Value) -> Vec<String> {
    let patched = match Settings::default().patched(object(value)) {
        Ok(patched) => patched,
        Err(refused) => return words(refused),
    };
    let mut rules = Rules::new();
    let channel = crate::channels::Channel { settings: patched, ..blank() };
    check(&mut rules, &channel, Catalog::shipped().unwrap().get(provider).unwrap());
    rules.done().map_or_else(words, |()| Vec::new())
}

fn words(refused: ApiError) -> Vec<String> {
    refused.errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

#[test]
fn a_patch_sets_unsets_and_keeps() {
    let before = settings(json!({"proxy": "http://h:1", "allow_service_tier": true, "status_mapping": {"404": 400}}));
    let after = before.patched(object(json!({"proxy": null, "status_mapping": {"429": 503}, "force_format": null}))).unwrap();
    assert_eq!(after, settings(json!({"allow_service_tier": true, "status_mapping": {"429": 503}})));
    assert_eq!(before.patched(Map::new()).unwrap(), before);
}

#[test]
fn what_is_no_setting_is_refused_by_its_path() {
    for (value, field) in [
        (json!({"proxies": 1}), "settings.proxies unknown_field"),
        (json!({"proxies": null}), "settings.proxies unknown_field"),
        (json!({"force_format": "yes"}), "settings.force_format wrong_type"),
        (json!({"key_mode": "sticky"}), "settings.key_mode wrong_type"),
        (json!({"system_prompt": {"mode": "fill"}}), "settings.system_prompt.text required"),
        (json!({"system_prompt": {"text": "a", "role": "b"}}), "settings.system_prompt.role unknown_field"),
        (json!({"losses": {"seed": "ignore"}}), "settings.losses.seed wrong_type"),
        (json!({"status_mapping": {"404": "400"}}), "settings.status_mapping.404 wrong_type"),
        (json!({"status_mapping": {"all": 400}}), "settings.status_mapping wrong_type"),
        (json!({"header_override": {"x-a": 1}}), "settings.header_override.x-a wrong_type"),
        (json!({"param_override": []}), "settings.param_override wrong_type"),
    ] {
        assert_eq!(refused("openai", value.clone()), [field], "{value}");
    }
}

#[test]
fn what_breaks_a_rule_is_refused_by_its_path() {
    for (value, field) in [
        (json!({"fields": {"region": "x"}}), "settings.fields.region unknown_field"),
        (json!({"fields": {"organization": "a\nb"}}), "settings.fields.organization value"),
        (json!({"system_prompt": {"text": " "}}), "settings.system_prompt.text length"),
        (json!({"proxy": "ftp://h"}), "settings.proxy proxy"),
        (json!({"proxy": "http://h/path"}), "settings.proxy proxy"),
        (json!({"media_proxy": "socks5://"}), "settings.media_proxy proxy"),
        (json!({"proxy": format!("http://{}", "h".repeat(2_000))}), "settings.proxy length"),
        (json!({"status_mapping": {"200": 400}}), "settings.status_mapping.200 range"),
        (json!({"status_mapping": {"500": 200}}), "settings.status_mapping.500 range"),
        (json!({"losses": {"colour": "drop"}}), "settings.losses.colour choice"),
        (json!({"test_model": "gpt-9"}), "settings.test_model choice"),
        (json!({"header_override": {"a b": "x"}}), "settings.header_override.a b header"),
        (json!({"header_override": {"x-a": "x\ny"}}), "settings.header_override.x-a header"),
        (json!({"header_override": {"re:(": ""}}), "settings.header_override.re:( header"),
        (json!({"header_override": {"regex:(a{900}){900}": ""}}), "settings.header_override.regex:(a{900}){900} header"),
        (json!({"header_override": {"Content-Length": "1"}}), "settings.header_override.Content-Length header"),
        (json!({"header_override": {"X-Sluice-Request-Id": "1"}}), "settings.header_override.X-Sluice-Request-Id header"),
        (json!({"header_override": {"x-a": "{client_header:Authorization}"}}), "settings.header_override.x-a header"),
        (json!({"header_override": {"x-a": "{client_header:Host}"}}), "settings.header_override.x-a header"),
        (json!({"header_override": {"x-a": "b {client_header:x-b}"}}), "settings.header_override.x-a header"),
        (json!({"header_override": {"X-A": "1", "x-a": "2"}}), "settings.header_override.x-a twice"),
        (json!({"param_override": {"stream": true}}), "settings.param_override operation"),
        (json!({"param_override": {"operations": {}}}), "settings.param_override operation"),
        (json!({"param_override": {"operations": [{"mode": "set", "path": "a"}]}}), "settings.param_override operation"),
        (json!({"param_override": {"operations": [{"mode": "put", "path": "a"}]}}), "settings.param_override operation"),
        (json!({"param_override": {"operations": [{"mode": "delete", "path": "stream"}]}}), "settings.param_override operation"),
        (
            json!({"param_override": {"operations": [{"mode": "copy", "from": "a", "to": "stream"}]}}),
            "settings.param_override operation",
        ),
        (json!({"param_override": {"a": "x".repeat(65_536)}}), "settings.param_override length"),
    ] {
        assert_eq!(refused("openai", value.clone()), [field], "{value}");
    }
}

#[test]
fn what_keeps_every_rule_is_taken() {
    let value = json!({
        "fields": {"organization": "org-1"},
        "param_override": {"stream_options": null, "operations": [
            {"mode": "set", "path": "stop", "value": null}, {"mode": "replace", "path": "user", "from": "a", "to": "stream"},
        ]},
        "header_override": {"*": "", "re:^x-trace-": "", "Authorization": "Bearer {api_key}", "x-a": "{client_header:x-b}", "host": "h"},
        "system_prompt": {"text": "Be brief.\nBe kind.", "mode": "replace"},
        "force_format": true, "thinking_to_content": true, "media_to_markdown": true,
        "pass_through_body": true,
        "proxy": "socks5h://u:p@[::1]:1080", "media_by_url": "inline", "media_proxy": "https://proxy.example/",
        "status_mapping": {"400": 599}, "allow_service_tier": true, "allow_safety_identifier": true, "disable_store": true,
        "key_mode": "polling", "losses": {"seed": "reject", "native_part": "drop"},
    });
    assert_eq!(refused("openai", value), [""; 0]);
}

#[test]
fn a_channel_in_use_has_what_its_provider_needs() {
    let cloudflare = Catalog::shipped().unwrap().get("cloudflare-workers-ai").unwrap().clone();
    let judged = |value: Value, status: Status| {
        let mut rules = Rules::new();
        let channel = crate::channels::Channel { settings: settings(value), status, ..blank() };
        check(&mut rules, &channel, &cloudflare);
        rules.done().map_or_else(words, |()| Vec::new())
    };
    assert_eq!(judged(json!({}), Status::Enabled), ["settings.fields.account_id required"]);
    assert_eq!(judged(json!({"fields": {"account_id": "../x"}}), Status::Enabled), ["settings.fields.account_id value"]);
    assert!(judged(json!({"fields": {"account_id": "023e"}}), Status::Enabled).is_empty());
    assert!(judged(json!({}), Status::Disabled).is_empty(), "what is off may wait for it");
}

#[test]
fn secrets_are_masked_wherever_settings_are_written_down_and_a_mask_keeps_them() {
    let kept = settings(json!({
        "proxy": "http://user:hunter2@proxy.example:8080",
        "media_proxy": "socks5://hunter3@proxy.example",
        "header_override": {"X-Api-Key": "hunter4", "authorization": "Bearer {api_key}", "x-team": "search", "re:token": "hunter"},
    }));
    let shown = serde_json::to_value(&kept).unwrap();
    assert_eq!(
        shown,
        json!({
            "header_override": {"X-Api-Key": "***", "authorization": "Bearer {api_key}", "re:token": "hunter", "x-team": "search"},
            "proxy": "http://user:***@proxy.example:8080/",
            "media_proxy": "socks5://***@proxy.example",
        })
    );
    assert_eq!(kept.patched(object(shown)).unwrap(), kept);
    let elsewhere = |value: Value| kept.patched(object(value)).map_err(words).unwrap_err();
    assert_eq!(elsewhere(json!({"proxy": "http://user:***@other.example:8080/"})), ["settings.proxy masked"]);
    assert_eq!(elsewhere(json!({"media_proxy": "http://user:***@proxy.example:8080/"})), ["settings.media_proxy masked"]);
    assert_eq!(elsewhere(json!({"header_override": {"x-other-key": "***"}})), ["settings.header_override.x-other-key masked"]);
    assert!(!format!("{kept:?}").contains("hunter"));
}

#[test]
fn what_is_sealed_opens_for_its_own_channel_alone() {
    let keyring = Keyring::from_secret(&"a secret of more than sixteen characters".into()).unwrap();
    let kept = settings(json!({"proxy": "http://user:hunter2@h"}));
    let sealed = kept.seal(&keyring, ChannelId::new(7)).unwrap().unwrap();
    assert!(!sealed.contains("hunter2"));
    assert_eq!(Settings::open(&keyring, ChannelId::new(7), Some(&sealed)).unwrap(), kept);
    assert!(matches!(Settings::open(&keyring, ChannelId::new(8), Some(&sealed)), Err(Unreadable::Seal(_))));
    assert_eq!(Settings::default().seal(&keyring, ChannelId::new(7)).unwrap(), None);
    assert_eq!(Settings::open(&keyring, ChannelId::new(7), None).unwrap(), Settings::default());
}
