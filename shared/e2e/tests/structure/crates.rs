//! What a crate may know.

use toml::{Table, Value};

use crate::tree::{assert_none, root, rust_files};

const SHARED: &[&str] =
    &["billing", "dialect", "domain", "limits", "providers", "routing", "rpc", "sealed", "snapshot", "telemetry", "upstream"];

/// Which of our crates each may depend on. The table of ARCHITECTURE, read by a machine.
fn may_know(name: &str) -> Option<Vec<&'static str>> {
    let some: &[&str] = match name {
        "domain" | "telemetry" | "migrations" => &[],
        "billing" | "dialect" | "limits" | "sealed" | "testkit" => &["domain"],
        "snapshot" => &["domain", "billing"],
        "routing" | "rpc" => &["domain", "billing", "snapshot"],
        "providers" => &["domain", "dialect"],
        "upstream" => &["domain", "dialect", "providers"],
        "control-plane" => return Some([SHARED, &["migrations"]].concat()),
        "relay-node" => SHARED,
        "standalone" => return Some([SHARED, &["control-plane", "relay-node"]].concat()),
        // the simulation runs the state machines of both halves against each other
        "e2e" => return Some([SHARED, &["control-plane", "relay-node", "testkit"]].concat()),
        _ => return None,
    };
    Some(some.to_vec())
}

/// Crates that compute and do nothing else.
const PURE: &[&str] = &["domain", "billing", "routing", "snapshot", "dialect", "providers"];

/// What would let a pure crate reach the world.
const IMPURE: &[&str] = &[
    "axum",
    "backon",
    "clap",
    "fred",
    "getrandom",
    "governor",
    "hyper",
    "hyper-util",
    "metrics",
    "moka",
    "reqwest",
    "rustix",
    "sea-orm",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tower",
    "tower-http",
    "tracing",
    "tracing-appender",
    "tracing-subscriber",
];

/// Crates of others that only some of ours may use.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx", &["control-plane", "migrations", "testkit", "e2e"]),
    ("sea-orm", &["control-plane", "migrations", "testkit", "e2e"]),
    ("sea-orm-migration", &["control-plane", "migrations"]),
    ("metrics", &["telemetry"]),
    ("metrics-exporter-prometheus", &["telemetry"]),
    ("metrics-process", &["telemetry"]),
    ("chacha20poly1305", &["sealed"]),
    ("prost", &["rpc", "control-plane", "relay-node", "e2e"]),
];

struct Crate {
    /// Without `sluice-`.
    name: String,
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    is_dev: bool,
    spec: Value,
}

impl Crate {
    fn uses(&self, name: &str) -> bool {
        self.dependencies.iter().any(|dependency| dependency.name == name && !dependency.is_dev)
    }
}

