//! The simulator as a program, and the throw-away servers.

mod program;
mod servers;
