//! Compiles the protocol without a system `protoc`.

use std::path::{Path, PathBuf};

/// Messages that hold secrets: their `Debug` is written by hand, and shows none.
const SECRETS: [&str; 3] = [".sluice.relay.v1.Channel", ".sluice.relay.v1.ChannelKey", ".sluice.relay.v1.RegisterReply"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files: Vec<PathBuf> =
        ["node", "config", "lease", "usage"].iter().map(|name| root.join(format!("sluice/relay/v1/{name}.proto"))).collect();
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(&files, [&root])?;
    tonic_prost_build::configure().bytes(".").btree_map(".").skip_debug(SECRETS).compile_fds(descriptors)?;
    Ok(())
}
