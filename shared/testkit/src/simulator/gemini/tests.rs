use serde_json::{Value, json};

use super::*;
use crate::client::{Answer, Caller, Transcript, send};
use crate::simulator::refusal::Refusal;
use crate::simulator::route::Streaming;
use crate::simulator::{Ending, Simulator, SimulatorConfig};

const MODEL: &str = "gemini-2.5-flash";

fn start() -> (Simulator, Caller) {
    let simulator = Simulator::start(SimulatorConfig::default());
    let caller = Caller::new(simulator.base_url());
    (simulator, caller)
}

fn path(model: &str, verb: &str) -> String {
    format!("/v1beta/models/{model}:{verb}")
}

fn request(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is written in place")]
fn with(text: &str, more: Value) -> Value {
    let mut body = request(text);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn clock() -> Value {
    let parameters = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    json!([{"functionDeclarations": [{"name": "clock", "parameters": parameters}]}])
}

async fn ask(model: &str, body: &Value) -> Answer {
    let (_simulator, caller) = start();
    caller.post(&path(model, "generateContent"), body).await
}

async fn listen(model: &str, body: &Value) -> Transcript {
    let (_simulator, caller) = start();
    caller.stream(&path(model, "streamGenerateContent?alt=sse"), body).await
}

fn part(answer: &Value, place: usize) -> &Value {
    &answer["candidates"][0]["content"]["parts"][place]
}

fn refusal_of(model: &str, body: &Value) -> Refusal {
    check(model, body.as_object().unwrap(), Streaming::Unsaid).unwrap_err()
}

#[tokio::test]
async fn a_plain_answer_counts_thoughts_beside_its_candidates() {
    let config = json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true}}});
    let body = with("why [sim: tokens=3 cached_tokens=2]", config);
    let answer = ask(MODEL, &body).await.json();
    assert_eq!((&part(&answer, 0)["thought"], &part(&answer, 1)["text"]), (&json!(true), &json!("water flows through")));
    assert!(part(&answer, 0)["text"].as_str().unwrap().contains("why"));
    assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    assert_eq!(answer["modelVersion"], MODEL);
    let usage = &answer["usageMetadata"];
    let figure = |name: &str| usage[name].as_i64().unwrap();
    assert_eq!((figure("candidatesTokenCount"), figure("cachedContentTokenCount")), (3, 2));
    let total = figure("promptTokenCount") + figure("candidatesTokenCount") + figure("thoughtsTokenCount");
    assert_eq!(figure("totalTokenCount"), total);
}

