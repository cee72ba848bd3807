//! What the commands write into AUDIT.

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_stream::Mesh;
use tgmesh_stream::publish::{self, Outgoing};

/// Who runs this command, as far as the host says.
pub(crate) fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())
}

/// Tells the audit log what this user does, and waits until it is stored.
pub(crate) async fn note<'a>(
    mesh: &Mesh,
    event: &str,
    target: &str,
    detail: impl IntoIterator<Item = (&'a str, String)>,
) -> anyhow::Result<()> {
    let instance = format!("cli-{}", std::process::id());
    let process = ("tgmesh", instance.as_str());
    let entry = AuditEvent::new(process, event, clock::now_us(), Some(&user()), Some(target), detail);
    let traceparent = TraceParent::unrelated().to_string();
    publish::publish_one(mesh, &Outgoing::audit(&entry, traceparent)?).await?;
    Ok(())
}
