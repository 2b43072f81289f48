//! How much stands in one place, and what may stand where.

use crate::tree::{File, assert_none, files, rust_files};

/// Lines of a source file.
const MAX_FILE_LINES: usize = 600;
/// Lines of a file of tests.
const MAX_TEST_FILE_LINES: usize = 1_000;
/// Lines of a function.
const MAX_FUNCTION_LINES: usize = 150;

const SOURCES: &[&str] = &["rs", "ts", "tsx"];

fn sources() -> Vec<File> {
    files().into_iter().filter(|file| file.has_extension(SOURCES) && !is_generated(file)).collect()
}

fn is_generated(file: &File) -> bool {
    file.path.ends_with(".d.ts")
}

/// Lines in production code that hold one of the words, with where they are.
fn holding(file: &File, words: &[&str]) -> Vec<String> {
    let holds = |line: &str| words.iter().any(|word| line.contains(word));
    file.production_lines()
        .filter(|(_, line)| holds(line))
        .map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
        .collect()
}

#[test]
fn no_file_is_too_long_to_read() {
    let offenders = sources().into_iter().filter_map(|file| {
        let max = if file.is_test() { MAX_TEST_FILE_LINES } else { MAX_FILE_LINES };
        let lines = file.text.lines().count();
        (lines > max).then(|| format!("{}: {lines} lines, at most {max}", file.path))
    });
    assert_none(offenders, "Divide it by what it is about.");
}

#[test]
fn no_function_is_too_long_to_read() {
    let mut offenders = Vec::new();
    for file in sources() {
        offenders
            .extend(long_functions(&file.text).into_iter().map(|(line, lines)| format!("{}:{line}: {lines} lines", file.path)));
    }
    assert_none(offenders, "Divide it by what it does.");
}

/// Functions over the limit: where they begin and their lines. Formatted code closes a function at the indentation it began with.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !begins_function(line.trim_start()) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &&&str| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest.starts_with('}') && ["}", "};", "});", "})"].contains(&rest.trim_end()))
        };
        let length = lines[at..].iter().position(|line| is_end(&line)).map_or(1, |end| end + 1);
        if length > MAX_FUNCTION_LINES {
            long.push((at + 1, length));
        }
    }
    long
}

fn begins_function(line: &str) -> bool {
    let rust = line.split(' ').take_while(|word| !word.contains('{')).any(|word| word == "fn")
        && !line.ends_with(';')
        && !line.ends_with('}');
    let script = line.split(' ').take(4).any(|word| word == "function") || line.ends_with("=> {");
    (rust || script) && !line.starts_with("//") && !line.starts_with('*')
}

#[test]
fn long_functions_are_found() {
    let body = "        work();\n".repeat(150);
    let long = format!(
        "impl X {{\n    pub(crate) async fn go(\n        &self,\n    ) {{\n{body}    }}\n\n    fn short() {{\n    }}\n}}\n"
    );
    assert_eq!(long_functions(&long), [(2, 154)]);
    assert_eq!(long_functions(&format!("export function Page() {{\n{body}}}\n")), [(1, 152)]);
    assert_eq!(long_functions("fn short() {\n}\n"), []);
}

#[test]
fn sql_stands_only_in_stores_and_in_db() {
    let may = |path: &str| {
        let is_store = |part: &str| part == "db" || part == "store" || part.ends_with("store.rs");
        path.starts_with("migrations/") || path.split('/').any(is_store)
    };
    // connections, rows and errors may be passed on; statements may not be made
    let words = [
        "sea_query",
        "query_one(",
        "query_all(",
        "execute_unprepared(",
        "\"SELECT ",
        "\"INSERT INTO ",
        "\"UPDATE ",
        "\"DELETE FROM ",
    ];
    let files = rust_files().into_iter().filter(|file| !file.is_test() && !may(&file.path));
    let offenders = files.flat_map(|file| holding(&file, &words));
    assert_none(offenders, "Ask a question of the feature's store.rs; what engines do differently goes to db/.");
}

#[test]
fn only_the_wallet_writes_balances() {
    let words =
        ["accounts", "ledger"].map(|table| ["into_table(", "table(", "from_table(", "Insert::into("].map(|verb| (verb, table)));
    let forbidden: Vec<String> = words.iter().flatten().map(|(verb, table)| format!("{verb}\"{table}\"")).collect();
    let forbidden: Vec<&str> = forbidden.iter().map(String::as_str).chain(["add_to_rows(tx, \"accounts\""]).collect();
    let may = |path: &str| path.starts_with("control-plane/src/wallet/") || path.starts_with("migrations/");
    let files = rust_files().into_iter().filter(|file| !file.is_test() && !may(&file.path));
    let offenders = files.flat_map(|file| holding(&file, &forbidden));
    assert_none(offenders, "Post an entry, or move money in sets, through wallet/.");
}

#[test]
fn proto_types_stop_at_the_edge() {
    let edges =
        ["shared/rpc/", "control-plane/src/rpc/", "control-plane/src/rpc.rs", "relay-node/src/link/", "relay-node/src/link.rs"];
    let may = |path: &str| edges.iter().any(|edge| path.starts_with(edge));
    let words = ["rpc::pb", "pb::", "prost::"];
    let offenders =
        rust_files().into_iter().filter(|file| !file.is_test() && !may(&file.path)).flat_map(|file| holding(&file, &words));
    assert_none(offenders, "Convert in shared/rpc, and pass on the domain type.");
}

#[test]
fn work_left_for_later_has_an_issue() {
    let later = concat!("TO", "DO");
    let words = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let is_word = |line: &str, word: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word);
    let has_issue = |line: &str| {
        line.split_once(&format!("{later}(#")).is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut offenders = Vec::new();
    for file in files().iter().filter(|file| file.has_extension(&["rs", "ts", "tsx", "proto", "sh", "toml"])) {
        for (number, line) in file.lines() {
            if words.iter().any(|word| is_word(line, word)) || (is_word(line, later) && !has_issue(line)) {
                offenders.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(offenders, "Do it, or open an issue and write its number.");
}

#[test]
fn every_test_runs() {
    let skips = [
        concat!("#[ig", "nore"),
        concat!("it.", "only("),
        concat!("describe.", "only("),
        concat!("it.", "skip("),
        concat!("test.", "skip("),
    ];
    let mut offenders = Vec::new();
    for file in sources() {
        let lines = file.lines().filter(|(_, line)| skips.iter().any(|skip| line.contains(skip)));
        offenders.extend(lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    assert_none(offenders, "A test that does not run says nothing: mend it or remove it.");
}

#[test]
fn lints_are_silenced_with_a_reason() {
    let silence = concat!("#[all", "ow(");
    let inner = concat!("#![all", "ow(");
    let mut offenders = Vec::new();
    for file in rust_files() {
        let lines = file.lines().filter(|(_, line)| line.contains(silence) || line.contains(inner));
        offenders.extend(lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    assert_none(offenders, "Write #[expect(lint, reason = \"...\")].");
}
