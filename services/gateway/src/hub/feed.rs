//! The one reader of DETECTIONS in this process.

use std::sync::Arc;
use std::time::Duration;

use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::{headers, subject};
use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::{Delivery, Mesh, StreamError, stream_state, topology};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::event::Event;
use crate::spans::{FanOut, Spans};

/// Events that are read before clients may come, so that those who come back after a restart are
/// served out of memory.
const PREFILL: u64 = 5_000;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Follows the stream until the token is cancelled, through outages and new epochs.
pub async fn follow(hub: Arc<Hub>, spans: Spans, mesh: Mesh, part: Part, until: CancellationToken) {
    let following = async {
        topology::wait(&mesh).await;
        let mut wait = FIRST_WAIT;
        loop {
            match follow_epoch(&hub, &spans, &mesh, &part, &mut wait).await {
                TailError::Epoch { epoch } => {
                    tracing::warn!(epoch, "DETECTIONS has a new epoch, clients come back to it");
                }
                TailError::Stream(error) => {
                    tracing::warn!(%error, retry_ms = wait.as_millis() as u64, "couldn't follow DETECTIONS");
                    part.down(error.to_string());
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = hub.keep_beat() => {}
        () = until.cancelled() => {}
    }
}

/// Follows one epoch. Returns why it ended.
async fn follow_epoch(hub: &Hub, spans: &Spans, mesh: &Mesh, part: &Part, wait: &mut Duration) -> TailError {
    match prefill(hub, mesh).await {
        Ok(mut tail) => {
            hub.open();
            part.up();
            *wait = FIRST_WAIT;
            loop {
                match tail.next().await {
                    Ok(delivery) => hand_over(hub, &delivery, Some(spans)),
                    Err(error) => return error,
                }
            }
        }
        Err(error) => error,
    }
}

/// Opens the tail a little before the stream's end and reads up to it.
async fn prefill(hub: &Hub, mesh: &Mesh) -> Result<Tail, TailError> {
    let unavailable = |error: StreamError| TailError::Stream(error);
    let state = stream_state(mesh, subject::DETECTIONS).await.map_err(unavailable)?;
    let oldest = state.first_seq.saturating_sub(1);
    let floor = state.last_seq.saturating_sub(PREFILL).max(oldest.min(state.last_seq));
    hub.reset(&state.epoch, floor);
    let mut tail = Tail::open(mesh, subject::DETECTIONS, Start::After(floor), None)
        .await
        .map_err(unavailable)?;
    if tail.epoch() != state.epoch {
        return Err(TailError::Epoch {
            epoch: tail.epoch().to_owned(),
        });
    }
    while tail.position() < state.last_seq && state.messages > 0 {
        let delivery = tail.next().await?;
        // Nobody waited for what lies before this process's start.
        hand_over(hub, &delivery, None);
        if delivery.pending == 0 {
            break;
        }
    }
    Ok(tail)
}

fn hand_over(hub: &Hub, delivery: &Delivery, spans: Option<&Spans>) {
    let carried = delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse);
    let fan_out = carried.filter(|_| spans.is_some());
    let fan_out = fan_out.map(|parent| FanOut::begin(parent, delivery));
    // A sampled message's frame carries the fan-out's context, so that `rendered` becomes its child.
    let trace = fan_out.as_ref().map(FanOut::context).or(carried);
    let error = match Event::read(delivery.seq, delivery.published_us, &delivery.payload, trace) {
        Ok(event) => {
            let event = event.with_fan_out(fan_out);
            hub.accept(&Arc::new(event));
            None
        }
        Err(error) => {
            hub.figures.undecodable.inc();
            let trace_id = carried.map(|carried| format!("{:032x}", carried.trace_id()));
            tracing::warn!(trace_id, seq = delivery.seq, subject = delivery.subject, %error, "left out a message that is no event");
            hub.pass_over(delivery.seq);
            Some(error.to_string())
        }
    };
    if let (Some(spans), Some(fan_out)) = (spans, fan_out) {
        spans.end(fan_out, delivery, error);
    }
}
