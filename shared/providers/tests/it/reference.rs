//! The reference page of providers is rendered from the catalogue, and the committed one is that.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sluice_dialect::ir::Family;
use sluice_dialect::openai::StreamOptions;
use sluice_providers::{AuthScheme, BaseUrlMeaning, Capability, Catalog, Framing, Hook, Provider, ProviderStatus, When};

#[test]
fn the_page_of_providers_is_up_to_date() {
    let text = page(&Catalog::shipped().unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/providers.md");
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/reference/providers.md is out of date: UPDATE=1 cargo test -p sluice-providers reference");
}

const INTRODUCTION: &str = "\
# Providers

Every provider a channel can have. A provider is a file, `shared/providers/catalog/<slug>.toml`: what is said here is read from there. The \
numbers are those of New API's and One API's channel types, which imports are mapped by; ours is New API's, 1000 + One API's for types only \
that has, and 2000 and more for those neither has.

A caller is served in the form they asked in where the provider has it; other conversations are converted to the first of chat, messages, \
generate_content and responses that it has, or to the protocol that is its alone (`ollama_chat`, `cohere_chat`, ...).

";

fn page(catalog: &Catalog) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| slug | name | number | New API | One API | status | family | interfaces | base URL |\n");
    page.push_str("|---|---|--:|--:|--:|---|---|---|---|\n");
    for provider in catalog.iter() {
        page.push_str(&row(provider));
    }
    page.push_str("\n## Details\n");
    for provider in catalog.iter() {
        details(&mut page, provider);
    }
    page
}

fn row(provider: &Provider) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let status = match provider.status {
        ProviderStatus::Active => "active",
        ProviderStatus::Legacy => "legacy",
        ProviderStatus::Dead => "dead",
    };
    let family = match provider.family {
        Family::OpenAi => "open_ai",
        Family::Anthropic => "anthropic",
        Family::Google => "google",
        Family::Compatible => "compatible",
    };
    let served = Capability::ALL.into_iter().filter(|capability| provider.serves(*capability));
    let served: Vec<&str> = served.map(Capability::as_str).collect();
    let base = provider.base_url.default.as_deref().map_or_else(|| "(required)".to_owned(), |base| format!("`{base}`"));
    format!(
        "| [`{slug}`](#{slug}) | {name} | {id} | {new} | {one} | {status} | {family} | {served} | {base} |\n",
        slug = provider.slug,
        name = cell(&provider.name),
        id = provider.id,
        new = number(provider.new_api_id),
        one = number(provider.one_api_id),
        served = served.join(", "),
    )
}

fn details(page: &mut String, provider: &Provider) {
    let mut line = |text: String| writeln!(page, "{text}").unwrap();
    line(format!("\n### {}\n", provider.slug));
    let links = [("API reference", &provider.docs), ("keys", &provider.keys_page)];
    let links = links.into_iter().filter_map(|(word, link)| Some(format!(", [{word}]({})", link.as_ref()?)));
    line(format!("{}{}\n", cell(&provider.name), links.collect::<String>()));
    if let Some(reason) = &provider.unserved {
        line(format!("Not served: it {reason}.\n"));
    }
    line(format!("- Base URL: {}", provider.base_url.help));
    line(format!("- Key: {}; {}", how_sent(provider), cell(&provider.auth.key_example)));
    let options = match provider.stream_options {
        StreamOptions::Forward => "sent as the caller wrote them",
        StreamOptions::Force => "`include_usage` is always asked for",
        StreamOptions::Strip => "taken out",
    };
    line(format!("- `stream_options`: {options}"));
    if let Some(regional) = &provider.base_url.regional {
        line(format!("- Base URL of a region: `{regional}`"));
    }
    if provider.framing == Framing::AwsEventStream {
        line("- Streams come in AWS' frames".to_owned());
    }
    for rule in &provider.headers {
        let value = rule.setting.map_or_else(
            || format!("`{}`", rule.value.as_deref().unwrap_or_default()),
            |setting| format!("the channel's `{}`", setting.as_str()),
        );
        line(format!("- Header `{}`{}: {value}", rule.name, if rule.when_streamed { ", of streams" } else { "" }));
    }
    for field in &provider.fields {
        let required = if field.required { ", required" } else { "" };
        line(format!("- Setting `{}`{required}: {} For example `{}`.", field.name.as_str(), field.help, field.example));
    }
    for hook in &provider.hooks {
        line(format!("- Hook {}", shown(hook)));
    }
    for gap in &provider.gaps {
        let host = gap.at_host.as_ref().map_or_else(String::new, |host| format!(" at `{host}`"));
        line(format!("- No `{}` for {}{host}", gap.capability.as_str(), condition(&gap.when)));
    }
    for gap in &provider.tool_gaps {
        let host = gap.at_host.as_ref().map_or_else(String::new, |host| format!(" at `{host}`"));
        let (name, condition) = (gap.capability.as_str(), condition(&gap.when));
        line(format!("- No tools at `{name}` for {condition}{host}, where callers of another dialect bring some"));
    }
    paths(&mut line, provider);
}

