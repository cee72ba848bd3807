//! TCP transports, server direction: full, abridged, intermediate and padded intermediate.
//!
//! The client's first bytes choose the transport
//! (<https://core.telegram.org/mtproto/mtproto-transports>). An obfuscated connection looks
//! like noise and is refused as a frame of impossible length.

use bytes::{Buf, BytesMut};

use super::MAX_PACKET_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes is impossible")]
    Length(i64),
    #[error("expected frame {expected}, got {got}")]
    Sequence { expected: u32, got: u32 },
    #[error("the frame's checksum is wrong")]
    Checksum,
}

/// How packets are cut out of the byte stream, with the transport's counters.
#[derive(Clone, Debug)]
pub(crate) enum Framing {
    Full { sent: u32, received: u32 },
    Abridged,
    Intermediate,
    Padded,
}

impl Framing {
    /// Chooses the transport from the first bytes and takes its tag out of `buffer`; `None`
    /// while too few have arrived.
    pub(crate) fn detect(buffer: &mut BytesMut) -> Option<Self> {
        if buffer.first() == Some(&0xef) {
            buffer.advance(1);
            return Some(Self::Abridged);
        }
        match buffer.get(..4)? {
            [0xee, 0xee, 0xee, 0xee] => {
                buffer.advance(4);
                Some(Self::Intermediate)
            }
            [0xdd, 0xdd, 0xdd, 0xdd] => {
                buffer.advance(4);
                Some(Self::Padded)
            }
            _ => Some(Self::Full { sent: 0, received: 0 }),
        }
    }

    /// Takes the next whole packet out of `buffer`; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes cannot be a frame: the connection is of no further use.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        match self {
            Self::Full { received, .. } => {
                let Some(len) = buffer.get(..4) else {
                    return Ok(None);
                };
                let len = i64::from(word(len));
                if !(16..=MAX_PACKET_BYTES as i64 + 12).contains(&len) || len % 4 != 0 {
                    return Err(FrameError::Length(len));
                }
                let len = len as usize;
                if buffer.len() < len {
                    return Ok(None);
                }
                let mut frame = buffer.split_to(len);
                let crc = word(&frame[len - 4..]);
                if crc32fast::hash(&frame[..len - 4]) != crc {
                    return Err(FrameError::Checksum);
                }
                let got = word(&frame[4..8]);
                if got != *received {
                    return Err(FrameError::Sequence {
                        expected: *received,
                        got,
                    });
                }
                *received = received.wrapping_add(1);
                frame.advance(8);
                frame.truncate(len - 12);
                Ok(Some(frame))
            }
            Self::Abridged => {
                let Some(&first) = buffer.first() else {
                    return Ok(None);
                };
                // The top bit asks for a quick ack, which is optional and not given.
                let (header, words) = if first & 0x7f < 0x7f {
                    (1, usize::from(first & 0x7f))
                } else {
                    let Some(head) = buffer.get(..4) else {
                        return Ok(None);
                    };
                    (4, (word(head) >> 8) as usize)
                };
                take(buffer, header, words * 4)
            }
            Self::Intermediate | Self::Padded => {
                let Some(head) = buffer.get(..4) else {
                    return Ok(None);
                };
                let len = (word(head) & 0x7fff_ffff) as usize;
                let frame = take(buffer, 4, len)?;
                Ok(frame.map(|mut frame| {
                    if matches!(self, Self::Padded) {
                        // Up to 15 random bytes follow; a packet is 24 bytes and whole blocks.
                        let whole = 24 + frame.len().saturating_sub(24) / 16 * 16;
                        frame.truncate(whole);
                    }
                    frame
                }))
            }
        }
    }

    /// Starts a packet of `len` bytes at the end of `out`; the caller appends them and then
    /// calls [`Framing::finish`] with the position returned.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>, len: usize) -> usize {
        let at = out.len();
        match self {
            Self::Full { sent, .. } => {
                out.extend_from_slice(&((len + 12) as u32).to_le_bytes());
                out.extend_from_slice(&sent.to_le_bytes());
                *sent = sent.wrapping_add(1);
            }
            Self::Abridged => {
                let words = (len / 4) as u32;
                if words < 0x7f {
                    out.push(words as u8);
                } else {
                    out.extend_from_slice(&((words << 8) | 0x7f).to_le_bytes());
                }
            }
            Self::Intermediate | Self::Padded => {
                out.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        at
    }

    /// Ends the packet that was started at `at`.
    pub(crate) fn finish(&self, out: &mut Vec<u8>, at: usize) {
        if matches!(self, Self::Full { .. }) {
            let crc = crc32fast::hash(&out[at..]);
            out.extend_from_slice(&crc.to_le_bytes());
        }
    }

    /// The bytes of a transport error such as 404 (unknown authorization key).
    pub(crate) fn transport_error(&mut self, code: i32) -> Vec<u8> {
        let mut out = Vec::with_capacity(8);
        // On the full transport the negative code stands in the length's place.
        if !matches!(self, Self::Full { .. }) {
            self.start(&mut out, 4);
        }
        out.extend_from_slice(&(-code).to_le_bytes());
        out
    }
}

