//! The files of the repository, and how a rule reports who broke it.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the repository.
pub(crate) struct File {
    /// Where it is, from the root, with `/`.
    pub(crate) path: String,
    /// Its text; empty for a file that is not text.
    pub(crate) text: String,
}

impl File {
    /// The lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// The lines before the tests of a Rust file, without comments. Tests are a module that is written out at the end; what else is
    /// marked as theirs, such as the name of a file, ends nothing.
    pub(crate) fn production_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let begins_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
        let end = lines.windows(2).position(begins_tests).unwrap_or(lines.len());
        let numbered = lines.into_iter().take(end).enumerate();
        numbered.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
    }

    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    }

    /// Whether it is only there for tests or benches.
    pub(crate) fn is_test(&self) -> bool {
        let in_folder = |folder: &str| self.path.split('/').any(|part| part == folder);
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let named = |part: &str| name.contains(part);
        ["tests", "benches", "testkit", "e2e", "test"].into_iter().any(in_folder)
            || name == "tests.rs"
            || named("_tests.rs")
            || named(".test.")
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file that is, or would be, committed.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let paths = from_git(&root).unwrap_or_else(|| walk(&root));
    assert!(paths.len() > 50, "only {} files found", paths.len());
    paths
        .into_iter()
        .filter(|path| root.join(path).is_file())
        .map(|path| {
            let bytes = std::fs::read(root.join(&path)).unwrap();
            File { path, text: String::from_utf8(bytes).unwrap_or_default() }
        })
        .collect()
}

pub(crate) fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.has_extension(&["rs"])).collect()
}

fn from_git(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    let listed = git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output().ok()?;
    let text = String::from_utf8(listed.stdout).ok()?;
    listed.status.success().then(|| text.split_terminator('\0').map(str::to_owned).collect())
}

/// For a source archive, where there is no git.
fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", "dist", ".git", "data"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// Fails with the list of offenders and what to do about them.
pub(crate) fn assert_none<T: Display>(offenders: impl IntoIterator<Item = T>, remedy: &str) {
    let listed: Vec<String> = offenders.into_iter().map(|offender| format!("  {offender}")).collect();
    assert!(listed.is_empty(), "\n{} found:\n{}\n{remedy}\n", listed.len(), listed.join("\n"));
}

#[test]
fn production_code_goes_on_after_what_is_marked_for_tests() {
    let text = "mod a;\n#[cfg(test)]\nmod reference;\nfn one() {} // why\n#[cfg(test)]\nfn seam() {}\nfn two() {}\n\
                #[cfg(test)]\nmod tests {\nfn three() {}\n}\n";
    let file = File { path: "x.rs".to_owned(), text: text.to_owned() };
    let lines: Vec<_> = file.production_lines().filter(|(_, line)| line.starts_with("fn ")).collect();
    assert_eq!(lines, [(4, "fn one() {} "), (6, "fn seam() {}"), (7, "fn two() {}")]);
}

#[test]
fn both_ways_of_listing_files_find_the_sources() {
    let root = root();
    let walked = walk(&root);
    for path in ["Cargo.toml", "shared/domain/src/lib.rs", "shared/e2e/tests/structure/main.rs"] {
        assert!(walked.iter().any(|found| found == path), "{path} not found by walking");
        assert!(files().iter().any(|file| file.path == path), "{path} not listed");
    }
}
