//! HTTP to providers.