fn paths(line: &mut impl FnMut(String), provider: &Provider) {
    if provider.base_url.meaning == BaseUrlMeaning::FullUrl {
        line("\nThe base URL is the whole address of every interface.".to_owned());
        return;
    }
    line("\n| interface | path |\n|---|---|".to_owned());
    let mut path = |capability: &Capability, note: &str, path: &str| {
        line(format!("| {}{note} | `{path}` |", capability.as_str()));
    };
    for (capability, text) in &provider.endpoints {
        path(capability, "", text);
    }
    for (capability, text) in &provider.stream_endpoints {
        path(capability, ", streamed", text);
    }
    for special in &provider.special_endpoints {
        let when = condition(&special.when);
        path(&special.capability, &format!(", {when}"), &special.path);
        if let Some(streamed) = &special.stream_path {
            path(&special.capability, &format!(", streamed, {when}"), streamed);
        }
    }
    if let Some(versions) = &provider.versions {
        for (capability, text) in &versions.endpoints {
            path(capability, &format!(", version `{}`", versions.unversioned.as_deref().unwrap_or_default()), text);
        }
    }
    for plan in &provider.plans {
        for (capability, text) in &plan.endpoints {
            path(capability, &format!(", `{}`", plan.name), text);
        }
    }
}

fn how_sent(provider: &Provider) -> String {
    let auth = &provider.auth;
    let name = match auth.scheme {
        AuthScheme::Bearer => "`Authorization: Bearer`".to_owned(),
        AuthScheme::Header => {
            let word = auth.word.as_ref().map_or_else(String::new, |word| format!(": {word}"));
            format!("`{}{word}`", auth.header.as_deref().unwrap_or_default())
        }
        AuthScheme::OauthJson => "token and account from a JSON object".to_owned(),
        AuthScheme::Aws => "AWS Signature Version 4, or `Authorization: Bearer` for a single key".to_owned(),
        AuthScheme::GoogleServiceAccount => "a token that the service account is exchanged for".to_owned(),
        AuthScheme::TencentTc3 => "TC3-HMAC-SHA256".to_owned(),
        AuthScheme::BaiduToken => "a token that the pair is exchanged for, in the address".to_owned(),
        AuthScheme::ZhipuJwt => "a token that the key signs, as `Authorization` without a word before it".to_owned(),
        AuthScheme::SparkAddress => "a signature in the address".to_owned(),
    };
    let second = auth.second_header.as_ref().map_or_else(String::new, |name| format!(", and what follows `|` as `{name}`"));
    let optional = if auth.key_optional { ", may be empty" } else { "" };
    format!("{name}{second}{optional}")
}

fn condition(when: &When) -> String {
    match when {
        When::ModelStartsWith(text) => format!("models that start with `{text}`"),
        When::ModelContains(text) => format!("models with `{text}` in their name"),
        When::ModelLike(text) => format!("models like `{text}`"),
        When::ModelReasons => "OpenAI's models that reason".to_owned(),
        When::HostEndsWith(text) => format!("hosts that end with `{text}`"),
        When::SettingIs { name, value } => format!("channels whose `{}` is `{value}`", name.as_str()),
    }
}

/// Longer parameters are read in the file, in bytes.
const LONG: usize = 600;

/// The hook's word, and its parameters as JSON.
fn shown(hook: &Hook) -> String {
    match serde_json::to_value(hook).unwrap() {
        Value::Object(hook) => {
            let (word, parameters) = hook.into_iter().next().unwrap();
            let parameters = parameters.to_string();
            if parameters.len() > LONG { format!("`{word}`: a table, in the file") } else { format!("`{word}` `{parameters}`") }
        }
        other => format!("`{}`", other.as_str().unwrap()),
    }
}

/// A text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
