//! Archives detections: `JetStream` to Postgres.

fn main() -> std::process::ExitCode {
    tgmesh_lifecycle::main::<tgmesh_archiver::Args, _, _>("archiver", tgmesh_archiver::run)
}
