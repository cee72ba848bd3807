//! Background tasks of a process, none of which ends unnoticed.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::shutdown::Shutdown;

/// The tasks of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: Shutdown,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl Tasks {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
            failure: Arc::default(),
        }
    }

    /// Runs a task that the shutdown waits for. It must watch [`Shutdown::soft`] itself.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let failure = self.clone();
        let guarded = async move {
            if let Err(panic) = std::panic::AssertUnwindSafe(task).catch_unwind().await {
                failure.fail(name, anyhow::anyhow!("panicked: {}", message_of(&*panic)));
            }
        };
        self.tracker.spawn(guarded.in_current_span());
    }

    /// Runs a task without which the process is of no use: its end begins the shutdown, and its
    /// error, its panic or an end before the shutdown makes the process fail.
    pub fn critical(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let tasks = self.clone();
        self.spawn(name, async move {
            match task.await {
                Ok(()) if tasks.shutdown.soft().is_cancelled() => {}
                Ok(()) => tasks.fail(name, anyhow::anyhow!("ended early")),
                Err(error) => tasks.fail(name, error),
            }
        });
    }

    /// Waits until every task has ended. Returns the first failure.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        self.tracker.close();
        self.tracker.wait().await;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }

    fn fail(&self, name: &'static str, error: anyhow::Error) {
        let error = error.context(format!("task {name} failed"));
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.shutdown.trigger();
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_critical_task_that_ends_fails_the_process() {
        let shutdown = Shutdown::default();
        let tasks = Tasks::new(shutdown.clone());
        tasks.critical("pump", async { Ok(()) });
        shutdown.soft().cancelled().await;
        let error = tasks.drain().await.expect_err("an early end is a failure");
        assert_eq!(format!("{error:#}"), "task pump failed: ended early");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_with_its_message() {
        let tasks = Tasks::new(Shutdown::default());
        tasks.spawn("odd", async { panic!("boom {}", 1) });
        let error = tasks.drain().await.expect_err("a panic is a failure");
        assert!(format!("{error:#}").contains("boom 1"), "{error:#}");
    }

    #[tokio::test]
    async fn a_critical_task_may_end_after_the_soft_token() {
        let shutdown = Shutdown::default();
        let tasks = Tasks::new(shutdown.clone());
        let soft = shutdown.soft();
        tasks.critical("pump", async move {
            soft.cancelled().await;
            Ok(())
        });
        shutdown.trigger();
        tasks.drain().await.expect("a normal end");
    }
}
