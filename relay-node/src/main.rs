//! `sluice-relay`: one relay node as a process of its own.

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sluice_relay_node::command::main("sluice-relay", std::env::args_os().skip(1))
}
