//! Mistakes of others, and the tests that would fail if one of them came here: for the page, and so that nobody takes such a test away.

use std::path::Path;

/// One mistake of a list.
pub(super) struct Mistake {
    pub(super) number: u32,
    pub(super) what: &'static str,
    /// The file of each test, from the root of the tree, and its name.
    pub(super) tests: &'static [(&'static str, &'static str)],
}

const HERE: &str = "shared/dialect/tests/it/matrix/mistakes.rs";
const MATRIX: &str = "shared/dialect/tests/it/matrix/mod.rs";
const EVERY_CASE: &str = "every_case_works_between_every_two_dialects";
const HOOKS: &str = "shared/providers/src/hooks/tests.rs";
const TARGET: &str = "shared/providers/src/target/tests.rs";
const EXCHANGE: &str = "shared/dialect/tests/it/exchange.rs";

const fn mistake(number: u32, what: &'static str, tests: &'static [(&'static str, &'static str)]) -> Mistake {
    Mistake { number, what, tests }
}

/// conversions.md §16.
#[rustfmt::skip]
pub(super) const CONVERSIONS: [Mistake; 19] = [
    mistake(1, "block indices of Messages streams with holes", &[(HERE, "blocks_of_messages_streams_follow_each_other_without_holes_behind_thinking_and_text"), ("shared/dialect/src/messages/stream/tests.rs", "interleaved_calls_are_written_one_after_the_other")]),
    mistake(2, "Responses not served by Claude and Gemini", &[(HERE, "responses_callers_are_served_by_claude_and_gemini"), ("relay-node/tests/it/dialects.rs", "every_caller_is_answered_by_every_upstream_and_pays_what_it_was_told")]),
    mistake(3, "text beside calls dropped", &[(HERE, "text_beside_calls_is_kept_in_histories_and_in_answers")]),
    mistake(4, "Gemini callers at Chat: results lost, arguments torn, configuration ignored", &[(HERE, "a_gemini_callers_results_find_their_calls_over_many_turns"), (HERE, "a_gemini_callers_configuration_reaches_chat_and_its_short_stop_list_too"), (HERE, "arguments_of_one_call_are_one_call_for_gemini_callers")]),
    mistake(5, "Messages to Chat: thinking, choice, documents, images lost", &[(HERE, "messages_for_chat_keep_thinking_choice_documents_and_images")]),
    mistake(6, "signatures printed as text, only the last block of thinking kept", &[(HERE, "signatures_are_never_text_and_every_block_of_thinking_counts")]),
    mistake(7, "unknown ends of Gemini as filter, parts joined with line ends", &[(HERE, "unknown_ends_of_gemini_are_no_filter_and_texts_are_joined_as_they_are"), (MATRIX, EVERY_CASE)]),
    mistake(8, "arguments that come only at the end ignored", &[(HERE, "arguments_that_come_only_with_the_end_of_a_call_are_not_lost")]),
    mistake(9, "thinking inside text, two beginnings, an empty text in front, a plain end in spite of calls", &[(HERE, "blocks_of_messages_streams_follow_each_other_without_holes_behind_thinking_and_text"), ("shared/dialect/src/chat/finish.rs", "words_of_vendors_are_a_stop_and_calls_decide")]),
    mistake(10, "parallel calls of Responses on index 0, outputs as lists, usage of incomplete answers lost", &[(HERE, "parallel_calls_of_responses_have_an_index_each_and_a_cut_answer_its_usage")]),
    mistake(11, "Gemini's signatures on thoughts and texts lost", &[(HERE, "signatures_on_texts_of_gemini_come_back_to_it"), (MATRIX, EVERY_CASE)]),
    mistake(12, "parallel calls of one name paired by name or place", &[(HERE, "results_in_any_order_find_calls_of_one_name_and_are_one_content_of_gemini")]),
    mistake(13, "results of one turn as several contents", &[(HERE, "results_in_any_order_find_calls_of_one_name_and_are_one_content_of_gemini")]),
    mistake(14, "a missing index of a fragment taken for 0", &[(HERE, "a_fragment_without_index_belongs_to_the_call_it_names")]),
    mistake(15, "ids too long, or cut into each other", &[(HERE, "long_ids_that_begin_alike_fit_and_stay_apart")]),
    mistake(16, "words of a schema that Gemini refuses", &[(HERE, "gemini_of_old_is_sent_no_word_of_a_schema_that_it_refuses"), ("shared/dialect/src/schema/tests.rs", "cleaned_schemas_have_only_known_words_and_stay_as_they_are")]),
    mistake(17, "Claude's cached input left out or counted twice", &[(HERE, "cached_input_is_inside_for_openai_and_google_and_beside_for_claude"), (MATRIX, EVERY_CASE)]),
    mistake(18, "parallel calls in Messages streams of Bedrock", &[(MATRIX, EVERY_CASE), (HERE, "blocks_of_messages_streams_follow_each_other_without_holes_behind_thinking_and_text")]),
    mistake(19, "abilities by lists of names: unknown names lose system prompt and schema", &[(HERE, "unknown_names_of_gemini_keep_their_system_prompt_and_their_schema")]),
];

