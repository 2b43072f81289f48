//! Whose code we ship. `deny.toml` is the list; cargo-deny reads it too, and sees more, but is not everywhere.

use std::collections::BTreeSet;
use std::process::Command;

use toml::{Table, Value};

use crate::tree::{assert_none, root};

fn table(path: &str) -> Table {
    std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Whether a licence expression can be met with the allowed licences alone. `/` is how OR was written before SPDX.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "\u{1}WITH\u{1}");
    let tokens: Vec<String> = spaced.split_whitespace().map(|token| token.replace('\u{1}', " ")).collect();
    let mut rest = tokens.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[String], allowed: &[String]) -> bool {
    let mut met = all_of(rest, allowed);
    while take(rest, "OR") {
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[String], allowed: &[String]) -> bool {
    let mut met = one(rest, allowed);
    while take(rest, "AND") {
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[String], allowed: &[String]) -> bool {
    if take(rest, "(") {
        return any_of(rest, allowed) & take(rest, ")");
    }
    let Some((name, after)) = rest.split_first() else { return false };
    *rest = after;
    allowed.contains(name)
}

fn take(rest: &mut &[String], token: &str) -> bool {
    let Some(after) = rest.split_first().filter(|(first, _)| *first == token).map(|(_, after)| after) else { return false };
    *rest = after;
    true
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND (ISC OR GPL-3.0)", "Apache-2.0 WITH LLVM-exception OR GPL-3.0"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", "MIT ISC", "(MIT"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn every_dependency_has_a_licence_we_may_use() {
    let licenses = &table("deny.toml")["licenses"];
    let allowed = words(&licenses["allow"]);
    let exceptions: Vec<(String, Vec<String>)> = licenses["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exception| (exception["crate"].as_str().unwrap().to_owned(), words(&exception["allow"])))
        .collect();
    let mut cargo = Command::new(env!("CARGO"));
    let tree = cargo
        .current_dir(root())
        .args(["tree", "--locked", "--workspace", "--prefix", "none", "--format", "{p}|{l}"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let listed = String::from_utf8(tree.stdout).unwrap();
    let packages: BTreeSet<(&str, &str)> =
        listed.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')).collect();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let offenders = packages.into_iter().filter(|(package, license)| {
        let name = package.split(' ').next().unwrap_or_default();
        let excepted = exceptions.iter().filter(|(krate, _)| krate == name).flat_map(|(_, allowed)| allowed.clone());
        !is_met(license, &allowed.iter().cloned().chain(excepted).collect::<Vec<_>>())
    });
    assert_none(offenders.map(|(package, license)| format!("{package}: {license}")), "See [licenses] in deny.toml.");
}

#[test]
fn banned_crates_are_not_even_in_the_lock_file() {
    let deny = table("deny.toml");
    let banned = deny["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap());
    let lock = table("Cargo.lock");
    let locked: Vec<&str> = lock["package"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_none(banned.filter(|name| locked.contains(name)), "TLS is rustls with ring, and only that.");
}
