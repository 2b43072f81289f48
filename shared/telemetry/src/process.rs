//! What every program does around its work: reads its command line, starts logs and a runtime, and ends with a status people know.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches};
use tracing::error;

use crate::logs::{self, LogSettings, Logs};
use crate::{health, settings};

/// The exit status for bad settings (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Why a program ends, for the person who started it.
#[derive(Debug)]
pub struct Failure {
    /// One line, without the program's name.
    pub told: String,
    /// The exit status.
    pub status: u8,
}

/// A program, by the name it is started with.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name, which begins each of its complaints.
    pub name: &'static str,
}

impl Program {
    /// Tells something on standard output. Nothing is lost when nobody listens there.
    pub fn say(self, line: &str) {
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// Tells what is wrong on standard error.
    pub fn complain(self, line: &str) {
        let _ = writeln!(io::stderr(), "{}: {line}", self.name);
    }

    /// Reads the arguments, the program's own name first.
    ///
    /// # Errors
    /// With the status to end with, when there is nothing to run: help was asked for, or an argument is wrong, and that was told.
    pub fn parse<O: FromArgMatches>(
        self,
        command_line: &clap::Command,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<(O, ArgMatches), ExitCode> {
        let parsed = command_line.clone().try_get_matches_from(arguments);
        parsed.and_then(|matches| Ok((O::from_arg_matches(&matches)?, matches))).map_err(|error| {
            if error.use_stderr() {
                self.complain(&settings::refusal(command_line, &error));
                return ExitCode::from(EXIT_USAGE);
            }
            // nothing is left to tell when standard output is gone
            let _ = error.print();
            ExitCode::SUCCESS
        })
    }

    /// Does the work with logs, on a runtime of its own.
    pub fn run(self, log: &LogSettings, work: impl AsyncFnOnce(&Logs) -> Result<ExitCode, Failure>) -> ExitCode {
        let logs = match logs::init(log) {
            Ok(logs) => logs,
            Err(error) => {
                self.complain(&error.told());
                return ExitCode::from(EXIT_USAGE);
            }
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                error!("cannot start the runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        runtime.block_on(Box::pin(work(&logs))).unwrap_or_else(|failure| {
            self.complain(&failure.told);
            ExitCode::from(failure.status)
        })
    }

    /// Asks a process of this machine whether it is ready, at `path` of a port it listens on; for probes.
    pub async fn healthcheck(self, listens_on: SocketAddr, path: &str) -> ExitCode {
        let address = health::asked_at(listens_on);
        match health::probe(address, path).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                self.complain(&format!("cannot ask {address}: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}
