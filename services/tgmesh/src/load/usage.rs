//! CPU and memory of every process of a run, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use crate::mesh::{Mesh, Part};

/// Linux counts CPU time for user space in hundredths of a second, on every common architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the processes have used so far.
pub(super) struct Usage {
    clients: u32,
    /// By name and process id, since a part may be started again.
    seen: BTreeMap<(&'static str, u32), Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    first_ticks: Option<u64>,
    last_ticks: u64,
    peak_bytes: u64,
}

/// One process, or the processes of one server.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessUsage {
    /// The part, `ws-clients` or `load`.
    pub name: String,
    /// CPU time in seconds, user and system.
    pub cpu_s: f64,
    /// Highest resident memory in bytes. Of Postgres: what its processes hold by themselves and
    /// once what they share.
    pub peak_rss_bytes: u64,
}

impl Usage {
    pub(super) fn new(mesh: &Mesh, clients: u32) -> Self {
        let mut usage = Self {
            clients,
            seen: BTreeMap::new(),
        };
        usage.look(mesh);
        usage
    }

    /// Reads all figures. CPU time counts from the first look at a process that ran before the
    /// load, and from its beginning for one that was started again.
    pub(super) fn look(&mut self, mesh: &Mesh) {
        let begun = !self.seen.is_empty();
        let mut all = vec![("load", std::process::id()), ("ws-clients", self.clients)];
        all.extend(
            Part::ALL
                .into_iter()
                .filter_map(|part| Some((part.name(), mesh.process(part)?.pid()))),
        );
        for (name, pid) in all {
            let pids = if name == Part::Postgres.name() {
                family(pid)
            } else {
                vec![pid]
            };
            let Some((ticks, bytes)) = measure(&pids) else { continue };
            let seen = self.seen.entry((name, pid)).or_default();
            seen.first_ticks.get_or_insert(if begun { 0 } else { ticks });
            // A backend that ended hands its time to the postmaster: the sum does not fall, except
            // for a moment in between.
            seen.last_ticks = seen.last_ticks.max(ticks);
            seen.peak_bytes = seen.peak_bytes.max(bytes);
        }
    }

    pub(super) fn finish(self) -> Vec<ProcessUsage> {
        let mut by_name: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
        for ((name, _), seen) in &self.seen {
            let entry = by_name.entry(name).or_default();
            let ticks = seen.last_ticks.saturating_sub(seen.first_ticks.unwrap_or_default());
            entry.0 += ticks as f64 / TICKS_PER_SECOND;
            entry.1 = entry.1.max(seen.peak_bytes);
        }
        let order = [
            "simulator",
            "listener",
            "nats",
            "archiver",
            "postgres",
            "gateway",
            "ws-clients",
            "load",
        ];
        order
            .into_iter()
            .filter_map(|name| {
                let (cpu_s, peak_rss_bytes) = *by_name.get(name)?;
                Some(ProcessUsage {
                    name: name.to_owned(),
                    cpu_s,
                    peak_rss_bytes,
                })
            })
            .collect()
    }
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid)
        .chain(children.split_whitespace().filter_map(|child| child.parse().ok()))
        .collect()
}

/// CPU ticks and bytes of memory; nothing when the first has ended.
fn measure(pids: &[u32]) -> Option<(u64, u64)> {
    let mut ticks = ticks(*pids.first()?)?;
    if let [_, children @ ..] = pids {
        ticks += children.iter().filter_map(|pid| own_ticks(*pid)).sum::<u64>();
        let memory: Vec<Memory> = pids.iter().filter_map(|pid| Memory::of(*pid)).collect();
        let own: u64 = memory.iter().map(|memory| memory.own).sum();
        let shared = memory.iter().map(|memory| memory.shared).max().unwrap_or(0);
        return Some((ticks, own + shared));
    }
    Some((ticks, Memory::of(pids[0])?.peak))
}

struct Memory {
    peak: u64,
    own: u64,
    shared: u64,
}

impl Memory {
    fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
            Some(kib * 1024)
        };
        Some(Self {
            peak: bytes("VmHWM")?,
            own: bytes("RssAnon")?,
            shared: bytes("RssFile")? + bytes("RssShmem")?,
        })
    }
}

/// Its own ticks and those of the children it has waited for.
fn ticks(pid: u32) -> Option<u64> {
    Some(stat(pid)?.iter().sum())
}

fn own_ticks(pid: u32) -> Option<u64> {
    Some(stat(pid)?[..2].iter().sum())
}

/// `utime`, `stime`, `cutime`, `cstime` of proc(5).
fn stat(pid: u32) -> Option<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything. The state, the third field, follows it.
    let mut fields = stat
        .rsplit_once(") ")?
        .1
        .split(' ')
        .skip(11)
        .map(|field| field.parse().ok());
    let mut next = || fields.next().flatten();
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let start = ticks(std::process::id()).unwrap();
        let mut n = 0_u64;
        while ticks(std::process::id()).unwrap() < start + 2 {
            n = std::hint::black_box(n + 1);
        }
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.peak >= 1 << 20 && memory.own > 0);
    }
}
