//! An event on its way to the stream, whatever kind it is.

use bytes::Bytes;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::codec::EncodeError;
use tgmesh_proto::id::EventId;
use tgmesh_stream::publish::Outgoing;

use super::Worker;
use crate::checkpoint::UnderWay;
use crate::journey::Departure;

/// An event that is ready to go.
pub(super) struct Parcel {
    pub(super) subject: String,
    pub(super) id: EventId,
    pub(super) payload: Result<Vec<u8>, EncodeError>,
    /// Its span, which ends with the ack.
    pub(super) departure: Option<Departure>,
    /// Nothing for a message of the past, which nobody waits for.
    pub(super) received_us: Option<i64>,
    /// The chapter and message whose detection it is; nothing for a match.
    pub(super) detection_of: Option<(i64, i32)>,
}

impl Worker {
    /// Hands an event to the publisher; waits only while too many are under way. `context` is that
    /// of the parcel's span.
    pub(super) async fn send(&self, parcel: Parcel, context: &TraceParent, events: &mut Vec<UnderWay>) {
        let payload = match parcel.payload {
            Ok(payload) => Bytes::from(payload),
            Err(error) => {
                let trace_id = format!("{:032x}", context.trace_id());
                tracing::error!(id = %parcel.id, trace_id, subject = parcel.subject, %error, "an event cannot be published");
                self.stats.publish_failures.inc();
                return;
            }
        };
        let outgoing = Outgoing {
            subject: parcel.subject,
            id: parcel.id,
            traceparent: context.to_string(),
            payload,
        };
        let receipt = self.publisher.publish(outgoing).await;
        events.push(UnderWay {
            receipt,
            received_us: parcel.received_us,
            departure: parcel.departure,
            detection_of: parcel.detection_of,
        });
    }
}
