//! Generated gRPC code and its conversions to domain types.
