//! Logs, metrics, health, tasks and drain.
