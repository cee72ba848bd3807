//! The parts of a mesh, by name.

use std::fmt;

/// One process of a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// nats-server.
    Nats,
    /// Postgres.
    Postgres,
    /// The Telegram data centre on loopback.
    Simulator,
    /// Telegram → detections → `JetStream`.
    Listener,
    /// `JetStream` → Postgres.
    Archiver,
    /// `JetStream` → WebSocket clients.
    Gateway,
}

impl Part {
    /// Every part, in the order of their start.
    pub const ALL: [Self; 6] = [
        Self::Nats,
        Self::Postgres,
        Self::Simulator,
        Self::Archiver,
        Self::Gateway,
        Self::Listener,
    ];

    /// The parts that are binaries of this project.
    pub const SERVICES: [Self; 4] = [Self::Simulator, Self::Archiver, Self::Gateway, Self::Listener];

    /// Its name in logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Postgres => "postgres",
            Self::Simulator => "simulator",
            Self::Listener => "listener",
            Self::Archiver => "archiver",
            Self::Gateway => "gateway",
        }
    }

    /// The binary of a service.
    pub(super) const fn binary(self) -> Option<&'static str> {
        match self {
            Self::Nats | Self::Postgres => None,
            Self::Simulator => Some("tgmesh-telegram-sim"),
            Self::Listener => Some("tgmesh-listener"),
            Self::Archiver => Some("tgmesh-archiver"),
            Self::Gateway => Some("tgmesh-gateway"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
