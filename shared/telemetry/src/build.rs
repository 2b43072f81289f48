//! Which build this is.

/// The release, from the workspace manifest: `1.2.3`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The source revision, where the build was given one in `SLUICE_BUILD_REVISION` (images and releases are), else `dev`.
///
/// The build does not ask git itself: it must work without one, and would compile everything anew after each commit.
pub const REVISION: &str = match option_env!("SLUICE_BUILD_REVISION") {
    Some(revision) => revision,
    None => "dev",
};

/// Both, for `--version` and the first log line: `1.2.3 (a1b2c3d)`.
#[must_use]
pub fn version_line() -> String {
    format!("{VERSION} ({REVISION})")
}
