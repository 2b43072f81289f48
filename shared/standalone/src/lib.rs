//! Both halves in one process: the sluice binary.
