use std::fmt::Write;

use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_relay_node::config::Options;

use super::{cell, compare};
use crate::Cli;

/// A value that breaks every rule there is.
const NONSENSE: &str = "?";

/// A program: its command line, what reading it leads to, and what it needs to be given.
struct Program {
    name: &'static str,
    command: Command,
    given: &'static [&'static str],
    read: fn(&ArgMatches) -> Result<String, Vec<String>>,
}

fn programs() -> [Program; 3] {
    let control = ControlOptions::augment_args(ProcessOptions::augment_args(Command::new("sluice-control")));
    [
        Program { name: "sluice", command: Cli::command(), given: &[], read: read_sluice },
        Program { name: "sluice-control", command: control, given: &[], read: read_control },
        Program {
            name: "sluice-relay",
            command: Options::command(),
            given: &["--control-url", "http://localhost:3001"],
            read: read_relay,
        },
    ]
}

fn read_control(matches: &ArgMatches) -> Result<String, Vec<String>> {
    let process = ProcessOptions::from_arg_matches(matches).unwrap();
    let control = ControlOptions::from_arg_matches(matches).unwrap();
    let settings = Settings::read(&process, &control);
    settings.map(|settings| format!("{settings:?}")).map_err(|problems| problems.to_string().lines().map(str::to_owned).collect())
}

fn read_relay(matches: &ArgMatches) -> Result<String, Vec<String>> {
    let settings = Options::from_arg_matches(matches).unwrap().read();
    settings.map(|settings| format!("{settings:?}")).map_err(|problems| problems.lines().to_vec())
}

fn read_sluice(matches: &ArgMatches) -> Result<String, Vec<String>> {
    let (settings, requests) = crate::read(&Cli::from_arg_matches(matches).unwrap())?;
    Ok(format!("{settings:?} {requests:?}"))
}

impl Program {
    /// What it makes of these arguments, whatever is in the environment of this test.
    fn read(&self, arguments: &[&str]) -> Result<String, Vec<String>> {
        let deaf = self.command.clone().mut_args(|argument| argument.env(None::<&str>));
        let words = [&[self.name], self.given, arguments].concat();
        (self.read)(&deaf.args_override_self(true).try_get_matches_from(words).unwrap())
    }

    fn settings(&self) -> Vec<Setting> {
        self.command.get_arguments().filter_map(|argument| Setting::of(argument, self)).collect()
    }
}

/// A row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    section: String,
    variable: String,
    flag: String,
    values: String,
    default: Option<String>,
    meaning: String,
    has_effect: bool,
}

impl Setting {
    fn of(argument: &Arg, program: &Program) -> Option<Self> {
        let variable = argument.get_env()?.to_str()?.to_owned();
        let flag = format!("--{}", argument.get_long()?);
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let (meaning, default) = match help.split_once("Default") {
            Some((meaning, default)) => (meaning.trim(), Some(default.trim().to_owned())),
            None => (help.trim(), None),
        };
        let has_effect = !["Accepted,", "Ignored"].iter().any(|start| meaning.starts_with(start));
        Some(Self {
            section: argument.get_help_heading().unwrap_or_default().to_owned(),
            values: values(argument, &variable, &flag, program),
            meaning: meaning.trim_end_matches('.').to_owned(),
            variable,
            flag,
            default,
            has_effect,
        })
    }

    /// The default, when it is a value and not a sentence.
    fn literal_default(&self) -> Option<&str> {
        let text = self.default.as_deref()?;
        let is_prose = text.starts_with(':') || text.contains(" in ") || text.contains(" the ");
        let value = text.split_once(": ").map_or(text, |(value, _)| value);
        (!is_prose).then_some(value)
    }

    fn shown_default(&self) -> String {
        self.default.as_deref().map(|text| text.trim_start_matches(':').trim().to_owned()).unwrap_or_default()
    }
}

/// Which values are taken: the rule that nonsense is refused with, or what kind of text it is.
fn values(argument: &Arg, variable: &str, flag: &str, program: &Program) -> String {
    let kind = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let text = match kind.as_str() {
        "FILE" => "a file",
        "FOLDER" => "a folder",
        "FILTER" => "levels, by target",
        "DSN" => "an address of a database",
        "NAME" => "1 to 63 characters of a-z, 0-9, - and .",
        "ZONE" => "the IANA name of a time zone",
        "FORMAT" => "auto, json or pretty",
        "SECRET" | "TOKEN" | "PASSWORD" | "URL" | "URLS" | "LIST" => "text",
        _ => "anything",
    };
    if matches!(kind.as_str(), "FILE" | "DSN" | "NAME") {
        return text.to_owned();
    }
    let problems = program.read(&[flag, NONSENSE]).err().unwrap_or_default();
    let rule = problems.iter().find_map(|line| line.strip_prefix(variable)?.strip_prefix(" must "));
    rule.map_or_else(|| text.to_owned(), |rule| rule.trim_start_matches("be ").trim_start_matches("have ").to_owned())
}

#[test]
fn the_page_of_settings_has_every_setting_of_every_program() {
    let mut rows: Vec<(Setting, Vec<&str>)> = Vec::new();
    for program in programs() {
        for setting in program.settings() {
            match rows.iter_mut().find(|(known, _)| *known == setting) {
                Some((_, names)) => names.push(program.name),
                None => rows.push((setting, vec![program.name])),
            }
        }
    }
    let mut page = String::from(
        "# Settings\n\nWhat a process is told when it starts, by environment variable or by flag; a flag wins. An empty variable is not set. \
         Every mistake is told at once, by name, and the process ends with status 64 before it binds or writes anything; \
         `config check` prints what is set, and where. What root changes while the site runs is in [Site settings](site-settings.md).\n",
    );
    let mut sections: Vec<(&str, &[&str])> = Vec::new();
    for (setting, names) in rows.iter().filter(|(setting, _)| setting.has_effect) {
        if !sections.contains(&(setting.section.as_str(), names)) {
            sections.push((&setting.section, names));
        }
    }
    for (title, programs) in sections {
        let names = programs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        write!(page, "\n## {title}: {names}\n\n| variable | flag | values | default | meaning |\n|---|---|---|---|---|\n")
            .unwrap();
        for (setting, _) in rows.iter().filter(|(row, names)| row.has_effect && row.section == title && names == programs) {
            let Setting { variable, flag, values, meaning, .. } = setting;
            let default = setting.shown_default();
            writeln!(page, "| `{variable}` | `{flag}` | {} | {} | {} |", cell(values), cell(&default), cell(meaning)).unwrap();
        }
    }
    page.push_str("\n## Taken, without effect\n\n| variable | programs | why |\n|---|---|---|\n");
    for (setting, names) in rows.iter().filter(|(setting, _)| !setting.has_effect) {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let why = setting.meaning.split_once(": ").map_or(setting.meaning.as_str(), |(_, why)| why);
        writeln!(page, "| `{}` | {names} | {} |", setting.variable, cell(why)).unwrap();
    }
    compare("settings.md", &page);
}

#[test]
fn a_default_that_is_told_is_the_default() {
    let mut compared = 0;
    for program in programs() {
        let without = program.read(&[]);
        for setting in program.settings() {
            let Some(default) = setting.literal_default() else { continue };
            assert_eq!(program.read(&[&setting.flag, default]), without, "{} of {}", setting.variable, program.name);
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn every_setting_says_what_it_is_for() {
    for program in programs() {
        for setting in program.settings() {
            assert!(setting.meaning.len() > 10, "{setting:?}");
            assert!(!setting.section.is_empty() || !setting.has_effect, "{setting:?}");
        }
    }
}
