//! The provider catalogue: addresses, authentication, hooks: pure.
