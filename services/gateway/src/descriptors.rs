//! File descriptors: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors besides those of the clients: connections of the HTTP API, to NATS and Postgres, files.
const RESERVE: u64 = 1_536;

/// Raises this process's limit as far as `connections` need and the system allows. Returns how many
/// of them there can be.
pub fn allow(connections: usize) -> usize {
    let needed = connections as u64 + RESERVE;
    let limit = getrlimit(Resource::Nofile);
    // Without a limit there is none to meet.
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    if soft >= needed {
        return connections;
    }
    let raised = needed.min(hard);
    let wanted = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, soft, raised, "couldn't raise the limit of open files");
            soft
        }
    };
    if now >= needed {
        tracing::debug!(from = soft, to = now, "raised the limit of open files");
        return connections;
    }
    let possible = fitting(now, connections);
    tracing::warn!(
        limit = now,
        needed,
        connections = possible,
        "the limit of open files is too low for MAX_CONNECTIONS, so fewer are let in: raise the hard limit \
         (ulimit -Hn, LimitNOFILE of systemd, the container runtime's default)"
    );
    possible
}

/// Connections for which this many descriptors are enough; a few even where hardly any are left.
fn fitting(descriptors: u64, connections: usize) -> usize {
    let rest = descriptors.saturating_sub(RESERVE).max(descriptors / 2);
    usize::try_from(rest).unwrap_or(usize::MAX).clamp(1, connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_are_few_connections() {
        assert_eq!(fitting(20_000, 10_000), 10_000);
        assert_eq!(fitting(4_096, 10_000), 2_560);
        assert_eq!(fitting(1_024, 10_000), 512);
        assert_eq!(fitting(0, 10_000), 1);
    }

    #[test]
    fn what_is_there_already_is_allowed() {
        assert_eq!(allow(1), 1);
    }
}
