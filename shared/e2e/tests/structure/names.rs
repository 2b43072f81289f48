//! Names that say something, and names that must not be here.

use crate::tree::{assert_none, files};

#[test]
fn files_and_folders_are_named_by_an_idea() {
    let empty = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"];
    let says_nothing = |part: &str| empty.contains(&part.split('.').next().unwrap_or_default());
    let offenders = files().into_iter().filter(|file| file.path.split('/').any(says_nothing)).map(|file| file.path);
    assert_none(offenders, "Name it by what it is about.");
}

#[test]
fn no_path_of_somebodys_machine_is_in_the_tree() {
    // In pieces, so that this file passes its own test.
    let homes = ["ho", "ro", "wo", "fa", "Us"].into_iter().zip(["me/", "ot/", "rk/", "rm/", "ers/"]);
    let roots: Vec<String> = homes.map(|(start, end)| format!("/{start}{end}")).collect();
    let mut offenders = Vec::new();
    for file in files().iter().filter(|file| !file.has_extension(&["lock", "svg"])) {
        for (number, line) in file.lines() {
            if roots.iter().any(|root| begins_path(line, root)) {
                offenders.push(format!("{}:{number}: {}", file.path, line.trim().chars().take(120).collect::<String>()));
            }
        }
    }
    assert_none(offenders, "Use a relative path, or one made at run time.");
}

/// Whether an absolute path begins with this folder, and not merely goes through one of that name (`/api/work/`, `https://x/home/`).
fn begins_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_./-}~$".contains(c))
    })
}

#[test]
fn packages_come_from_the_public_registries() {
    let mut offenders = Vec::new();
    for file in files() {
        let is_lock = file.path.ends_with("package-lock.json");
        for (number, line) in file.lines() {
            let resolved =
                is_lock && line.trim_start().starts_with("\"resolved\":") && !line.contains("\"https://registry.npmjs.org/");
            let source = file.path.ends_with("Cargo.lock")
                && line.starts_with("source = ")
                && !line.contains("github.com/rust-lang/crates.io-index\"");
            let setting = file.path.rsplit('/').next() == Some(".npmrc") && line.contains("registry=");
            let replaced = file.path.contains(".cargo/") && (line.contains("[source") || line.contains("[registries"));
            if resolved || source || setting || replaced {
                offenders.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(offenders, "Whoever uses a mirror sets it in their own configuration.");
}

#[test]
fn at_the_root_is_only_what_belongs_there() {
    let known = [
        ".ci",
        ".dockerignore",
        ".github",
        ".gitattributes",
        ".gitignore",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Makefile",
        "README.md",
        "charts",
        "clippy.toml",
        "control-plane",
        "deny.toml",
        "docker",
        "docs",
        "migrations",
        "proto",
        "relay-node",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "shared",
    ];
    let mut tops: Vec<String> = files().iter().filter_map(|file| file.path.split('/').next().map(str::to_owned)).collect();
    tops.sort();
    tops.dedup();
    let offenders = tops.into_iter().filter(|top| !known.contains(&top.as_str()) && !top.starts_with("README."));
    assert_none(offenders, "The layout of the root is fixed; docs/ takes documents, shared/ takes crates.");
}
