//! A few rows of the fault matrix, shortened: what must hold in every run, while `make faults` measures how well.

use std::sync::Arc;
use std::time::Duration;

use sluice_e2e::faults::figure::table;
use sluice_e2e::faults::{Options, Stage, play};
use sluice_testkit::database::{Engine, engines};

/// A machine that runs every other test at the same time may be so many times slower.
const PATIENCE: u32 = 10;

fn rows_hold(engine: Engine, names: &[&str]) {
    if !engines().contains(&engine) {
        return;
    }
    let options = Options { engine, lasting: Duration::from_secs(4), rate: 30, kills: 4, patience: PATIENCE };
    let stage = Arc::new(Stage::set(options).expect("a folder can be made"));
    for name in names {
        let row = stage.rows().find(|row| row.name == *name).unwrap_or_else(|| panic!("there is no row {name} on {engine}"));
        let report = play(&stage, row);
        let wrong: Vec<_> = report.figures.iter().filter(|figure| !figure.stands_with_patience(PATIENCE.into())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", table(std::slice::from_ref(&report)));
    }
}

#[test]
fn one_process_survives_its_own_death_and_callers_that_leave() {
    rows_hold(Engine::Sqlite, &["1", "21"]);
}

#[test]
fn a_fleet_survives_the_deaths_of_its_control_planes_and_the_absence_of_its_database() {
    rows_hold(Engine::Postgres, &["3", "5"]);
}