fn take(buffer: &mut BytesMut, header: usize, len: usize) -> Result<Option<BytesMut>, FrameError> {
    if !(4..=MAX_PACKET_BYTES).contains(&len) {
        return Err(FrameError::Length(len as i64));
    }
    if buffer.len() < header + len {
        return Ok(None);
    }
    buffer.advance(header);
    Ok(Some(buffer.split_to(len)))
}

/// The first four bytes as a little-endian number; `bytes` has at least four.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use grammers_crypto::DequeBuffer;
    use grammers_mtproto::transport::{Abridged, Full, Intermediate, Transport};
    use proptest::prelude::*;

    use super::*;

    /// What the client library sends for one payload after the other.
    type Packer = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

    fn client(which: usize) -> Packer {
        fn packer(mut transport: impl Transport + 'static) -> Packer {
            Box::new(move |payload| {
                let mut buffer = DequeBuffer::with_capacity(payload.len(), 16);
                buffer.extend(payload.iter().copied());
                transport.pack(&mut buffer);
                buffer.as_ref().to_vec()
            })
        }
        match which {
            0 => packer(Full::new()),
            1 => packer(Abridged::new()),
            _ => packer(Intermediate::new()),
        }
    }

    proptest! {
        /// What the client library packs comes out whole, however the bytes are cut.
        #[test]
        fn clients_packets_come_out_whole(
            which in 0..3_usize,
            words in proptest::collection::vec(1..400_usize, 1..6),
            cut in 1..64_usize,
        ) {
            let mut pack = client(which);
            let payloads: Vec<Vec<u8>> =
                words.iter().enumerate().map(|(i, n)| vec![i as u8 | 0x80; n * 4]).collect();
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| pack(payload)).collect();
            let mut framing = None;
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for part in stream.chunks(cut) {
                buffer.extend_from_slice(part);
                if framing.is_none() {
                    framing = Framing::detect(&mut buffer);
                }
                if let Some(framing) = &mut framing {
                    while let Some(frame) = framing.next(&mut buffer).unwrap() {
                        seen.push(frame.to_vec());
                    }
                }
            }
            prop_assert_eq!(seen, payloads);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut buffer = BytesMut::from(&noise[..]);
            if let Some(mut framing) = Framing::detect(&mut buffer) {
                while let Ok(Some(_)) = framing.next(&mut buffer) {}
            }
        }
    }

    #[test]
    fn the_client_library_reads_the_servers_frames() {
        let payload = [0x11_u8; 96];
        let mut out = Vec::new();
        let mut framing = Framing::Full { sent: 0, received: 0 };
        for _ in 0..2 {
            let at = framing.start(&mut out, payload.len());
            out.extend_from_slice(&payload);
            framing.finish(&mut out, at);
        }
        let mut theirs = Full::new();
        let first = theirs.unpack(&mut out).unwrap();
        assert_eq!(out[first.data_range.clone()], payload);
        let second = theirs.unpack(&mut out[first.next_offset..]).unwrap();
        assert_eq!(second.data_range.len(), payload.len());
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut bytes = BytesMut::from(&client(0)(&[1; 32])[..]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut framing = Framing::detect(&mut bytes).unwrap();
        assert_eq!(framing.next(&mut bytes), Err(FrameError::Checksum));
    }
}
