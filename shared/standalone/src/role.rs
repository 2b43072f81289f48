//! What a `sluice` process is: both halves, or, as in the family, a relay node by `NODE_TYPE=slave`.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use sluice_telemetry::process::EXIT_USAGE;

use crate::PROGRAM;

/// The setting's name.
pub(crate) const SETTING: &str = "NODE_TYPE";
/// Both halves.
pub(crate) const MASTER: &str = "master";
/// A relay node.
pub(crate) const SLAVE: &str = "slave";

const FLAG: &str = "--node-type";

/// The arguments for the relay's own command line, if the process is to be a relay. The flag wins over the environment, as everywhere.
pub(crate) fn arguments_of_a_relay(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Option<&OsStr>,
) -> Option<Vec<OsString>> {
    let mut role = environment.map(OsStr::to_owned);
    let mut others = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == FLAG {
            role = arguments.next();
        } else if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix(FLAG)?.strip_prefix('=')) {
            role = Some(value.into());
        } else {
            others.push(argument);
        }
    }
    role.is_some_and(|role| role == SLAVE).then_some(others)
}

/// What is wrong with the setting of a process that is no relay.
pub(crate) fn problem(role: Option<&str>) -> Option<String> {
    let is_good = role.is_none_or(|role| role.is_empty() || role == MASTER);
    (!is_good).then(|| format!("{SETTING} must be {MASTER} or {SLAVE}"))
}

/// Runs a relay node, which needs to know its control plane.
pub(crate) fn relay(arguments: Vec<OsString>) -> ExitCode {
    let is_told = std::env::var_os("SLUICE_CONTROL_URL").is_some_and(|url| !url.is_empty());
    let is_asked_for = |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with("--control-url"));
    let only_asks = |argument: &OsString| ["--help", "-h", "--version", "-V"].iter().any(|question| argument == question);
    if !is_told && !arguments.iter().any(|argument| is_asked_for(argument) || only_asks(argument)) {
        let line = "NODE_TYPE=slave makes this process a relay node: SLUICE_CONTROL_URL must name its control plane";
        PROGRAM.complain(line);
        return ExitCode::from(EXIT_USAGE);
    }
    sluice_relay_node::command::main(PROGRAM.name, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str], environment: Option<&str>) -> Option<Vec<String>> {
        let relay = arguments_of_a_relay(arguments.iter().map(OsString::from), environment.map(OsStr::new))?;
        Some(relay.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn a_slave_is_a_relay_with_the_other_arguments() {
        let rest = Some(vec!["--port".to_owned(), "1".to_owned()]);
        assert_eq!(of(&["--port", "1"], Some("slave")), rest);
        assert_eq!(of(&["--node-type", "slave", "--port", "1"], None), rest);
        assert_eq!(of(&["--port", "1", "--node-type=slave"], Some("master")), rest);
    }

    #[test]
    fn everything_else_is_both_halves() {
        for (arguments, environment) in [(vec![], None), (vec![], Some("master")), (vec!["--node-type", "master"], Some("slave"))]
        {
            assert_eq!(of(&arguments, environment), None);
        }
        assert_eq!(of(&["--node-type=SLAVE"], None), None);
        assert_eq!(problem(Some("SLAVE")).unwrap(), "NODE_TYPE must be master or slave");
        assert_eq!((problem(None), problem(Some("")), problem(Some("master"))), (None, None, None));
    }
}