fn read(path: &str) -> Table {
    std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

fn members() -> Vec<Crate> {
    let mut folders = vec!["control-plane".to_owned(), "relay-node".to_owned(), "migrations".to_owned()];
    for entry in std::fs::read_dir(root().join("shared")).unwrap() {
        let folder = format!("shared/{}", entry.unwrap().file_name().to_string_lossy());
        if root().join(&folder).join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.iter().map(|folder| member(&format!("{folder}/Cargo.toml"))).collect()
}

fn member(manifest: &str) -> Crate {
    let table = read(manifest);
    let name = table["package"]["name"].as_str().unwrap();
    let mut dependencies = Vec::new();
    for (section, is_dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        for (name, spec) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            dependencies.push(Dependency { name: name.clone(), is_dev, spec: spec.clone() });
        }
    }
    let name = name.strip_prefix("sluice-").unwrap_or(name).to_owned();
    Crate { name, manifest: manifest.to_owned(), dependencies }
}

#[test]
fn a_crate_knows_only_the_crates_below_it() {
    let mut offenders = Vec::new();
    for member in members() {
        let Some(allowed) = may_know(&member.name) else {
            offenders.push(format!("{}: not in the table", member.manifest));
            continue;
        };
        for dependency in &member.dependencies {
            let Some(known) = dependency.name.strip_prefix("sluice-") else { continue };
            let for_tests = dependency.is_dev && known == "testkit";
            if !allowed.contains(&known) && !for_tests {
                offenders.push(format!("{} -> {known}", member.name));
            }
        }
    }
    assert_none(offenders, "Move what is needed to a crate below both, or change the table with a reason.");
}

#[test]
fn neither_half_knows_the_other_and_only_standalone_knows_both() {
    let knows =
        |member: &Crate, other: &str| member.dependencies.iter().any(|dependency| dependency.name == format!("sluice-{other}"));
    let offenders = members().into_iter().filter_map(|member| {
        let both = knows(&member, "control-plane") || knows(&member, "relay-node");
        (both && !["standalone", "e2e"].contains(&member.name.as_str())).then_some(member.manifest)
    });
    assert_none(offenders, "The halves meet in shared/standalone and over gRPC.");
}

#[test]
fn the_simulator_is_in_no_program() {
    let offenders = members().into_iter().filter(|member| member.name != "e2e" && member.uses("sluice-testkit"));
    assert_none(offenders.map(|member| member.manifest), "testkit is for tests: name it in [dev-dependencies].");
}

#[test]
fn pure_crates_have_no_dependency_that_reaches_the_world() {
    let mut offenders = Vec::new();
    for member in members().iter().filter(|member| PURE.contains(&member.name.as_str())) {
        offenders.extend(IMPURE.iter().filter(|name| member.uses(name)).map(|name| format!("{} -> {name}", member.name)));
    }
    assert_none(offenders, "Pure crates get values and return values; whoever calls them does the I/O.");
}

#[test]
fn pure_crates_read_no_clock_randomness_environment_or_file() {
    let reaching = [
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "TcpStream",
        "UdpSocket",
        "rand::rng(",
        "rand::random",
        "thread_rng",
        "OsRng",
        "SysRng",
    ];
    let is_pure = |path: &str| PURE.iter().any(|name| path.starts_with(&format!("shared/{name}/src/")));
    let mut offenders = Vec::new();
    for file in rust_files().iter().filter(|file| is_pure(&file.path) && !file.is_test()) {
        for (number, line) in file.production_lines() {
            if reaching.iter().any(|word| line.contains(word)) {
                offenders.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(offenders, "Take the value as a parameter.");
}

#[test]
fn crates_with_one_home_are_used_nowhere_else() {
    let mut offenders = Vec::new();
    for member in members() {
        for (name, homes) in RESERVED {
            if member.uses(name) && !homes.contains(&member.name.as_str()) {
                offenders.push(format!("{} uses {name}, which belongs to {}", member.manifest, homes.join(", ")));
            }
        }
    }
    assert_none(offenders, "Use what the home crate offers.");
}

#[test]
fn versions_stand_only_in_the_root_manifest() {
    let mut offenders = Vec::new();
    for member in members() {
        for Dependency { name, is_dev, spec } in &member.dependencies {
            let inherits = spec.get("workspace").and_then(Value::as_bool) == Some(true);
            // features that only tests need must not reach the binaries
            let may_add = |key: &str| *is_dev && key == "features";
            let adds = ["version", "path", "git", "features", "default-features"]
                .iter()
                .any(|key| spec.get(key).is_some() && !may_add(key));
            if !inherits || adds {
                offenders.push(format!("{}: {name}", member.manifest));
            }
        }
    }
    assert_none(offenders, "Write `name.workspace = true`, and version and features in the root Cargo.toml.");
}

#[test]
fn every_crate_keeps_the_lints_and_the_edition_of_the_workspace() {
    let offenders = members().into_iter().filter_map(|member| {
        let table = read(&member.manifest);
        let inherits =
            |value: Option<&Value>| value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true);
        let package = &table["package"];
        let all = inherits(table.get("lints"))
            && ["version", "edition", "license", "publish"].iter().all(|key| inherits(package.get(key)));
        (!all).then_some(member.manifest)
    });
    assert_none(offenders, "Inherit lints, version, edition, license and publish from the workspace.");
}

#[test]
fn every_dependency_of_the_root_is_used() {
    let root = read("Cargo.toml");
    let members = members();
    let declared = root["workspace"]["dependencies"].as_table().unwrap().keys();
    let offenders =
        declared.filter(|name| !members.iter().any(|member| member.dependencies.iter().any(|used| used.name == **name)));
    assert_none(offenders, "Remove the line, or the crate that stopped using it has one too few.");
}
