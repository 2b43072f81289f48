//! Logs: JSON for machines, colours for a terminal, files where a folder is set. Writing never blocks a request.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::str::FromStr;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::chain::Chain;
use crate::metrics::{Counter, Registry};

/// Log files kept in the folder; a new one begins each day (UTC).
pub const MAX_FILES: usize = 14;
/// Lines that may wait for the disk or the terminal. Beyond it lines are dropped and counted: a slow log must not slow requests.
const MAX_WAITING_LINES: usize = 16_384;

/// How lines look on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people, in colour.
    Pretty,
}

impl LogFormat {
    fn is_json(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => !is_terminal,
            Self::Json => true,
            Self::Pretty => false,
        }
    }
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(LogError::Format),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

/// What is logged, how, and where.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look on standard output. Files are always JSON.
    pub format: LogFormat,
    /// Levels, in the form `info,sluice_relay_node=debug`.
    pub filter: String,
    /// The folder for log files, beside standard output. None: no files.
    pub log_dir: Option<PathBuf>,
    /// How file names begin: `sluice-relay` makes `sluice-relay.2026-11-21.log`.
    pub file_prefix: &'static str,
}

/// Logging that cannot begin, or a level that cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The format is none of the three.
    #[error("the log format must be auto, json or pretty")]
    Format,
    /// The filter does not parse.
    #[error("cannot read log filter {filter:?}")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Files cannot be written in the folder.
    #[error("cannot write log files in {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Logging has begun already.
    #[error("logging has begun already")]
    Begun,
    /// Logging has ended.
    #[error("logging has ended")]
    Ended,
}

impl LogError {
    /// The error with its causes on one line, after the name of the setting that is to blame.
    #[must_use]
    pub fn told(&self) -> String {
        let setting = match self {
            Self::Format => "SLUICE_LOG_FORMAT: ",
            Self::Filter { .. } => "SLUICE_LOG: ",
            Self::Folder { .. } => "SLUICE_LOG_DIR: ",
            Self::Begun | Self::Ended => "",
        };
        format!("{setting}{}", Chain(self)).replace('\n', " ")
    }
}

/// Keeps logging alive. Drop it last: it writes out what waits.
#[derive(Debug)]
pub struct Logs {
    filter: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
    dropped: Vec<ErrorCounter>,
    _writers: Vec<WorkerGuard>,
}

/// Begins to log, for the whole process.
///
/// # Errors
/// When the filter does not parse, the folder cannot be written, or logging has begun already.
pub fn init(settings: &LogSettings) -> Result<Logs, LogError> {
    let is_terminal = io::stdout().is_terminal();
    let (subscriber, logs) = build(settings, io::stdout(), is_terminal)?;
    subscriber.try_init().map_err(|_| LogError::Begun)?;
    Ok(logs)
}

/// Declares the metric that dropped lines are counted by.
pub fn declare(registry: &Registry) -> Counter {
    registry.counter("sluice_process_log_dropped_lines_total", "Log lines dropped because writing them took too long.")
}

impl Logs {
    /// Changes what is logged, at once.
    ///
    /// # Errors
    /// When the filter does not parse; the previous one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        self.filter.reload(parse_filter(filter)?).map_err(|_| LogError::Ended)
    }

    /// What is logged, in the form of the setting.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Shows the lines that were dropped because the disk or the terminal was too slow, as a metric.
    pub fn observe(&self, registry: &Registry) {
        let dropped_lines = declare(registry);
        let dropped = self.dropped.clone();
        registry.before_render(move || {
            let total: usize = dropped.iter().map(ErrorCounter::dropped_lines).sum();
            dropped_lines.set_total(u64::try_from(total).unwrap_or(u64::MAX));
        });
    }
}

fn build<W>(
    settings: &LogSettings,
    stdout: W,
    is_terminal: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Logs), LogError>
