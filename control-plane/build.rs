//! Makes sure that the folder of the built console is there, so that it can be embedded. It never builds the console: that takes Node,
//! and this must not.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let dist = Path::new("web/dist");
    // an empty folder is enough: the binary then shows a page that says how to build the console
    std::fs::create_dir_all(dist)?;
    println!("cargo:rerun-if-changed={}", dist.display());
    Ok(())
}
