//! What is inside a decrypted packet: salt, session, and one message that may be a container.

use std::io::Read;

use flate2::read::GzDecoder;
use grammers_tl_types::{Cursor, Deserializable};

const MSG_CONTAINER: u32 = 0x73f1_f8dc;
const GZIP_PACKED: u32 = 0x3072_cfa1;
/// The protocol's limit for messages in one container.
const MAX_CONTAINER: usize = 1_020;
/// Largest body after decompression, in bytes: as much as an uncompressed packet could hold.
const MAX_UNPACKED: usize = super::MAX_PACKET_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("the message ends early")]
    Short,
    #[error("the padding has {0} bytes, not 12 to 1024")]
    Padding(usize),
    #[error("the container is nested or too long")]
    Container,
    #[error("the packed body does not unpack")]
    Packed,
}

/// One message as a client sent it, out of its container and unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) seq_no: i32,
    pub(crate) body: Vec<u8>,
}

/// A decrypted packet.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) salt: i64,
    pub(crate) session_id: i64,
    /// The id of the outermost message: what a complaint about the packet names.
    pub(crate) outer_id: i64,
    pub(crate) outer_seq_no: i32,
    pub(crate) messages: Vec<Message>,
}

impl Packet {
    /// Reads a plaintext with its padding.
    ///
    /// # Errors
    /// [`EnvelopeError`] when the structure is not as the protocol says.
    pub(crate) fn parse(plaintext: &[u8]) -> Result<Self, EnvelopeError> {
        let mut cursor = Cursor::from_slice(plaintext);
        let salt = i64::deserialize(&mut cursor).map_err(|_| EnvelopeError::Short)?;
        let session_id = i64::deserialize(&mut cursor).map_err(|_| EnvelopeError::Short)?;
        let outer = read_message(plaintext, &mut cursor)?;
        let padding = plaintext.len() - cursor.pos();
        if !(12..=1_024).contains(&padding) {
            return Err(EnvelopeError::Padding(padding));
        }
        let (outer_id, outer_seq_no) = (outer.id, outer.seq_no);
        let outer = unpack(outer)?;
        let messages = if constructor(&outer.body) == Some(MSG_CONTAINER) {
            read_container(&outer.body)?
        } else {
            vec![outer]
        };
        Ok(Self {
            salt,
            session_id,
            outer_id,
            outer_seq_no,
            messages,
        })
    }
}

/// The constructor number a body starts with.
pub(crate) fn constructor(body: &[u8]) -> Option<u32> {
    body.get(..4)
        .map(|head| u32::from_le_bytes([head[0], head[1], head[2], head[3]]))
}

fn read_container(body: &[u8]) -> Result<Vec<Message>, EnvelopeError> {
    let mut cursor = Cursor::from_slice(body);
    let mut head = [0; 4];
    cursor.read_exact(&mut head).map_err(|_| EnvelopeError::Short)?;
    let count = u32::deserialize(&mut cursor).map_err(|_| EnvelopeError::Short)? as usize;
    if count > MAX_CONTAINER {
        return Err(EnvelopeError::Container);
    }
    let mut messages = Vec::with_capacity(count);
    for _ in 0..count {
        let message = unpack(read_message(body, &mut cursor)?)?;
        if constructor(&message.body) == Some(MSG_CONTAINER) {
            return Err(EnvelopeError::Container);
        }
        messages.push(message);
    }
    Ok(messages)
}

fn read_message(bytes: &[u8], cursor: &mut Cursor<'_>) -> Result<Message, EnvelopeError> {
    let id = i64::deserialize(cursor).map_err(|_| EnvelopeError::Short)?;
    let seq_no = i32::deserialize(cursor).map_err(|_| EnvelopeError::Short)?;
    let len = u32::deserialize(cursor).map_err(|_| EnvelopeError::Short)? as usize;
    if len > bytes.len() - cursor.pos() || !len.is_multiple_of(4) {
        return Err(EnvelopeError::Short);
    }
    let mut body = vec![0; len];
    cursor.read_exact(&mut body).map_err(|_| EnvelopeError::Short)?;
    Ok(Message { id, seq_no, body })
}

fn unpack(message: Message) -> Result<Message, EnvelopeError> {
    if constructor(&message.body) != Some(GZIP_PACKED) {
        return Ok(message);
    }
    let packed = Vec::<u8>::from_bytes(&message.body[4..]).map_err(|_| EnvelopeError::Packed)?;
    let mut body = Vec::new();
    GzDecoder::new(&packed[..])
        .take(MAX_UNPACKED as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|_| EnvelopeError::Packed)?;
    // Packed in packed is never sent by a client and would multiply the limit.
    if body.len() > MAX_UNPACKED || constructor(&body) == Some(GZIP_PACKED) {
        return Err(EnvelopeError::Packed);
    }
    Ok(Message { body, ..message })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use grammers_tl_types::Serializable;
    use proptest::prelude::*;

    use super::*;

    fn message(id: i64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        id.serialize(&mut out);
        1_i32.serialize(&mut out);
        (body.len() as i32).serialize(&mut out);
        out.extend_from_slice(body);
        out
    }

    fn packet(inner: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 16];
        out.extend_from_slice(inner);
        out.resize(out.len() + 12, 0);
        out
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        let mut out = Vec::new();
        GZIP_PACKED.serialize(&mut out);
        encoder.finish().unwrap().serialize(&mut out);
        out
    }

    #[test]
    fn a_container_with_a_packed_body_is_flattened() {
        let mut container = Vec::new();
        MSG_CONTAINER.serialize(&mut container);
        2_i32.serialize(&mut container);
        container.extend(message(4, &[1; 8]));
        container.extend(message(8, &gzip(&[2; 400])));
        let packet = Packet::parse(&packet(&message(12, &container))).unwrap();
        assert_eq!(packet.outer_id, 12);
        let ids: Vec<_> = packet.messages.iter().map(|m| m.id).collect();
        assert_eq!(ids, [4, 8]);
        assert_eq!(packet.messages[1].body, [2; 400]);
    }

    #[test]
    fn a_bomb_does_not_unpack() {
        let bomb = gzip(&vec![0; MAX_UNPACKED + 4]);
        assert_eq!(
            Packet::parse(&packet(&message(4, &bomb))).unwrap_err(),
            EnvelopeError::Packed
        );
    }

    proptest! {
        #[test]
        fn any_plaintext_is_read_in_peace(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Packet::parse(&bytes);
            let _ = Packet::parse(&packet(&message(4, &bytes)));
        }
    }
}
