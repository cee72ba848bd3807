//! What is around a frame's JSON on the servers that the gateway is compared with.

use anyhow::{Result, bail};

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Bare frames: the gateway's, and those of a server on `ws`.
    Bare,
    /// Engine.IO 4 over a WebSocket, and Socket.IO 5 inside it.
    SocketIo,
}

impl Protocol {
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "bare" => Ok(Self::Bare),
            "socket.io" => Ok(Self::SocketIo),
            _ => bail!("no such protocol: {word}"),
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Bare => "/ws",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        }
    }

    /// What is sent before anything else.
    pub fn greetings(self) -> &'static [&'static [u8]] {
        match self {
            Self::Bare => &[],
            // Connects to the namespace `/`.
            Self::SocketIo => &[b"40"],
        }
    }

    /// How the message begins that lets a client in, where there is one.
    pub fn welcome(self) -> Option<&'static [u8]> {
        match self {
            Self::Bare => None,
            Self::SocketIo => Some(b"40"),
        }
    }

    pub fn wrap(self, frame: String) -> Vec<u8> {
        match self {
            Self::Bare => frame.into_bytes(),
            Self::SocketIo => format!(r#"42["frame",{frame}]"#).into_bytes(),
        }
    }

    /// The frame, or what to answer in its place; nothing to say is an empty no-op packet.
    pub fn unwrap(self, payload: &[u8]) -> std::result::Result<&[u8], &'static [u8]> {
        match self {
            Self::Bare => Ok(payload),
            Self::SocketIo => match payload {
                // A ping of Engine.IO.
                [b'2', ..] => Err(b"3"),
                _ => Ok(payload.strip_prefix(br#"42["frame","#).unwrap_or(payload)),
            },
        }
    }
}
