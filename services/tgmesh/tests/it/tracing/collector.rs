//! The independent receiver of spans.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{eventually, free_port, python, repo_root};

const LIMIT: Duration = Duration::from_secs(30);

/// A span, as the receiver writes it.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "as the receiver names them")]
pub struct Span {
    pub trace: String,
    pub span: String,
    pub parent: String,
    pub name: String,
    pub kind: String,
    pub service: String,
    pub start: u64,
    pub end: u64,
    pub attributes: Map<String, Value>,
    pub links: Vec<Link>,
    pub dropped_links: u32,
    pub status: u32,
}

#[derive(Debug, Deserialize)]
pub struct Link {
    pub trace: String,
    pub span: String,
}

pub struct Collector {
    port: u16,
    file: PathBuf,
    process: Option<Process>,
}

impl Collector {
    pub async fn start(dir: &Path) -> Self {
        let mut collector = Self {
            port: free_port(),
            file: dir.join("spans"),
            process: None,
        };
        collector.start_again().await;
        collector
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that came so far.
    pub fn spans(&self) -> Vec<Span> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text[..whole]
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Ends it; what it has taken is written down.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            assert_eq!(process.stop(LIMIT).await.code(), Some(0), "{}", process.log_tail());
        }
    }

    /// Starts it on its old port.
    pub async fn start_again(&mut self) {
        let script = repo_root().join("services/tgmesh/tests/otlp_receiver.py");
        let spec = Spec::new(python())
            .arg(script)
            .arg(self.port.to_string())
            .arg(&self.file);
        let process = Process::spawn(spec).unwrap();
        eventually(LIMIT, "the receiver listens", || async {
            assert!(process.is_running(), "{}", process.log_tail());
            process.log_tail().contains("listening")
        })
        .await;
        self.process = Some(process);
    }
}
