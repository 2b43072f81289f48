//! Candidates in, ordered attempts with reasons out: pure.
