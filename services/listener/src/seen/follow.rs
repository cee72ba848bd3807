//! What other processes of the mesh find.

use std::sync::Arc;
use std::time::Duration;

use tgmesh_proto::subject;
use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::{Delivery, Mesh, StreamError};
use tokio_util::sync::CancellationToken;

use super::{Memory, Told};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Notes everything that the stream stores after `after`, until the token is cancelled. What this
/// process published itself comes by as well, and changes nothing.
pub async fn follow(memory: Arc<Memory>, mesh: Mesh, after: u64, until: CancellationToken) {
    tokio::select! {
        () = until.cancelled() => {}
        () = follow_on(&memory, &mesh, after) => {}
    }
}

async fn follow_on(memory: &Memory, mesh: &Mesh, mut after: u64) {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match Tail::open(mesh, subject::DETECTIONS, Start::After(after), None).await {
            Ok(mut tail) => loop {
                match tail.next().await {
                    Ok(delivery) => {
                        memory.take(&delivery);
                        wait = FIRST_WAIT;
                        after = delivery.seq;
                    }
                    // What was seen was seen, whatever became of the stream.
                    Err(TailError::Epoch { epoch }) => {
                        tracing::info!(
                            epoch,
                            "DETECTIONS has a new epoch, its addresses are noted from its beginning"
                        );
                        after = 0;
                    }
                    Err(TailError::Stream(error)) => break error,
                }
            },
            Err(error) => error,
        };
        warn(&error, wait);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

impl Memory {
    /// Notes a message of the stream. What is no event is left out: whoever handles events says so.
    pub fn take(&self, delivery: &Delivery) {
        if let Some(told) = Told::read(&delivery.payload) {
            self.note(&told, (delivery.published_us / 1_000_000) as i64);
        }
    }
}

fn warn(error: &StreamError, wait: Duration) {
    tracing::warn!(
        %error,
        retry_ms = wait.as_millis() as u64,
        "couldn't follow DETECTIONS: what other processes find is missing from seen_before until it is made up for"
    );
}