#[tokio::test]
async fn a_stream_is_events_without_names_or_one_array() {
    let (simulator, caller) = start();
    let transcript = caller.stream(&path(MODEL, "streamGenerateContent?alt=sse"), &request("x [sim: tokens=3]")).await;
    let chunks = transcript.chunks();
    assert!(transcript.events.iter().all(|event| event.name.is_none()) && !transcript.is_done());
    let text: String = chunks.iter().filter_map(|chunk| part(chunk, 0)["text"].as_str()).collect();
    assert_eq!((chunks.len(), text.as_str()), (4, "water flows through"));
    assert!(chunks[..3].iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
    assert_eq!(chunks[3]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(chunks[3]["usageMetadata"]["candidatesTokenCount"], 3);
    assert!(chunks.iter().all(|chunk| chunk["responseId"] == chunks[0]["responseId"]));
    let entry = simulator.wait_for(1).await.remove(0);
    assert_eq!((entry.sent_tokens, entry.usage.unwrap().completion_tokens, entry.stream), (3, 3, true));
    assert_eq!((entry.ending, entry.json()), (Ending::Completed, request("x [sim: tokens=3]")));

    let array = caller.post(&path(MODEL, "streamGenerateContent"), &request("x [sim: tokens=3]")).await;
    assert_eq!(array.json().as_array().unwrap().len(), 4);
    let broken = caller.post(&path(MODEL, "streamGenerateContent"), &request("x [sim: error_event after=2 status=503]")).await;
    assert_eq!(broken.json()[2]["error"]["status"], "UNAVAILABLE");
}

#[tokio::test]
async fn tools_are_called_answered_and_quoted() {
    let (_simulator, caller) = start();
    let generate = path(MODEL, "generateContent");
    let called = caller.post(&generate, &with("weather in both", json!({"tools": clock()}))).await.json();
    let calls = called["candidates"][0]["content"]["parts"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[1]["functionCall"]), (2, &json!({"name": "clock", "args": {"city": "sample 2"}})));
    let response = |said: &str| json!({"functionResponse": {"name": "clock", "response": {"result": said}}});
    let contents = json!([
        {"role": "user", "parts": [{"text": "weather in both"}]},
        called["candidates"][0]["content"],
        {"role": "user", "parts": [response("noon"), response("night")]},
    ]);
    let answered = caller.post(&generate, &json!({"contents": contents, "tools": clock()})).await.json();
    assert_eq!(part(&answered, 0)["text"], "clock said: noon\nclock said: night");
    let transcript = listen(MODEL, &with("the weather", json!({"tools": clock()}))).await;
    assert_eq!(part(&transcript.chunks()[0], 0)["functionCall"]["args"], json!({"city": "sample 1"}));
}

#[tokio::test]
async fn gemini_3_signs_its_first_call_and_wants_the_signature_back() {
    let (_simulator, caller) = start();
    let model = "gemini-3-pro-preview";
    let generate = path(model, "generateContent");
    let called = caller.post(&generate, &with("weather in both", json!({"tools": clock()}))).await.json();
    let calls = called["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
    assert!(calls[0]["thoughtSignature"].is_string() && calls[1].get("thoughtSignature").is_none());
    let response = |call: &Value| json!({"functionResponse": {"id": call["functionCall"]["id"], "name": "clock", "response": {"result": "noon"}}});
    let go_on = |first: Value, after: Option<&str>| {
        let mut contents = vec![
            json!({"role": "user", "parts": [{"text": "weather in both"}]}),
            json!({"role": "model", "parts": [first, calls[1]]}),
            json!({"role": "user", "parts": [response(&calls[0]), response(&calls[1])]}),
        ];
        if let Some(text) = after {
            contents.push(json!({"role": "model", "parts": [{"text": "it is noon"}]}));
            contents.push(json!({"role": "user", "parts": [{"text": text}]}));
        }
        json!({"contents": contents, "tools": clock()})
    };
    assert_eq!(caller.post(&generate, &go_on(calls[0].clone(), None)).await.status, 200);
    let mut first = calls[0].clone();
    first.as_object_mut().unwrap().remove("thoughtSignature");
    let refused = caller.post(&generate, &go_on(first.clone(), None)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Function call is missing a thought_signature in functionCall parts"), "{}", refused.text());
    assert_eq!(caller.post(&generate, &go_on(first.clone(), Some("thanks"))).await.status, 200, "an earlier turn may be bare");
    first["thoughtSignature"] = json!("Zm9yZ2Vk");
    assert_eq!(
        caller.post(&generate, &go_on(first.clone(), None)).await.json()["error"]["message"],
        "Corrupted thought signature."
    );
    first["thoughtSignature"] = json!("skip_thought_signature_validator");
    assert_eq!(caller.post(&generate, &go_on(first, None)).await.status, 200);
}

#[tokio::test]
async fn errors_have_googles_form() {
    let simulator = Simulator::start(SimulatorConfig::default().with_keys(["g-0123456789ab"]));
    let caller = Caller::new(simulator.base_url());
    let generate = path(MODEL, "generateContent");
    let anonymous = caller.post(&generate, &request("hi")).await;
    assert_eq!((anonymous.status.as_u16(), &anonymous.json()["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    let wrong = caller.clone().with_header("x-goog-api-key", "g-wrong").post(&generate, &request("hi")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]["details"][0]["reason"]), (400, &json!("API_KEY_INVALID")));
    let in_query = caller.post(&format!("{generate}?key=g-0123456789ab"), &request("hi")).await;
    assert_eq!(in_query.status, 200);
    let keyed = caller.with_header("x-goog-api-key", "g-0123456789ab");
    let unknown = keyed.post(&path("gemini-99", "generateContent"), &request("hi")).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let limited = keyed.post(&generate, &request("hi [sim: 429]")).await.json();
    assert_eq!((&limited["error"]["code"], &limited["error"]["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
    let models = keyed.get("/v1beta/models").await.json();
    assert!(models["models"].as_array().unwrap().iter().any(|model| model["name"] == "models/gemini-2.5-pro"));
    let broken = keyed.request(reqwest::Method::POST, &generate).body("{");
    assert_eq!(send(broken).await.unwrap().json()["error"]["status"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn answers_are_cut_filtered_and_blocked() {
    let cut = ask(MODEL, &with("hi", json!({"generationConfig": {"maxOutputTokens": 3, "candidateCount": 2}}))).await.json();
    assert_eq!((&cut["candidates"][1]["finishReason"], &cut["candidates"][1]["index"]), (&json!("MAX_TOKENS"), &json!(1)));
    assert_eq!(cut["usageMetadata"]["candidatesTokenCount"], 6);
    assert_eq!(ask(MODEL, &request("hi [sim: finish=filter]")).await.json()["candidates"][0]["finishReason"], "SAFETY");
    let blocked = ask(MODEL, &request("hi [sim: finish=blocked]")).await.json();
    assert!(blocked.get("candidates").is_none() && blocked["promptFeedback"]["blockReason"].is_string());
    let transcript = listen(MODEL, &request("hi [sim: finish=blocked]")).await;
    assert_eq!(transcript.chunks().len(), 1);
    let unfinished = listen(MODEL, &request("hi [sim: no_done tokens=2]")).await;
    assert!(unfinished.chunks().iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
}

#[tokio::test]
async fn media_schemas_counts_and_embeddings_are_served() {
    let data = json!({"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo"}});
    let image =
        json!({"contents": [{"parts": [data, {"text": "what is it"}]}], "system_instruction": {"parts": [{"text": "be brief"}]}});
    assert_eq!(part(&ask(MODEL, &image).await.json(), 0)["text"], "I received image/png of 8 bytes.");
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    let config = json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}});
    assert_eq!(part(&ask(MODEL, &with("where", config)).await.json(), 0)["text"], r#"{"city":"sample 1"}"#);
    let system = json!({"systemInstruction": {"role": "system", "parts": [{"text": "be brief"}]}});
    assert_eq!(part(&ask(MODEL, &with("[sim: echo=system]", system)).await.json(), 0)["text"], "be brief");

    let (_simulator, caller) = start();
    assert_eq!(caller.post(&path(MODEL, "countTokens"), &request("one two three")).await.json()["totalTokens"], 3);
    let nested = json!({"generateContentRequest": request("one two")});
    assert_eq!(caller.post(&path(MODEL, "countTokens"), &nested).await.json()["totalTokens"], 2);
    let model = "gemini-embedding-001";
    let embed = json!({"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 4, "taskType": "RETRIEVAL_QUERY"});
    let one = caller.post(&path(model, "embedContent"), &embed).await.json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 4);
    let mut named = embed.clone();
    named["model"] = json!("models/gemini-embedding-001");
    let batch = caller.post(&path(model, "batchEmbedContents"), &json!({"requests": [named, named]})).await.json();
    assert_eq!(batch["embeddings"][1]["values"], one["embedding"]["values"]);
    let unnamed = caller.post(&path(model, "batchEmbedContents"), &json!({"requests": [embed]})).await;
    assert!(unnamed.text().contains("unexpected model name format"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_the_real_service_refuses_is_refused_in_its_words() {
    let parts = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    let config = |config: Value| with("hi", json!({"generationConfig": config}));
    let declared =
        |parameters: Value| with("hi", json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]}));
    let object = |property: Value| declared(json!({"type": "object", "properties": {"a": property}}));
    let unknown =
        |name: &str, at: &str| format!("Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field.");
    let parameters = "tools[0].function_declarations[0].parameters";
    let cases = [
        (
            with("hi", json!({"model_name": 1})),
            "Invalid JSON payload received. Unknown name \"model_name\": Cannot find field.".to_owned(),
        ),
        (json!({}), "* GenerateContentRequest.contents: contents is not specified".to_owned()),
        (json!({"contents": []}), "* GenerateContentRequest.contents: contents is not specified".to_owned()),
        (parts(json!([])), "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.".to_owned()),
        (parts(json!([{}])), "* GenerateContentRequest.contents[0].parts[0].data: required oneof field".to_owned()),
        (parts(json!([{"text": "x", "inlineData": {}}])), "Invalid value at 'contents[0].parts[0]' (oneof)".to_owned()),
        (parts(json!([{"type": "text", "text": "x"}])), unknown("type", "contents[0].parts[0]")),
        (parts(json!([{"text": 5}])), "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5".to_owned()),
        (
            parts(json!([{"inlineData": {"mimeType": "image/png", "data": "?"}}])),
            "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES)".to_owned(),
        ),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "Please use a valid role: user, model.".to_owned(),
        ),
        (config(json!({"max_tokens": 5})), unknown("max_tokens", "generation_config")),
        (
            config(json!({"maxOutputTokens": "many"})),
            "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32)".to_owned(),
        ),
        (
            config(json!({"temperature": 3})),
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].".to_owned(),
        ),
        (config(json!({"candidateCount": 9})), "* GenerateContentRequest.generation_config.candidate_count".to_owned()),
        (
            config(json!({"stopSequences": ["a", "b", "c", "d", "e", "f"]})),
            "* GenerateContentRequest.generation_config.stop_sequences".to_owned(),
        ),
        (
            config(json!({"responseMimeType": "json"})),
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes".to_owned(),
        ),
        (
            config(json!({"responseModalities": ["SMELL"]})),
            "Invalid value at 'generation_config.response_modalities[0]'".to_owned(),
        ),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}})),
            "You can only set only one of thinking budget and thinking level.".to_owned(),
        ),
        (config(json!({"thinkingConfig": {"thinkingBudget": 99_999}})), "The thinking budget 99999 is invalid.".to_owned()),
        (object(json!({"type": "string", "const": "x"})), unknown("const", &format!("{parameters}.properties[0].value"))),
        (declared(json!({"type": "object", "additionalProperties": false})), unknown("additionalProperties", parameters)),
        (
            object(json!({"type": ["string", "null"]})),
            format!(
                "Invalid JSON payload received. Unknown name \"type\" at '{parameters}.properties[0].value': Proto field is not repeating"
            ),
        ),
        (object(json!({"type": "text"})), format!("Invalid value at '{parameters}.properties[0].value.type'")),
        (object(json!({"type": "array"})), format!("* GenerateContentRequest.{parameters}.properties[a].items: missing field.")),
        (
            object(json!({"type": "string", "enum": [""]})),
            format!("* GenerateContentRequest.{parameters}.properties[a].enum[0]: cannot be empty"),
        ),
        (
            object(json!({"type": "string", "format": "uri"})),
            format!("* GenerateContentRequest.{parameters}.properties[a].format: only 'enum'"),
        ),
        (
            declared(json!({"type": "object", "properties": {}})),
            format!("* GenerateContentRequest.{parameters}.properties: should be non-empty"),
        ),
        (
            with("hi", json!({"tools": [{"functionDeclarations": [{"name": "1f"}]}]})),
            "* GenerateContentRequest.tools[0].function_declarations[0].name: [Invalid function name.".to_owned(),
        ),
        (with("hi", json!({"tools": [{"type": "function"}]})), unknown("type", "tools[0]")),
        (
            with("hi", json!({"tools": clock(), "toolConfig": {"functionCallingConfig": {"mode": "REQUIRED"}}})),
            "Invalid value at 'tool_config.function_calling_config.mode'".to_owned(),
        ),
        (
            with("hi", json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})),
            "* GenerateContentRequest.tool_config.function_calling_config: Function calling config is set without".to_owned(),
        ),
        (
            with("hi", json!({"safetySettings": [{"category": "RUDE", "threshold": "OFF"}]})),
            "Invalid value at 'safety_settings[0].category'".to_owned(),
        ),
        (
            with("hi", json!({"tools": clock(), "generationConfig": {"responseMimeType": "application/json"}})),
            "Function calling with a response mime type: 'application/json' is unsupported".to_owned(),
        ),
    ];
    for (body, text) in cases {
        let refusal = refusal_of(MODEL, &body);
        assert!(refusal.status == 400 && refusal.message.starts_with(&text), "{body}: {}", refusal.message);
    }
    let free = with("hi", json!({"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"const": 1}}]}]}));
    assert!(check(MODEL, free.as_object().unwrap(), Streaming::Unsaid).is_ok(), "a free schema is not looked at");
}

#[test]
fn responses_are_as_many_as_the_calls_of_the_turn_before() {
    let user = json!({"role": "user", "parts": [{"text": "hi"}]});
    let call = |id: &str| json!({"functionCall": {"id": id, "name": "clock", "args": {}}});
    let response = |id: &str| json!({"functionResponse": {"id": id, "name": "clock", "response": {"result": "noon"}}});
    let model = |parts: Value| json!({"role": "model", "parts": parts});
    let answers = |parts: Value| json!({"role": "user", "parts": parts});
    let heard = |contents: Value| {
        let body = json!({"contents": contents, "tools": clock()});
        check(MODEL, body.as_object().unwrap(), Streaming::Unsaid).map_err(|refusal| refusal.message)
    };
    assert!(heard(json!([user, model(json!([call("a"), call("b")])), answers(json!([response("b"), response("a")]))])).is_ok());
    let count = "Please ensure that the number of function response parts is equal";
    let cases = [
        (
            json!([user, model(json!([call("a"), call("b")])), answers(json!([response("a")])), answers(json!([response("b")]))]),
            count,
        ),
        (json!([user, model(json!([call("a")])), user]), count),
        (json!([user, answers(json!([response("a")]))]), "Please ensure that function response turn comes immediately after"),
        (
            json!([model(json!([call("a")])), answers(json!([response("a")]))]),
            "Please ensure that function call turn comes immediately after",
        ),
        (
            json!([user, model(json!([call("a")])), answers(json!([response("x")]))]),
            "Please ensure that the function response id \"x\"",
        ),
    ];
    for (contents, text) in cases {
        let message = heard(contents.clone()).unwrap_err();
        assert!(message.starts_with(text), "{contents}: {message}");
    }
}
