//! As much of RFC 6455 and of the frames' JSON as the clients of a benchmark need.

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stream::Bytes;

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
const LENGTH_IN_16_BITS: u8 = 0x7e;

/// Upgrades a connection to a WebSocket.
pub async fn upgrade(stream: &mut dyn Bytes, path: &str, token: &str, buffer: &mut BytesMut) -> Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            if !buffer.starts_with(b"HTTP/1.1 101") {
                bail!("no upgrade: {}", String::from_utf8_lossy(&buffer[..end]));
            }
            buffer.advance(end + 4);
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("closed before the upgrade");
        }
    }
}

/// Sends a frame; the mask is zero, which leaves the payload as it is.
pub async fn send(stream: &mut dyn Bytes, opcode: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![0x80 | opcode];
    if payload.len() < usize::from(LENGTH_IN_16_BITS) {
        frame.push(0x80 | payload.len() as u8);
    } else {
        // Requests of a benchmark are shorter than 64 KiB.
        frame.push(0x80 | LENGTH_IN_16_BITS);
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await
}

/// Length of the head and of the payload of the frame that the bytes begin with, and its opcode.
pub fn head(bytes: &[u8]) -> Option<(usize, usize, u8)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (head, length) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let length = usize::try_from(length).ok()?;
    (bytes.len() >= head + length).then_some((head, length, first & 0x0f))
}

/// The number behind a name, found from the end.
pub fn last_number(payload: &[u8], name: &[u8]) -> Option<u64> {
    let at = payload.windows(name.len()).rposition(|window| window == name)?;
    number(&payload[at + name.len()..])
}

/// The number behind the first occurrence of a name.
pub fn first_number(payload: &[u8], name: &[u8]) -> Option<u64> {
    number(&payload[find(payload, name)? + name.len()..])
}

/// The text behind a name, up to its closing quote.
pub fn word(payload: &[u8], name: &[u8]) -> Result<String> {
    let at = find(payload, name).context("no such name")? + name.len();
    let text: Vec<u8> = payload[at..].iter().copied().take_while(|&byte| byte != b'"').collect();
    Ok(String::from_utf8(text)?)
}

fn number(digits: &[u8]) -> Option<u64> {
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
