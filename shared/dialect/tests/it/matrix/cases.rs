//! The rows of the matrix. Each sends what a caller asks through `exchange`, holds it against what the upstream understands, and lets the
//! upstream answer.

use serde_json::{Value, json};
use sluice_dialect::Surface;

use super::pair::{Checked, Pair, Trip, same};
use super::said::{Asks, Choice, End, Said, Says, Spent, Tool, Turn, in_order};

/// A row: its name, and what it does with one pair.
pub(super) type Case = (&'static str, fn(Pair) -> Checked);

pub(super) const CASES: [Case; 14] = [
    ("plain", plain),
    ("stream", stream),
    ("tools round trip", tools_round_trip),
    ("parallel tools", parallel_tools),
    ("vision", vision),
    ("document", document),
    ("system", system),
    ("thinking", thinking),
    ("thinking + tools", thinking_and_tools),
    ("structured output", structured_output),
    ("stop reasons", stop_reasons),
    ("usage with cache", usage_with_cache),
    ("error", error),
    ("mid-stream error", midstream_error),
];

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF: &str = "JVBERi0xLjQKJcOkw7zDtsOfCjEgMCBvYmoKPDwvVHlwZS9DYXRhbG9nPj4KZW5kb2JqCg==";

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn call(at: usize, name: &str, arguments: Value) -> Said {
    Said::Call { at, name: name.to_owned(), arguments }
}

fn result(at: usize, text: &str) -> Said {
    Said::Result { at, text: text.to_owned() }
}

fn question(said: &str) -> Vec<Turn> {
    vec![Turn::user(vec![text(said)])]
}

fn says(said: Vec<Said>, end: End) -> Says {
    let spent = Spent { input: 100, output: 40, ..Spent::default() };
    Says { model: "theirs-2026".to_owned(), said, end, spent, states: Vec::new() }
}

fn weather() -> Tool {
    Tool {
        name: "get_weather".to_owned(),
        description: "The weather of a city.".to_owned(),
        schema: json!({
            "type": "object", "properties": {"city": {"type": "string", "description": "its name"}, "days": {"type": "integer"}},
            "required": ["city"]
        }),
    }
}

fn clock() -> Tool {
    let schema = json!({"type": "object", "properties": {"zone": {"type": "string"}}});
    Tool { name: "now".to_owned(), description: "The time.".to_owned(), schema }
}

/// Each of both forms of an answer, asked for with the same request.
fn either_way(pair: Pair, asks: &Asks, check: impl Fn(&Trip, &Asks) -> Checked) -> Checked {
    for streams in [false, true] {
        let asks = Asks { streams, ..asks.clone() };
        let trip = pair.send(&asks)?;
        check(&trip, &asks)?;
    }
    Ok(())
}

/// Texts, turn after turn, to the letter.
fn plain(pair: Pair) -> Checked {
    let turns = vec![
        Turn::user(vec![text("Wie groß ist \"das\"?\n\n\tUnd wo?")]),
        Turn::model(vec![text("  3 m — dort.\n")]),
        Turn::user(vec![text("{\"sure\": true} 🙂")]),
    ];
    let asks = Asks { turns, max_output: Some(900), ..Asks::default() };
    let trip = pair.send(&asks)?;
    trip.means(&asks)?;
    trip.loses(&[])?;
    trip.tells_either_way(&says(vec![text("Ja,\n\n  ganz <sicher> & \"gut\" 🌤.\n")], End::Stop))
}

/// The same, piece by piece, a line end alone among them.
fn stream(pair: Pair) -> Checked {
    let asks = Asks { turns: question("Tell me."), max_output: Some(900), streams: true, ..Asks::default() };
    let trip = pair.send(&asks)?;
    trip.means(&asks)?;
    trip.loses(&[])?;
    trip.tells_either_way(&says(vec![text("Hello\n\nwörld 🌍\n- one\n- two ")], End::Stop))
}

/// Tools declared and chosen, text beside a call, the answer sent back by the caller with the call's result.
fn tools_round_trip(pair: Pair) -> Checked {
    for choice in [Choice::Free, Choice::Any, Choice::Named("get_weather".to_owned())] {
        let asks = Asks {
            turns: question("Weather?"),
            tools: vec![weather(), clock()],
            choice,
            max_output: Some(900),
            ..Asks::default()
        };
        let trip = pair.send(&asks)?;
        trip.means(&asks)?;
        trip.loses(&[])?;
    }
    let asks = Asks { turns: question("Weather?"), tools: vec![weather(), clock()], max_output: Some(900), ..Asks::default() };
    let called = vec![text("I look."), call(0, "get_weather", json!({"city": "Zürich \"West\"", "days": 2}))];
    let answer = says(called.clone(), End::Tool);
    either_way(pair, &asks, |trip, asks| {
        trip.means(asks)?;
        let got = if asks.streams { trip.streamed(&answer)? } else { trip.answered(&answer)? };
        trip.tells(&answer, &got)?;
        let back = Turn::user(vec![result(0, "21 °C\nsunny"), text("and tomorrow?")]);
        let sent = Asks { turns: vec![asks.turns[0].clone(), Turn::echo(got), back.clone()], ..asks.clone() };
        let meant = Asks { turns: vec![asks.turns[0].clone(), Turn::model(called.clone()), back], ..asks.clone() };
        let next = pair.send(&sent)?;
        next.loses(&[])?;
        // a provider that signs its calls wants a signature where the caller got none
        let states = (pair.upstream.asked)(next.body()).states;
        next.means(&Asks { states, ..meant })
    })
}

/// Two calls of one name and one without arguments, results in reverse order.
fn parallel_tools(pair: Pair) -> Checked {
    let called = vec![
        call(0, "get_weather", json!({"city": "Rome"})),
        call(1, "get_weather", json!({"city": "Oslo", "days": 3})),
        call(2, "now", json!({})),
    ];
    let asks = Asks { turns: question("Both?"), tools: vec![weather(), clock()], max_output: Some(900), ..Asks::default() };
    let answer = says(called.clone(), End::Tool);
    either_way(pair, &asks, |trip, asks| {
        let got = if asks.streams { trip.streamed(&answer)? } else { trip.answered(&answer)? };
        trip.tells(&answer, &got)?;
        let back = Turn::user(vec![result(2, "noon"), result(1, "cold"), result(0, "warm")]);
        let sent = Asks { turns: vec![asks.turns[0].clone(), Turn::echo(got), back.clone()], ..asks.clone() };
        let meant = Asks { turns: vec![asks.turns[0].clone(), Turn::model(called.clone()), back], ..asks.clone() };
        let next = pair.send(&sent)?;
        next.loses(&[])?;
        let states = (pair.upstream.asked)(next.body()).states;
        next.means(&Asks { states, ..meant })
    })
}

fn vision(pair: Pair) -> Checked {
    shown(pair, "image/png", PNG)
}

fn document(pair: Pair) -> Checked {
    shown(pair, "application/pdf", PDF)
}

/// Something to look at, between two texts.
fn shown(pair: Pair, mime: &str, data: &str) -> Checked {
    let media = Said::Media { mime: mime.to_owned(), data: data.to_owned() };
    let turns = vec![Turn::user(vec![text("This"), media, text("is what?")])];
    let asks = Asks { turns, max_output: Some(900), ..Asks::default() };
    let trip = pair.send(&asks)?;
    trip.means(&asks)?;
    trip.loses(&[])?;
    trip.tells_either_way(&says(vec![text("A dot.")], End::Stop))
}

fn system(pair: Pair) -> Checked {
    let asks = Asks {
        system: "Be brief.\nSay \"no\" to nothing.".to_owned(),
        turns: question("Why?"),
        max_output: Some(900),
        ..Asks::default()
    };
    let trip = pair.send(&asks)?;
    trip.means(&asks)?;
    trip.loses(&[])?;
    trip.tells_either_way(&says(vec![text("Because.")], End::Stop))
}

fn thinking(pair: Pair) -> Checked {
    let asks = Asks { turns: question("Why?"), thinks: true, max_output: Some(16_000), ..Asks::default() };
    let mut answer = says(vec![Said::Thinking("Hm.\n\nLet me see…".to_owned()), text("So.")], End::Stop);
    answer.spent.reasoning = 30;
    either_way(pair, &asks, |trip, asks| {
        trip.means(asks)?;
        trip.loses(&[])?;
        trip.tells_either_way(&answer)
    })
}

/// A model that thinks, speaks and calls; what it wants back of its thinking comes back, or, from a caller that forgets it, is done without.
fn thinking_and_tools(pair: Pair) -> Checked {
    let asks =
        Asks { turns: question("Both?"), tools: vec![weather()], thinks: true, max_output: Some(16_000), ..Asks::default() };
    let spoken =
        vec![text("I look."), call(0, "get_weather", json!({"city": "Rome"})), call(1, "get_weather", json!({"city": "Oslo"}))];
    let thought = Said::Thinking("Two cities.".to_owned());
    let mut answer = says([vec![thought.clone()], spoken.clone()].concat(), End::Tool);
    answer.spent.reasoning = 10;
    let back = Turn::user(vec![result(0, "warm"), result(1, "cold")]);
    either_way(pair, &asks, |trip, asks| {
        trip.means(asks)?;
        let got = if asks.streams { trip.streamed(&answer)? } else { trip.answered(&answer)? };
        trip.tells(&answer, &got)?;
        let sent = Asks { turns: vec![asks.turns[0].clone(), Turn::echo(got), back.clone()], ..asks.clone() };
        let next = pair.send(&sent)?;
        let understood = (pair.upstream.asked)(next.body());
        same("state", &understood.states, &pair.upstream.state.map(str::to_owned).into_iter().collect())?;
        same("thinking", &understood.thinks, &true)?;
        // thinking goes back to those who check it; elsewhere it is advice, and never text
        let is_thought = |said: &Said| matches!(said, Said::Thinking(_));
        let (thoughts, rest): (Vec<Said>, Vec<Said>) = understood.turns[1].said.iter().cloned().partition(is_thought);
        same("history", &in_order(&rest), &spoken)?;
        same("results", &understood.turns[2], &back)?;
        if matches!(pair.upstream.surface, Surface::Messages | Surface::Responses) {
            same("thoughts", &thoughts, &vec![thought.clone()])?;
        }
        Ok(())
    })?;
    let forgotten = Asks { turns: vec![asks.turns[0].clone(), Turn::model(spoken.clone()), back.clone()], ..asks.clone() };
    // what a caller forgets on the way to its own provider is between the two
    if pair.caller.surface == pair.upstream.surface {
        return Ok(());
    }
    let next = pair.send(&forgotten)?;
    let understood = (pair.upstream.asked)(next.body());
    same("history", &understood.turns[1].said, &spoken)?;
    match pair.upstream.surface {
        // Claude refuses calls without the thinking that led to them
        Surface::Messages => same("thinking", &understood.thinks, &false),
        // Gemini takes the documented stand-in
        Surface::GenerateContent => same("state", &understood.states.len(), &1),
        _ => same("state", &understood.states.len(), &0),
    }
}

fn structured_output(pair: Pair) -> Checked {
    let schema = json!({
        "type": "object", "properties": {"name": {"type": "string"}, "sizes": {"type": "array", "items": {"type": "integer"}}},
        "required": ["name", "sizes"], "additionalProperties": false
    });
    let asks = Asks { turns: question("Which?"), schema: Some(schema), max_output: Some(900), ..Asks::default() };
    let answer = says(vec![text("{\"name\": \"ä\", \"sizes\": [1, 2]}")], End::Stop);
    either_way(pair, &asks, |trip, asks| {
        trip.means(asks)?;
        trip.loses(&[])?;
        trip.tells_either_way(&answer)
    })
}

fn stop_reasons(pair: Pair) -> Checked {
    let asks = Asks { turns: question("Go."), tools: vec![weather()], max_output: Some(900), ..Asks::default() };
    for end in [End::Stop, End::StopText("###".to_owned()), End::Length, End::Filter, End::Tool] {
        let mut said = vec![text("So far")];
        if end == End::Tool {
            said.push(call(0, "get_weather", json!({"city": "Rome"})));
        }
        let answer = says(said, end);
        either_way(pair, &asks, |trip, _| trip.tells_either_way(&answer))?;
    }
    Ok(())
}

/// The numbers of conversions.md §10.3.
fn usage_with_cache(pair: Pair) -> Checked {
    let asks = Asks { turns: question("Go."), max_output: Some(900), ..Asks::default() };
    for (read, write, reasoning) in [(0, 0, 0), (600, 0, 0), (0, 100, 0), (600, 100, 20), (900, 100, 50)] {
        let mut answer = says(vec![text("Done.")], End::Stop);
        answer.spent = Spent { input: 1000, cache_read: read, cache_write: write, output: 50, reasoning };
        either_way(pair, &asks, |trip, _| trip.tells_either_way(&answer))?;
    }
    Ok(())
}

fn error(pair: Pair) -> Checked {
    [400, 404, 429, 500, 503, 504].into_iter().try_for_each(|status| pair.fails(status))
}

fn midstream_error(pair: Pair) -> Checked {
    let asks = Asks { turns: question("Go."), max_output: Some(900), streams: true, ..Asks::default() };
    pair.send(&asks)?.breaks(&says(vec![text("Hello there, and so on")], End::Stop))
}
