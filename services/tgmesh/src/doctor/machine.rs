//! This machine: room on the disk, descriptors, and variables that nothing reads.

use std::path::Path;

use super::Findings;

const GIB: f64 = (1u64 << 30) as f64;
/// A gateway needs a descriptor for each client.
const FEW_DESCRIPTORS: u64 = 4096;

pub(super) fn look(state: Option<&Path>, findings: &mut Findings) {
    if let Some(state) = state {
        disk(state, findings);
    }
    descriptors(findings);
}

fn disk(state: &Path, findings: &mut Findings) {
    let subject = "disk";
    let Ok(disk) = rustix::fs::statvfs(state) else { return };
    let free = (disk.f_bavail * disk.f_frsize) as f64;
    let share = disk.f_bavail as f64 / (disk.f_blocks.max(1)) as f64;
    let found = format!(
        "{:.1} GiB free ({:.0} %) where the mesh keeps its state",
        free / GIB,
        share * 100.0
    );
    let advice = (
        "free some: a full disk stops NATS and Postgres alike",
        Some("TgmeshDatabaseHeldUp"),
    );
    if free < GIB || share < 0.03 {
        findings.fail(subject, found, advice);
    } else if free < 5.0 * GIB || share < 0.1 {
        findings.warn(subject, found, advice);
    } else {
        findings.ok(subject, found);
    }
}

fn descriptors(findings: &mut Findings) {
    let subject = "file descriptors";
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match most {
        Some(most) if most < FEW_DESCRIPTORS => {
            let advice = "raise the limit for the gateway: `ulimit -n 65536`, or LimitNOFILE";
            let found = format!("a process that is started here may open {most}");
            findings.warn(subject, found, (advice, Some("TgmeshFileDescriptors")));
        }
        Some(most) => findings.ok(subject, format!("a process that is started here may open {most}")),
        None => findings.ok(subject, "a process that is started here may open any number"),
    }
}