/// providers.md §14.
#[rustfmt::skip]
pub(super) const PROVIDERS: [Mistake; 18] = [
    mistake(1, "Bedrock's single key sent with its region", &[("shared/providers/src/sign/aws.rs", "a_single_key_is_sent_without_its_region"), ("shared/providers/tests/it/defects.rs", "what_is_not_claude_is_not_asked_of_bedrock_as_claude")]),
    mistake(2, "Asia's models not found under `apac`", &[("shared/providers/src/hooks/names.rs", "bedrock_has_ids_and_groups_of_regions")]),
    mistake(3, "Nova: no stream, first part only (here: not served, and said so)", &[("shared/providers/tests/it/defects.rs", "models_of_other_makers_at_bedrock_are_not_served_at_any_interface")]),
    mistake(4, "codes of errors taken for numbers", &[("shared/providers/tests/it/defects.rs", "codes_of_errors_are_read_as_text_and_as_numbers")]),
    mistake(5, "words for an end that no client knows", &[("shared/dialect/src/chat/finish.rs", "words_of_vendors_are_a_stop_and_calls_decide"), ("shared/providers/tests/it/defects.rs", "a_cut_answer_in_a_vendors_words_is_cut")]),
    mistake(6, "an absent `top_p` clamped", &[(HOOKS, "numbers_are_clamped_only_where_they_are")]),
    mistake(7, "Zhipu without `stream_options` and lists of stops", &[(HOOKS, "zhipu_gets_the_fields_it_knows_in_its_form")]),
    mistake(8, "Cloudflare's completions unread, its embeddings empty", &[(HOOKS, "cloudflares_run_endpoint_is_a_completion")]),
    mistake(9, "Vertex asked for Gemini in Claude's words", &[("shared/providers/tests/it/defects.rs", "vertex_is_asked_in_the_words_of_each_models_maker")]),
    mistake(10, "Dify: images by address that nobody has fetched", &[("shared/providers/tests/it/defects.rs", "dify_is_given_images_by_their_address")]),
    mistake(11, "Coze: asked again and again without an end, the model's own turns dropped", &[("shared/providers/tests/it/defects.rs", "coze_hears_both_sides_and_is_asked_once_for_a_stream"), ("relay-node/tests/it/retry.rs", "an_answer_that_never_ends_is_a_504_at_the_deadline")]),
    mistake(12, "Spark: `n` sent as `top_k`, its code not looked at", &[("shared/providers/tests/it/defects.rs", "sparks_errors_with_status_200_are_errors_and_n_stays_n")]),
    mistake(13, "every name with an `o` in front taken for an o-series", &[("shared/providers/tests/it/defects.rs", "names_that_begin_with_an_o_are_not_all_of_the_o_series")]),
    mistake(14, "Baidu's pair sent as bearer", &[("shared/providers/tests/it/defects.rs", "baidus_pair_is_never_sent_whole"), (TARGET, "a_key_of_two_parts_goes_to_two_headers")]),
    mistake(15, "Volcengine's list of models without `/api/v3`", &[("shared/providers/tests/it/defects.rs", "volcengines_models_are_listed_under_its_version")]),
    mistake(16, "unknown fields of callers dropped", &[(HOOKS, "what_no_hook_is_for_stays_as_it_is"), (EXCHANGE, "requests_that_pass_are_the_same_to_the_byte")]),
    mistake(17, "Ollama's dimensions in the wrong place", &[("shared/providers/tests/it/defects.rs", "ollama_gets_dimensions_where_its_interface_has_them")]),
    mistake(18, "Claude under Google's publisher, usage not asked for where the body passes, letters counted as bytes", &[("shared/providers/tests/it/defects.rs", "vertex_is_asked_in_the_words_of_each_models_maker"), ("relay-node/tests/it/stream.rs", "usage_is_always_asked_for_and_the_rest_of_the_body_stays"), ("relay-node/src/meter/prompt.rs", "words_and_format_are_both_counted")]),
];

