//! What other processes of the mesh find.

use std::time::Duration;

use tgmesh_proto::subject;
use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::{Delivery, Mesh, StreamError};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Gives everything that the stream stores after `after`. What this process published itself comes
/// by as well. Ends only by being dropped.
pub async fn follow(mesh: &Mesh, mut after: u64, take: impl Fn(&Delivery)) {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match Tail::open(mesh, subject::DETECTIONS, Start::After(after), None).await {
            Ok(mut tail) => loop {
                match tail.next().await {
                    Ok(delivery) => {
                        take(&delivery);
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

fn warn(error: &StreamError, wait: Duration) {
    tracing::warn!(
        %error,
        retry_ms = wait.as_millis() as u64,
        "couldn't follow DETECTIONS: what other processes find is missing from seen_before and for edits until it is made up for"
    );
}
