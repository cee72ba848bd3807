//! A message as it comes out of a stream.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::HeaderMap;
use bytes::Bytes;

/// A message of a stream, with what the stream knows about it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Subject it was published to.
    pub subject: String,
    /// Its bytes, from outside: decode with bounds.
    pub payload: Bytes,
    /// Epoch of the stream: sequences of two epochs cannot be compared.
    pub epoch: Arc<str>,
    /// Sequence in the stream, from 1.
    pub seq: u64,
    /// How often it was delivered, from 1.
    pub delivered: u64,
    /// Messages in the stream behind it that this reader has not been sent yet.
    pub pending: u64,
    /// When the stream stored it, µs since the epoch, on the server's clock.
    pub published_us: u64,
    /// When it came to this process, µs since the epoch, on this host's clock.
    pub arrived_us: i64,
    pub(crate) headers: Option<HeaderMap>,
    /// Subject to which the ack goes.
    pub(crate) reply: async_nats::Subject,
    /// Sequence in the consumer, from 1: a hole means that messages were lost on the way.
    pub(crate) consumer_seq: u64,
}

/// A message that came to a pull without the reply subject of `JetStream`.
#[derive(Debug, thiserror::Error)]
#[error("a message on {subject:?} has no JetStream reply subject")]
pub(crate) struct NotFromStream {
    subject: String,
}

impl Delivery {
    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// Bytes it occupies in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        // Headers of the mesh take about 200 bytes.
        self.payload.len() + self.subject.len() + 200
    }

    pub(crate) fn from_message(message: async_nats::Message, epoch: &Arc<str>) -> Result<Self, NotFromStream> {
        let place = message.reply.as_deref().and_then(Place::parse);
        match (place, message.reply) {
            (Some(place), Some(reply)) => Ok(Self {
                subject: message.subject.into_string(),
                payload: message.payload,
                epoch: Arc::clone(epoch),
                seq: place.stream_seq,
                delivered: place.delivered,
                pending: place.pending,
                published_us: place.published_ns / 1000,
                arrived_us: now_us(),
                headers: message.headers,
                reply,
                consumer_seq: place.consumer_seq,
            }),
            _ => Err(NotFromStream {
                subject: message.subject.into_string(),
            }),
        }
    }
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What the reply subject of a delivered message says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    delivered: u64,
    stream_seq: u64,
    consumer_seq: u64,
    published_ns: u64,
    pending: u64,
}

impl Place {
    /// Parses `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>`
    /// and the longer form `$JS.ACK.<domain>.<account>.<stream>.….<pending>[.<random>]` (nats ADR-15).
    fn parse(reply: &str) -> Option<Self> {
        let tail = reply.strip_prefix("$JS.ACK.")?;
        let tokens = tail.split('.').count();
        // Seven tokens in the short form; nine, ten or more in the long one.
        let skip = match tokens {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = tail.split('.').skip(skip).map(|token| token.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            delivered: next()?,
            stream_seq: next()?,
            consumer_seq: next()?,
            published_ns: next()?,
            pending: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_reply_subject() {
        let place = Place {
            delivered: 1,
            stream_seq: 2,
            consumer_seq: 3,
            published_ns: 4_000,
            pending: 5,
        };
        for reply in [
            "$JS.ACK.DETECTIONS.archiver.1.2.3.4000.5",
            "$JS.ACK._.ACCHASH.DETECTIONS.archiver.1.2.3.4000.5",
            "$JS.ACK.hub.ACCHASH.DETECTIONS.archiver.1.2.3.4000.5.rnd",
        ] {
            assert_eq!(Place::parse(reply).as_ref(), Some(&place), "{reply}");
        }
    }

    #[test]
    fn other_replies_are_none() {
        for reply in [
            "",
            "_INBOX.1",
            "$JS.ACK.",
            "$JS.ACK.a.b.1.2.3.4",
            "$JS.ACK.a.b.1.2.x.4.5",
            "$JS.ACK.a.b.c.1.2.3.4.5",
        ] {
            assert_eq!(Place::parse(reply), None, "{reply}");
        }
    }
}
