//! What a process was told: every setting with its source, for `config check`, and one line for a command line that cannot be read.
//!
//! A setting is an argument with an environment variable. Those whose value clap must not show are secrets here, too.

use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// What stands for a secret.
const MASK: &str = "********";
/// The word that introduces the default in a setting's help text.
const DEFAULT: &str = "Default";

/// Where the value of a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    CommandLine,
    /// The environment.
    Environment,
    /// Nobody gave one.
    Default,
}

/// One setting as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name of its environment variable.
    pub name: String,
    /// Its value, masked when it is a secret; the documented default when none was given, empty when there is none.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::Default => "default",
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.name, self.value, self.source)
    }
}

/// The command with its settings accepted before and after a subcommand alike.
#[must_use]
pub fn anywhere(command: Command) -> Command {
    command.mut_args(|argument| if argument.get_env().is_some() { argument.global(true) } else { argument })
}

/// Every setting of a command, in the order of its help. Settings that are hidden there are listed when they were given.
#[must_use]
pub fn list(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let settings = command.get_arguments().filter_map(|argument| setting(argument, matches));
    settings.collect()
}

fn setting(argument: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let name = argument.get_env()?.to_string_lossy().into_owned();
    let id = argument.get_id().as_str();
    let given = matches.get_raw(id).and_then(|mut values| values.next_back());
    // compose files pass empty variables for unset ones
    let given = given.map(|value| value.to_string_lossy().trim().to_owned()).filter(|value| !value.is_empty());
    let Some(value) = given else {
        return (!argument.is_hide_set()).then(|| Setting { name, value: default_of(argument), source: Source::Default });
    };
    let source = match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => Source::Environment,
        _ => Source::CommandLine,
    };
    let value = if argument.is_hide_env_values_set() { MASK.to_owned() } else { without_credentials(&value) };
    Some(Setting { name, value, source })
}

/// What a help text says after the word, for example `3000` of `Port for clients. Default 3000`.
fn default_of(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let default = help.split_once(DEFAULT).map(|(_, after)| after.trim_start_matches(':').trim());
    default.unwrap_or_default().trim_end_matches('.').to_owned()
}

/// Addresses may carry a password where nobody expects one.
fn without_credentials(value: &str) -> String {
    let hidden = |part: &str| {
        let Some((scheme, rest)) = part.split_once("://") else { return part.to_owned() };
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.rfind('@') {
            Some(at) => format!("{scheme}://{MASK}{}", rest.get(at..).unwrap_or_default()),
            None => part.to_owned(),
        }
    };
    value.split(',').map(hidden).collect::<Vec<_>>().join(",")
}

/// Why a command line cannot be read, on one line and without any value: it may be a secret.
#[must_use]
pub fn refusal(command: &Command, error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).filter(|text| text.starts_with('-'));
    let argument = argument.map(|text| text.split(['=', ' ']).next().unwrap_or_default());
    match (error.kind(), argument) {
        (ErrorKind::UnknownArgument, Some(flag)) => format!("{flag} is no setting of this program; see --help"),
        (ErrorKind::InvalidUtf8, _) => match unreadable(command) {
            Some(name) => format!("{name} must be text in UTF-8"),
            None => "every setting must be text in UTF-8".to_owned(),
        },
        (ErrorKind::ArgumentConflict, Some(flag)) => format!("{flag} must be given once"),
        (ErrorKind::InvalidValue, Some(flag)) => format!("{flag} needs a value it knows; see --help"),
        (_, Some(flag)) => format!("{flag} cannot be read; see --help"),
        (_, None) => "the command line has a word that is no subcommand of this program; see --help".to_owned(),
    }
}

/// The first setting whose variable is not text.
fn unreadable(command: &Command) -> Option<String> {
    let bad = std::env::vars_os().filter(|(_, value)| value.to_str().is_none()).map(|(name, _)| name);
    bad.into_iter()
        .find(|name| command.get_arguments().any(|argument| argument.get_env() == Some(name)))
        .map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let port = Arg::new("port").long("port").env("SETTINGS_TEST_PORT").help("Port for clients. Default 3000");
        let secret = Arg::new("secret").long("secret").env("SETTINGS_TEST_SECRET").hide_env_values(true);
        let url = Arg::new("url").long("url").env("SETTINGS_TEST_URL").help("Addresses. Default: none.");
        let ignored = Arg::new("ignored").long("ignored").env("SETTINGS_TEST_IGNORED").hide(true);
        let config = Command::new("config").subcommand(Command::new("check"));
        anywhere(Command::new("program").args([port, secret, url, ignored]).subcommand(config))
    }

    fn lines(words: &[&str]) -> Vec<String> {
        let matches = command().try_get_matches_from(words).unwrap();
        list(&command(), &matches).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_are_listed_with_their_source_and_without_secrets() {
        let url = "http://user:hunter2@one:1,http://two:1/a@b";
        assert_eq!(
            lines(&["program", "--secret", "hunter2", "--port", "", "--url", url, "--ignored", "x"]),
            [
                "SETTINGS_TEST_PORT=3000 (default)",
                "SETTINGS_TEST_SECRET=******** (command line)",
                "SETTINGS_TEST_URL=http://********@one:1,http://two:1/a@b (command line)",
                "SETTINGS_TEST_IGNORED=x (command line)",
            ]
        );
    }

    #[test]
    fn settings_stand_before_and_after_a_subcommand() {
        for words in [["program", "--port", "1", "config", "check"], ["program", "config", "check", "--port", "1"]] {
            assert_eq!(lines(&words)[0], "SETTINGS_TEST_PORT=1 (command line)");
        }
        assert_eq!(lines(&["program"]).len(), 3, "a hidden setting that was not given is not listed");
    }

    #[test]
    fn a_command_line_that_cannot_be_read_is_told_in_one_line_without_values() {
        for (words, line) in [
            (["program", "--prot=hunter2"], "--prot is no setting of this program; see --help"),
            (["program", "hunter2"], "the command line has a word that is no subcommand of this program; see --help"),
            (["program", "--port"], "--port needs a value it knows; see --help"),
        ] {
            let error = command().try_get_matches_from(words).unwrap_err();
            assert_eq!(refusal(&command(), &error), line);
        }
    }
}
