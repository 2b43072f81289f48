//! The provider simulator and throw-away servers: tests only.
