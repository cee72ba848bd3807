//! The server's side of MTProto 2.0 over TCP.
//!
//! grammers has the client's side only: it encrypts with the client's key material, tags its
//! first packet, and reads transport errors where a client's packet may hold any bytes. So the
//! server's direction is written out here, from the protocol's description on
//! <https://core.telegram.org/mtproto>; only AES-IGE itself and the TL types are shared with
//! the client library.

pub(crate) mod connection;
pub(crate) mod crypt;
pub(crate) mod duplicate;
pub(crate) mod envelope;
pub(crate) mod framing;
pub(crate) mod odd;
pub(crate) mod outbox;
pub(crate) mod session;
mod writer;

/// Largest packet taken from a client, in bytes: Telegram closes the connection above about 1 MiB.
pub(crate) const MAX_PACKET_BYTES: usize = 1_048_576 + 1_024;
