//! Tasks that shutdown can wait for. Production code spawns nowhere else.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span};

use crate::drain::Drain;

/// Every task of a process. Clones track the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: Drain,
    lost: Arc<Mutex<Option<&'static str>>>,
}

/// How the end of a process went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Every task ended.
    Clean,
    /// The deadline came first.
    TimedOut {
        /// Tasks that were still running.
        remaining: usize,
    },
}

impl Tasks {
    /// No tasks yet, in a process that is up.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal that tells tasks to end.
    #[must_use]
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Starts a task that may end whenever it likes. The name appears in logs.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(work.instrument(info_span!("task", task.name = name)))
    }

    /// Starts one of thousands of tasks, such as a connection. It has no name in logs: what happens in it is told with its requests.
    pub fn spawn_one_of_many<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn(work)
    }

    /// Starts a task the process cannot do without. If it ends or panics before the process is closing, the process closes too,
    /// and [`Tasks::lost`] names it: half a process that looks healthy is worse than a restart.
    pub fn spawn_essential<F>(&self, name: &'static str, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let watch = Watch { name, drain: self.drain.clone(), lost: Arc::clone(&self.lost) };
        self.spawn(name, async move {
            let _watch = watch;
            work.await
        })
    }

    /// How many tasks are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// The essential task that ended too early, if one did. The process should exit with an error.
    #[must_use]
    pub fn lost(&self) -> Option<&'static str> {
        *self.lost.lock()
    }

    /// Closes the process and waits for every task, at most until the deadline. Tasks that are late are left to the runtime, which
    /// drops them when it ends.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        self.drain.close();
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => Shutdown::Clean,
            Err(_) => Shutdown::TimedOut { remaining: self.tracker.len() },
        }
    }
}

/// Dropped when an essential task ends, however it ends.
struct Watch {
    name: &'static str,
    drain: Drain,
    lost: Arc<Mutex<Option<&'static str>>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.drain.is_closing() {
            return;
        }
        error!(task.name = self.name, "task {} ended although the process needs it, closing", self.name);
        self.lost.lock().get_or_insert(self.name);
        self.drain.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn shutdown_waits_for_what_is_in_flight() {
        let tasks = Tasks::new();
        let drain = tasks.drain();
        let task = tasks.spawn("worker", async move {
            drain.closing().await;
            tokio::task::yield_now().await;
            "finished"
        });
        assert_eq!(tasks.running(), 1);
        assert_eq!(tasks.shutdown(LONG).await, Shutdown::Clean);
        assert_eq!(task.await.unwrap(), "finished");
        assert_eq!(tasks.lost(), None);
    }

    #[tokio::test]
    async fn shutdown_gives_up_at_the_deadline_and_counts_the_late() {
        let tasks = Tasks::new();
        tasks.spawn("stuck", std::future::pending::<()>());
        assert_eq!(tasks.shutdown(Duration::ZERO).await, Shutdown::TimedOut { remaining: 1 });
    }

    #[tokio::test]
    async fn losing_an_essential_task_closes_the_process() {
        let tasks = Tasks::new();
        tasks.spawn_essential("link", async {});
        tokio::time::timeout(LONG, tasks.drain().closing()).await.unwrap();
        assert_eq!(tasks.lost(), Some("link"));
    }

    #[tokio::test]
    async fn a_panic_in_an_essential_task_counts_as_losing_it() {
        let tasks = Tasks::new();
        tasks.spawn_essential("spool", async { panic!("broken") });
        tokio::time::timeout(LONG, tasks.drain().closing()).await.unwrap();
        assert_eq!(tasks.lost(), Some("spool"));
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_because_it_was_told_to_is_not_lost() {
        let tasks = Tasks::new();
        tasks.spawn_essential("link", tasks.drain().closing());
        assert_eq!(tasks.shutdown(LONG).await, Shutdown::Clean);
        assert_eq!(tasks.lost(), None);
    }
}
