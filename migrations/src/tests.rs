use super::*;

const ENGINES: [DatabaseBackend; 3] = [DatabaseBackend::Sqlite, DatabaseBackend::MySql, DatabaseBackend::Postgres];

fn all_sql(engine: DatabaseBackend) -> Vec<String> {
    plan(engine).into_iter().flat_map(|(_, statements)| statements).collect()
}

#[test]
fn every_engine_gets_the_same_number_of_statements() {
    let counts: Vec<usize> = ENGINES.iter().map(|engine| all_sql(*engine).len()).collect();
    assert!(counts[0] > 20 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn no_statement_uses_a_construct_newer_than_the_oldest_server_we_promise() {
    let newer = ["IDENTITY", "WITH ", "OVER (", "SKIP LOCKED", "CHECK (", "GENERATED", "utf8mb4_0900"];
    for engine in ENGINES {
        for sql in all_sql(engine) {
            assert!(newer.iter().all(|construct| !sql.contains(construct)), "{engine:?}: {sql}");
        }
    }
}

#[test]
fn row_ids_are_64_bits_wide_on_every_engine() {
    let users = |engine| all_sql(engine).into_iter().find(|sql| sql.contains("users")).unwrap();
    assert!(users(DatabaseBackend::Postgres).contains(r#""id" bigserial"#), "{}", users(DatabaseBackend::Postgres));
    assert!(
        users(DatabaseBackend::MySql).contains("`id` bigint NOT NULL PRIMARY KEY AUTO_INCREMENT"),
        "{}",
        users(DatabaseBackend::MySql)
    );
    assert!(
        users(DatabaseBackend::Sqlite).contains(r#""id" integer NOT NULL PRIMARY KEY AUTOINCREMENT"#),
        "{}",
        users(DatabaseBackend::Sqlite)
    );
}

#[test]
fn mysql_compares_text_by_its_bytes() {
    let tables = all_sql(DatabaseBackend::MySql).into_iter().filter(|sql| sql.starts_with("CREATE TABLE"));
    assert!(tables.into_iter().all(|sql| sql.contains("COLLATE=utf8mb4_bin")));
}

#[test]
fn mysql_takes_as_much_text_as_a_channel_of_many_models_has() {
    let (mut wide, mut others) = (0, 0);
    for sql in all_sql(DatabaseBackend::MySql) {
        assert!(!sql.contains(" text"), "65,535 bytes are too few: {sql}");
        wide += sql.matches(" mediumtext").count();
    }
    for sql in all_sql(DatabaseBackend::Postgres) {
        others += sql.matches(" text").count();
    }
    assert!(wide > 10 && wide == others, "{wide}, {others}");
}

#[test]
fn a_table_is_the_same_on_mysql_but_for_its_long_texts() {
    let of = |engine| all_sql(engine).into_iter().filter(|sql| sql.starts_with("CREATE TABLE"));
    for (mysql, postgres) in of(DatabaseBackend::MySql).zip(of(DatabaseBackend::Postgres)) {
        let shape = |sql: &str| ["PRIMARY KEY", "NOT NULL", "DEFAULT 0", "IF NOT EXISTS"].map(|words| sql.matches(words).count());
        assert_eq!(shape(&mysql), shape(&postgres), "{mysql}");
    }
}

#[test]
fn index_names_are_unique_and_fit_mysql() {
    let mut names: Vec<String> = scripts()
        .iter()
        .flat_map(|script| script.sql(DatabaseBackend::Sqlite))
        .filter(|sql| sql.contains(" INDEX "))
        .map(|sql| sql.split('"').nth(1).unwrap().to_owned())
        .collect();
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
