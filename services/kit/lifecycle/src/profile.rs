//! Profiles of the running process, in pprof's format, where `PPROF_LISTEN` is set.
//!
//! `/debug/pprof/profile?seconds=10` samples the processor, `/debug/pprof/heap` shows where the
//! memory in use was allocated. One at a time: two would measure each other.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use pprof::protos::Message as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::http::{Method, StatusCode};

use crate::http::{self, Request, Response};

/// Seconds when none are asked for, and most.
const SECONDS: (u64, u64) = (10, 120);
/// Samples a second: off the beat of what runs every 10 ms.
const FREQUENCY_HZ: i32 = 99;
/// jemalloc reads it before anything else runs; what it says cannot be changed later.
const MALLOC_CONF: &str = "_RJEM_MALLOC_CONF";
/// A sample every 512 KiB on average: what pprof's own tools take, and not to be noticed.
const SAMPLING: &str = "prof:true,prof_active:true,lg_prof_sample:19";

/// Makes the allocator note where memory comes from, by starting this program once more in place:
/// jemalloc decides it before `main`. Does nothing where an operator set the variable.
pub(crate) fn prepare_heap() {
    if std::env::var_os(MALLOC_CONF).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    // It comes back only when it failed; then `/debug/pprof/heap` says that it is off.
    let _ = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(MALLOC_CONF, SAMPLING)
        .exec();
}

/// Serves profiles until the token is cancelled.
pub(crate) async fn serve(listener: TcpListener, until: CancellationToken) {
    let turn = Arc::new(Semaphore::new(1));
    let handler = move |request: Request| {
        let turn = Arc::clone(&turn);
        async move { answer(&request, &turn).await }
    };
    http::serve(listener, handler, until).await;
}

async fn answer(request: &Request, turn: &Semaphore) -> Response {
    if request.method != Method::GET {
        return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    let is_heap = match request.path.as_str() {
        "/debug/pprof/heap" => true,
        "/debug/pprof/profile" => false,
        _ => {
            return Response::error(
                StatusCode::NOT_FOUND,
                "there are /debug/pprof/profile?seconds= and /debug/pprof/heap",
            );
        }
    };
    let seconds = match request.parameter("seconds").map(str::parse::<u64>) {
        None => SECONDS.0,
        Some(Ok(seconds)) if (1..=SECONDS.1).contains(&seconds) => seconds,
        Some(_) => {
            let most = SECONDS.1;
            return Response::error(StatusCode::BAD_REQUEST, &format!("seconds must be 1 to {most}"));
        }
    };
    let Ok(_turn) = turn.try_acquire() else {
        return Response::error(StatusCode::TOO_MANY_REQUESTS, "a profile is being taken already");
    };
    let taken = if is_heap {
        heap().await
    } else {
        processor(Duration::from_secs(seconds)).await
    };
    match taken {
        Ok(profile) => Response {
            status: StatusCode::OK,
            content_type: "application/octet-stream",
            body: Bytes::from(profile),
        },
        Err(error) => Response::error(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}")),
    }
}

async fn processor(duration: Duration) -> anyhow::Result<Vec<u8>> {
    let profiler = pprof::ProfilerGuardBuilder::default()
        .frequency(FREQUENCY_HZ)
        // A signal may come while these hold a lock that the unwinder needs.
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .context("couldn't start the profiler")?;
    tokio::time::sleep(duration).await;
    // Finding the names takes a while.
    let profile = tokio::task::spawn_blocking(move || {
        let report = profiler.report().build().context("couldn't read the samples")?;
        let profile = report.pprof().context("couldn't write the profile")?;
        anyhow::Ok(profile.encode_to_vec())
    });
    profile.await.context("the profiler panicked")?
}

async fn heap() -> anyhow::Result<Vec<u8>> {
    let control = jemalloc_pprof::PROF_CTL
        .as_ref()
        .with_context(|| format!("the allocator takes no samples: {MALLOC_CONF} must have prof:true at the start"))?;
    let mut control = Arc::clone(control).lock_owned().await;
    let profile = tokio::task::spawn_blocking(move || control.dump_pprof());
    profile.await.context("the profiler panicked")?
}
