//! What relays know: resources, diff and apply, and the compiled tables.