where
    W: Write + Send + 'static,
{
    let (filter, handle) = reload::Layer::new(parse_filter(&settings.filter)?);
    let (stdout, stdout_guard) = writer("log-stdout", stdout);
    let (mut dropped, mut writers) = (vec![stdout.error_counter()], vec![stdout_guard]);
    let on_stdout = if settings.format.is_json(is_terminal) {
        json(stdout).boxed()
    } else {
        tracing_subscriber::fmt::layer().with_ansi(is_terminal).with_writer(stdout).boxed()
    };
    let mut in_file = None;
    if let Some(file) = daily_file(settings)? {
        let (file, guard) = writer("log-file", file);
        dropped.push(file.error_counter());
        writers.push(guard);
        in_file = Some(json(file));
    }
    let subscriber = tracing_subscriber::registry().with(filter).with(on_stdout).with(in_file);
    Ok((subscriber, Logs { filter: handle, dropped, _writers: writers }))
}

fn json<S>(writer: NonBlocking) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

fn writer(thread: &str, target: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).lossy(true).thread_name(thread).finish(target)
}

fn daily_file(settings: &LogSettings) -> Result<Option<RollingFileAppender>, LogError> {
    let Some(folder) = &settings.log_dir else { return Ok(None) };
    let unusable = |source| LogError::Folder { folder: folder.clone(), source };
    // the appender would write to standard error by itself about a folder that is none
    std::fs::create_dir_all(folder).map_err(unusable)?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(settings.file_prefix)
        .filename_suffix("log")
        .max_log_files(MAX_FILES)
        .build(folder)
        .map(Some)
        .map_err(|error| unusable(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::{debug, info, subscriber::with_default};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn settings(filter: &str) -> LogSettings {
        LogSettings { format: LogFormat::Auto, filter: filter.to_owned(), log_dir: None, file_prefix: "sluice-test" }
    }

    #[test]
    fn away_from_a_terminal_lines_are_json_with_fields_of_their_own() {
        let page = Page::default();
        let (subscriber, logs) = build(&settings("info"), page.clone(), false).unwrap();
        with_default(subscriber, || info!(channel.id = 7, "channel 7 is back"));
        drop(logs);
        let text = page.text();
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
        assert!(text.contains("\"message\":\"channel 7 is back\"") && text.contains("\"channel.id\":7"), "{text}");
    }

    #[test]
    fn on_a_terminal_lines_are_for_people() {
        let page = Page::default();
        let (subscriber, logs) = build(&settings("info"), page.clone(), true).unwrap();
        with_default(subscriber, || info!("hello"));
        drop(logs);
        assert!(page.text().contains("hello") && !page.text().starts_with('{'), "{}", page.text());
    }

    #[test]
    fn the_level_changes_while_running_and_a_bad_one_changes_nothing() {
        let page = Page::default();
        let (subscriber, logs) = build(&settings("info"), page.clone(), false).unwrap();
        with_default(subscriber, || {
            debug!("first");
            logs.set_filter("debug").unwrap();
            debug!("second");
            assert!(matches!(logs.set_filter("sluice=loud"), Err(LogError::Filter { .. })));
            debug!("third");
            assert_eq!(logs.filter(), "debug");
        });
        drop(logs);
        let text = page.text();
        assert!(!text.contains("first") && text.contains("second") && text.contains("third"), "{text}");
    }

    #[test]
    fn a_folder_gets_dated_files_of_json_beside_standard_output() {
        let folder = tempfile::tempdir().unwrap();
        let page = Page::default();
        let with_dir = LogSettings { log_dir: Some(folder.path().join("logs")), ..settings("info") };
        let (subscriber, logs) = build(&with_dir, page.clone(), true).unwrap();
        with_default(subscriber, || info!("both"));
        drop(logs);
        let files: Vec<_> = fs::read_dir(folder.path().join("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("sluice-test."), "{name}");
        assert_eq!(files[0].extension().unwrap(), "log");
        assert!(fs::read_to_string(&files[0]).unwrap().starts_with('{'));
        assert!(page.text().contains("both"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let with_dir = LogSettings { log_dir: Some(folder.path().join("file")), ..settings("info") };
        let error = build(&with_dir, Page::default(), true).map(drop).unwrap_err();
        assert!(error.to_string().ends_with("/file"), "{error}");
        assert!(error.told().starts_with("SLUICE_LOG_DIR: cannot write log files in "), "{}", error.told());
    }

    #[test]
    fn formats_are_read_by_name() {
        for format in [LogFormat::Auto, LogFormat::Json, LogFormat::Pretty] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
