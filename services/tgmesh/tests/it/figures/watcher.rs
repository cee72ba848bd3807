//! A real Prometheus on a running mesh.

use std::path::Path;

use serde_json::Value;
use tgmesh::mesh::Mesh;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{eventually, free_port, repo_root};

use super::LIMIT;
use crate::operators::prometheus;

pub struct Watcher {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

impl Watcher {
    /// A real Prometheus that scrapes the mesh each second, with the rules as they are but quicker.
    pub async fn start(mesh: &Mesh, dir: &Path) -> Self {
        let rules = dir.join("rules");
        std::fs::create_dir_all(&rules).unwrap();
        for name in ["alerts.yaml", "objectives.yaml"] {
            let text = std::fs::read_to_string(repo_root().join("deploy/prometheus/rules").join(name)).unwrap();
            std::fs::write(rules.join(name), text.replace("interval: 1m", "interval: 1s")).unwrap();
        }
        let config = dir.join("prometheus.yaml");
        let targets = mesh.folder().path("targets.json");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/*.yaml']\n\
             scrape_configs:\n  - job_name: tgmesh\n    file_sd_configs: [{{files: ['{}']}}]\n",
            rules.display(),
            targets.display()
        );
        std::fs::write(&config, text).unwrap();
        let port = free_port();
        let spec = Spec::new(prometheus().join("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage");
        let process = Process::spawn(spec).unwrap();
        let watcher = Self {
            url: format!("http://127.0.0.1:{port}/api/v1"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _process: process,
        };
        eventually(LIMIT, "Prometheus reads every service", || async {
            watcher.number("sum(up)").await == Some(4.0)
        })
        .await;
        watcher
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let pairs: Vec<_> = query
            .iter()
            .map(|(key, value)| format!("{key}={}", escaped(value)))
            .collect();
        let url = format!("{}/{path}?{}", self.url, pairs.join("&"));
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// The series that a query gives now.
    pub async fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let answer = self.get("query", &[("query", query)]).await.ok_or("no answer")?;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |one: &Value| one["value"][1].as_str().and_then(|text| text.parse().ok());
        Ok(series
            .iter()
            .filter_map(value)
            .filter(|value: &f64| !value.is_nan())
            .collect())
    }

    pub async fn number(&self, query: &str) -> Option<f64> {
        self.query(query).await.ok()?.first().copied()
    }
}

/// A value of a URL's query.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}
