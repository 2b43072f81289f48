//! Encryption at rest, key digests and derived keys.
