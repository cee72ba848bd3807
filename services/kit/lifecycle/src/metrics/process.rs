//! What every process tells of itself: whether it is ready, what it occupies, how its runtime is.

use std::fmt::Display;

use tokio::runtime::Handle;

use super::Labels;
use super::page::Page;
use crate::memory;

/// Writes them to the page.
pub(super) fn write(page: &mut Page, started_ms: i64, is_ready: bool) {
    let gauge = |page: &mut Page, name: &str, help: &str, value: &dyn Display| {
        page.family(name, "gauge", help);
        page.sample(name, &Labels::new(), value);
    };
    gauge(
        page,
        "ready",
        "1 while every part that this process needs is up",
        &u8::from(is_ready),
    );
    gauge(
        page,
        "start_time_seconds",
        "Start of this process since the epoch",
        &(started_ms / 1000),
    );
    gauge(
        page,
        "resident_memory_bytes",
        "Resident memory of this process",
        &memory::rss_bytes(),
    );
    gauge(
        page,
        "heap_bytes",
        "Allocated heap of this process",
        &memory::heap_bytes(),
    );
    gauge(
        page,
        "open_fds",
        "Open file descriptors of this process",
        &memory::open_fds(),
    );
    gauge(
        page,
        "max_fds",
        "File descriptors that this process may open",
        &memory::max_fds(),
    );
    let name = "cpu_seconds_total";
    page.family(name, "counter", "Processor time that this process used");
    page.sample(name, &Labels::new(), memory::cpu_seconds());

    // A page that is asked for outside of a runtime, as in a unit test, has none to tell of.
    let Ok(runtime) = Handle::try_current() else { return };
    let runtime = runtime.metrics();
    gauge(
        page,
        "runtime_workers",
        "Worker threads of the async runtime",
        &runtime.num_workers(),
    );
    gauge(
        page,
        "runtime_alive_tasks",
        "Tasks of the async runtime that have not ended",
        &runtime.num_alive_tasks(),
    );
    let waiting = "Tasks that wait in the async runtime's shared queue for a worker";
    gauge(page, "runtime_queued_tasks", waiting, &runtime.global_queue_depth());
    #[cfg(target_has_atomic = "64")]
    {
        let workers = 0..runtime.num_workers();
        let name = "runtime_busy_seconds_total";
        page.family(
            name,
            "counter",
            "Time that the async runtime's workers were busy, together",
        );
        let busy: f64 = workers
            .clone()
            .map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64())
            .sum();
        page.sample(name, &Labels::new(), busy);
        let name = "runtime_parks_total";
        page.family(
            name,
            "counter",
            "Times that a worker of the async runtime had nothing to do",
        );
        let parks: u64 = workers.map(|worker| runtime.worker_park_count(worker)).sum();
        page.sample(name, &Labels::new(), parks);
    }
}
