//! A WebSocket client over a bare socket, which can send what no library would.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::socket::PATIENCE;
use crate::world::{World, token};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
pub const MALFORMED: u16 = 4400;
pub const TOO_LARGE: u16 = 4413;
/// The largest message that the gateway takes.
pub const MOST: usize = 16 << 10;

/// How bytes are cut into writes.
#[derive(Clone, Copy)]
pub enum Chop {
    Whole,
    Octets,
    Of(usize),
}

pub struct Peer {
    stream: TcpStream,
}

/// A frame of a client: masked, as RFC 6455, 5.3 asks.
pub fn frame(fin: bool, rsv: u8, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | rsv << 4 | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 0x7e);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7f);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

pub fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, 0, opcode, payload)
}

pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A `ping` of our protocol of exactly so many bytes.
pub fn ping(n: usize, size: usize) -> Vec<u8> {
    let mut bytes = format!(r#"{{"type":"ping","t_ms":{n}}}"#).into_bytes();
    bytes.resize(size.max(bytes.len()), b' ');
    bytes
}

/// The same with a text in it.
pub fn ping_with(n: usize, bytes: &[u8]) -> Vec<u8> {
    [
        format!(r#"{{"type":"ping","t_ms":{n},"note":""#).as_bytes(),
        bytes,
        b"\"}",
    ]
    .concat()
}

/// A message in parts.
pub fn fragments(opcode: u8, parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    let part = |(at, part): (usize, &&[u8])| frame(at == last, 0, if at == 0 { opcode } else { CONTINUATION }, part);
    parts.iter().enumerate().flat_map(part).collect()
}

impl Peer {
    pub async fn open(world: &World, subprotocol: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP option");
        let token = token(&json!({"rate": 100_000}));
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it is taken");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).expect("ASCII").to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // The example of RFC 6455, 1.3.
        assert!(
            head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        let mut peer = Self { stream };
        let (opcode, _) = peer.next().await.expect("welcome");
        assert_eq!(opcode, if subprotocol.ends_with("json") { TEXT } else { BINARY });
        peer
    }

    pub async fn send(&mut self, bytes: &[u8], chop: Chop) {
        let size = match chop {
            Chop::Whole => bytes.len().max(1),
            Chop::Octets => 1,
            Chop::Of(size) => size,
        };
        for part in bytes.chunks(size) {
            // The gateway may have closed already; what it said is read by the case.
            if self.stream.write_all(part).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The next frame, as RFC 6455 asks of a server: whole, unmasked, without reserved bits.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        tokio::time::timeout(PATIENCE, async {
            let first = self.stream.read_u8().await.ok()?;
            let second = self.stream.read_u8().await.ok()?;
            assert_eq!(first & 0xf0, 0x80, "a whole frame without reserved bits");
            assert_eq!(second & 0x80, 0, "a server does not mask");
            let length = match second {
                126 => usize::from(self.stream.read_u16().await.ok()?),
                127 => usize::try_from(self.stream.read_u64().await.ok()?).expect("a length"),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((first & 0xf, payload))
        })
        .await
        .expect("a frame in time")
    }

    /// The next frame that is no position.
    pub async fn answer(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let frame = self.next().await?;
            if frame.0 != TEXT || !frame.1.starts_with(br#"{"type":"position""#) {
                return Some(frame);
            }
        }
    }

    pub async fn expect_pong(&mut self, n: usize, case: &str) {
        let (opcode, payload) = self.answer().await.unwrap_or_else(|| panic!("{case}: it is gone"));
        let pong: Value = match opcode {
            TEXT => serde_json::from_slice(&payload).expect("JSON"),
            BINARY => rmp_serde::from_slice(&payload).expect("MessagePack"),
            _ => panic!("{case}: opcode {opcode}, {payload:?}"),
        };
        assert_eq!(
            (&pong["type"], pong["t_ms"].as_f64()),
            (&json!("pong"), Some(n as f64)),
            "{case}"
        );
    }

    pub async fn expect_frame(&mut self, opcode: u8, payload: &[u8], case: &str) {
        assert_eq!(self.answer().await, Some((opcode, payload.to_vec())), "{case}");
    }

    /// The close code; nothing after it.
    pub async fn closed(&mut self, case: &str) -> u16 {
        match self.answer().await {
            Some((CLOSE, payload)) => {
                assert!(payload.len() != 1, "{case}");
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                assert!(
                    std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok(),
                    "{case}"
                );
                let ended = tokio::time::timeout(Duration::from_secs(10), self.next()).await;
                assert_eq!(
                    ended.expect("the server ends the connection"),
                    None,
                    "{case}: a frame behind the close"
                );
                code
            }
            Some(other) => panic!("{case}: {other:?} instead of a close"),
            None => 1006,
        }
    }
}
