//! Rate limits by GCRA.
