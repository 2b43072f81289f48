use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::ir::{Arguments, MediaKind, Source};

fn text(text: &str) -> Block {
    Block::text(text)
}

fn call(id: &str) -> Block {
    let arguments = Arguments::Object(Map::new());
    Block::ToolCall {
        id: id.to_owned(),
        name: format!("tool_{}", id.trim_end_matches(char::is_numeric)),
        arguments,
        signature: None,
        cache: None,
    }
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::ToolResult { id: id.to_owned(), name: None, content, is_error: false, cache: None }
}

fn image() -> Block {
    let source = Source::Inline { mime: "image/png".to_owned(), data: Bytes::from_static(b"x") };
    Block::Media { kind: MediaKind::Image, source, detail: None, title: None, cache: None }
}

fn user(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::User, blocks }
}

fn model(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::Assistant, blocks }
}

fn system(said: &str) -> Turn {
    Turn { role: Role::System, blocks: vec![text(said)] }
}

fn show(block: &Block) -> String {
    match block {
        Block::Text { text, .. } => text.clone(),
        Block::Media { .. } => "<image>".to_owned(),
        Block::ToolCall { id, .. } => format!("call {id}"),
        Block::ToolResult { id, name, content, is_error, .. } => {
            let content: Vec<String> = content.iter().map(show).collect();
            let failed = if *is_error { " failed" } else { "" };
            format!("result {id} of {}{failed}: {}", name.as_deref().unwrap_or("-"), content.join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// `system: …` and the turns, a line for each.
fn normal(turns: Vec<Turn>, dialect: Dialect) -> Vec<String> {
    normal_for(turns, dialect, &Capabilities::default())
}

fn normal_for(turns: Vec<Turn>, dialect: Dialect, capabilities: &Capabilities) -> Vec<String> {
    let request = Request { system: vec![text("Be kind.")], turns, ..Request::default() };
    let normal = for_target(&request, dialect, capabilities);
    let line = |name: &str, blocks: &[Block]| format!("{name}: {}", blocks.iter().map(show).collect::<Vec<_>>().join(" | "));
    let turns = normal.turns.iter().map(|turn| match turn.role {
        Role::System => line("system", &turn.blocks),
        Role::User => line("user", &turn.blocks),
        Role::Assistant => line("model", &turn.blocks),
    });
    std::iter::once(line("first", &normal.system)).chain(turns).collect()
}

#[test]
fn neighbours_of_a_role_are_one_turn_without_blank_text() {
    let turns = vec![
        user(vec![text("a"), text(" \n")]),
        user(vec![]),
        user(vec![text(" b ")]),
        model(vec![text("")]),
        model(vec![text(" ")]),
        user(vec![text("c")]),
    ];
    assert_eq!(normal(turns.clone(), Dialect::OpenAi), ["first: Be kind.", "user: a |  b ", "model: ", "user: c"]);
    assert_eq!(normal(turns, Dialect::Anthropic), ["first: Be kind.", "user: a |  b ", "model: …", "user: c"]);
    let last = vec![user(vec![text("a")]), model(vec![text(" ")])];
    assert_eq!(normal(last, Dialect::Anthropic), ["first: Be kind.", "user: a"]);
}

#[test]
fn results_stand_first_and_in_the_order_of_their_calls() {
    let turns = vec![
        user(vec![text("go")]),
        model(vec![text("well"), call("a"), call("b"), call("c")]),
        user(vec![text("and?"), result("c", vec![text("3")]), image()]),
        user(vec![result("a", vec![text("1")]), result("x", vec![text("9"), image()]), result("a", vec![])]),
        model(vec![call("d")]),
    ];
    assert_eq!(
        normal(turns, Dialect::Responses),
        [
            "first: Be kind.",
            "user: go",
            "model: well | call a | call b | call c",
            "user: result a of tool_a: 1 | result b of tool_b failed: (no result) | result c of tool_c: 3 | and? | <image> \
             | [tool result] 9 | <image> | [tool result tool_a]",
            "model: call d",
        ]
    );
}

#[test]
fn a_result_that_comes_too_late_is_text() {
    let turns = vec![
        user(vec![text("go")]),
        model(vec![call("a")]),
        user(vec![text("no, wait")]),
        model(vec![text("yes?")]),
        user(vec![result("a", vec![text("1")])]),
    ];
    let normal = normal(turns, Dialect::Gemini);
    assert_eq!(normal[3], "user: result a of tool_a failed: (no result) | no, wait");
    assert_eq!(normal[5], "user: [tool result tool_a] 1");
}

#[test]
fn calls_of_one_id_are_told_apart_with_their_results() {
    let turns = vec![
        user(vec![text("go")]),
        model(vec![call("a"), call("a"), call("a_2")]),
        user(vec![result("a", vec![text("1")]), result("a_2", vec![text("3")]), result("a", vec![text("2")])]),
        model(vec![call("a")]),
        user(vec![result("a", vec![text("4")])]),
    ];
    let normal = normal(turns, Dialect::OpenAi);
    assert_eq!(normal[2], "model: call a | call a_3 | call a_2");
    assert!(normal[3].contains("result a of tool_a: 1 | result a_3 of tool_a: 2 | result a_2 of"), "{}", normal[3]);
    assert!(normal[4] == "model: call a_4" && normal[5] == "user: result a_4 of tool_a: 4", "{normal:?}");
}

#[test]
fn instructions_stay_or_go_to_the_system_by_target() {
    let turns = || {
        vec![
            system("First."),
            user(vec![text("go")]),
            model(vec![call("a")]),
            system("Later."),
            user(vec![result("a", vec![text("1")])]),
            system(" "),
            user(vec![text("more")]),
        ]
    };
    let folded = ["first: Be kind. | First. | Later.", "user: go", "model: call a", "user: result a of tool_a: 1 | more"];
    let kept =
        ["first: Be kind. | First.", "user: go", "model: call a", "user: result a of tool_a: 1", "system: Later.", "user: more"];
    assert_eq!(normal(turns(), Dialect::Anthropic), folded);
    assert_eq!(normal(turns(), Dialect::Gemini), folded);
    assert_eq!(normal(turns(), Dialect::OpenAi), kept);
    let midway = Capabilities { system_midway: true, ..Capabilities::default() };
    assert_eq!(normal_for(turns(), Dialect::Anthropic, &midway), kept);
    assert_eq!(normal_for(turns(), Dialect::Gemini, &midway), folded);
}

#[test]
fn images_of_results_stand_behind_all_of_them_where_the_target_takes_none() {
    let turns = || {
        vec![
            user(vec![text("go")]),
            model(vec![call("a"), call("b")]),
            user(vec![result("a", vec![text("1"), image()]), result("b", vec![image()]), text("so?")]),
        ]
    };
    let moved = "user: result a of tool_a: 1 | result b of tool_b:  | [image from tool tool_a] | <image> \
                 | [image from tool tool_b] | <image> | so?";
    assert_eq!(normal(turns(), Dialect::OpenAi)[3], moved);
    let poor = Capabilities { result_images: false, ..Capabilities::default() };
    assert_eq!(normal_for(turns(), Dialect::Gemini, &poor)[3], moved);
    assert!(normal(turns(), Dialect::Gemini)[3].starts_with("user: result a of tool_a: 1, <image> | result b"));
}

#[test]
fn the_user_speaks_first_where_that_is_needed() {
    let turns = || vec![model(vec![text("Hello.")]), user(vec![text("Hi.")])];
    for (dialect, first) in [
        (Dialect::OpenAi, "model: Hello."),
        (Dialect::Responses, "model: Hello."),
        (Dialect::Anthropic, "user: …"),
        (Dialect::Gemini, "user: …"),
    ] {
        assert_eq!(normal(turns(), dialect)[1], first);
    }
    assert_eq!(normal(vec![], Dialect::Gemini), ["first: Be kind.", "user: …"]);
}

#[test]
fn a_request_that_is_in_form_is_borrowed() {
    let turns = vec![user(vec![text("go")]), model(vec![text("  kept  ")]), user(vec![text("more")])];
    let request = Request { turns, ..Request::default() };
    for dialect in Dialect::ALL {
        assert!(matches!(for_target(&request, dialect, &Capabilities::default()), Cow::Borrowed(_)));
    }
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let said = || proptest::sample::select(&["", " ", "x", "y\n"][..]).prop_map(text);
    let id = || proptest::sample::select(&["a", "b", "a_2", ""][..]);
    let content = vec![said().boxed(), Just(image()).boxed()];
    let content = vec(proptest::strategy::Union::new(content), 0..3);
    let users = prop_oneof![said(), Just(image()), (id(), content).prop_map(|(id, content)| result(id, content))];
    let models = prop_oneof![said(), id().prop_map(call)];
    let turn = prop_oneof![
        3 => vec(users, 0..5).prop_map(user),
        3 => vec(models, 0..4).prop_map(model),
        1 => vec(said(), 0..2).prop_map(|blocks| Turn { role: Role::System, blocks }),
    ];
    vec(turn, 0..8)
}

/// What writers rely on.
fn is_normal(request: &Request, dialect: Dialect) -> Result<(), String> {
    let mut calls: Vec<&str> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (place, turn) in request.turns.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| request.turns[before].role);
        let is_apart = before != Some(turn.role) && !turn.blocks.is_empty();
        let answers: Vec<&str> = turn
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::ToolResult { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let leading = turn.blocks.iter().take_while(|block| matches!(block, Block::ToolResult { .. })).count();
        if !is_apart || answers != calls || leading != answers.len() {
            return Err(format!("turn {place}: {calls:?} answered by {answers:?}"));
        }
        calls = turn
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::ToolCall { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        if !calls.iter().all(|id| seen.insert(*id)) {
            return Err(format!("turn {place}: an id twice"));
        }
        if turn.role == Role::System && dialect == Dialect::Gemini {
            return Err("instructions midway".to_owned());
        }
    }
    let user_first = request.turns.first().is_some_and(|turn| turn.role == Role::User);
    if user_first || matches!(dialect, Dialect::OpenAi | Dialect::Responses) { Ok(()) } else { Err("no user first".to_owned()) }
}

proptest! {
    #[test]
    fn twice_is_once_and_writers_can_rely_on_it(
        turns in turns(),
        dialect in proptest::sample::select(&Dialect::ALL[..]),
        result_images: bool,
        system_midway: bool,
    ) {
        let capabilities = Capabilities { result_images, system_midway, ..Capabilities::default() };
        let request = Request { turns, ..Request::default() };
        let once = for_target(&request, dialect, &capabilities).into_owned();
        prop_assert_eq!(is_normal(&once, dialect), Ok(()), "{:?}", once.turns);
        let twice = for_target(&once, dialect, &capabilities);
        prop_assert!(matches!(twice, Cow::Borrowed(_)), "{:?}\n{:?}", once.turns, twice.turns);
    }
}