/// relay-api.md §19.
#[rustfmt::skip]
pub(super) const RELAY: [Mistake; 17] = [
    mistake(1, "errors always in OpenAI's shape", &[("relay-node/tests/it/routes.rs", "every_interface_refuses_a_missing_key_in_its_own_shape_and_other_methods_with_405"), ("relay-node/tests/it/dialects.rs", "errors_are_told_in_the_callers_dialect_whoever_made_them")]),
    mistake(2, "tokens with a list of models forbidden to poll their own tasks", &[("relay-node/tests/it/routes.rs", "a_list_of_models_says_nothing_about_interfaces_without_one")]),
    mistake(3, "status 200 before the upstream answered", &[("relay-node/tests/it/stream.rs", "a_failure_before_the_first_event_is_a_status_and_is_tried_elsewhere"), ("relay-node/tests/it/stream.rs", "pings_keep_a_waiting_caller_and_commit_the_status")]),
    mistake(4, "upstreams not told that callers left", &[("relay-node/tests/it/stream.rs", "a_caller_who_leaves_takes_the_upstream_request_along_and_pays_for_what_came"), ("relay-node/tests/it/policies.rs", "nobody_is_asked_again_for_a_caller_who_left")]),
    mistake(5, "a failed channel picked again", &[("relay-node/tests/it/retry.rs", "attempts_step_down_the_tiers_and_no_channel_is_tried_twice"), ("shared/routing/src/tests.rs", "no_channel_and_key_is_ever_tried_twice_and_all_are_reached")]),
    mistake(6, "channels switched off by one error, or by a caller's", &[("relay-node/tests/it/policies.rs", "mistakes_of_callers_never_count_against_a_channel"), ("control-plane/src/channels/watch.rs", "a_word_has_to_come_three_times_in_five_minutes"), ("control-plane/src/channels/verdict.rs", "a_user_of_a_gateway_behind_us_without_money_is_not_our_key_without_money")]),
    mistake(7, "no counting of tokens, or counting billed as an answer", &[("relay-node/tests/it/endpoints.rs", "tokens_are_counted_by_whoever_counts_for_every_caller_and_for_nothing"), ("relay-node/tests/it/endpoints.rs", "tokens_are_counted_here_where_nobody_else_does")]),
    mistake(8, "lists of models that break when empty or in another form", &[("relay-node/tests/it/routes.rs", "an_empty_group_has_an_empty_list_in_every_format"), ("relay-node/tests/it/routes.rs", "the_model_list_speaks_three_formats")]),
    mistake(9, "limits of successes that count every request, refusals without a body", &[("relay-node/tests/it/limits.rs", "a_limit_of_successes_is_used_up_by_answers_only"), ("relay-node/tests/it/limits.rs", "beyond_a_limit_callers_get_429_with_what_clients_look_for")]),
    mistake(10, "addresses believed from any header", &[("relay-node/tests/it/caller.rs", "the_address_list_goes_by_trusted_proxies_and_cannot_be_talked_past")]),
    mistake(11, "a named channel that passes the list of models", &[("relay-node/tests/it/caller.rs", "pinning_does_not_pass_the_model_list")]),
    mistake(12, "a status told in place of another decides about retries and channels", &[("relay-node/tests/it/shaping.rs", "a_status_that_callers_read_decides_nothing_else")]),
    mistake(13, "unknown paths answered with a page", &[("relay-node/tests/it/routes.rs", "an_unknown_path_names_itself"), ("relay-node/src/ingress/route.rs", "unknown_paths_are_documents_under_the_interfaces_and_pages_elsewhere")]),
    mistake(14, "parts of keys in refusals", &[("relay-node/tests/it/caller.rs", "a_missing_or_unknown_key_is_a_401_that_shows_nothing_of_it")]),
    mistake(15, "callers' mistakes answered with 500", &[("relay-node/tests/it/body.rs", "each_bad_body_has_its_status_code_and_field"), ("relay-node/tests/it/body.rs", "a_model_without_price_is_refused_before_anything_is_sent")]),
    mistake(16, "every 4xx tried elsewhere", &[("relay-node/src/forward/failure/tests.rs", "which_statuses_are_tried_elsewhere"), ("relay-node/src/forward/failure/tests.rs", "a_404_is_tried_elsewhere_only_when_the_model_is_unknown_there"), ("relay-node/tests/it/retry.rs", "failures_that_would_only_repeat_are_told_at_once")]),
    mistake(17, "no retry unless it is set", &[("relay-node/tests/it/retry.rs", "failures_that_another_channel_may_not_have_are_tried_there"), ("relay-node/tests/it/retry.rs", "the_number_of_attempts_is_bounded_and_the_last_error_is_told")]),
];

/// Tests of the lists that are nowhere to be found.
pub(super) fn missing() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let all = CONVERSIONS.iter().chain(&PROVIDERS).chain(&RELAY).flat_map(|mistake| mistake.tests);
    all.filter(|(file, name)| !std::fs::read_to_string(root.join(file)).unwrap_or_default().contains(&format!("fn {name}(")))
        .map(|(file, name)| format!("{file}: {name}"))
        .collect()
}
