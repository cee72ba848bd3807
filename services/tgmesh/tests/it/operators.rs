//! What operators are given, held against itself: alerts, their tests and the runbook; what is
//! generated and what it is generated from.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tgmesh_testkit::{python, repo_root};

/// The folder of `prometheus` and `promtool`, which is fetched if need be.
pub fn prometheus() -> PathBuf {
    let script = repo_root().join("deploy/bootstrap/prometheus.sh");
    let output = Command::new("sh").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "without Prometheus nothing here can be tested: {said}"
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn deploy(path: &str) -> PathBuf {
    repo_root().join("deploy").join(path)
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn rules_fire_when_they_should_and_only_then() {
    let promtool = prometheus().join("promtool");
    run(Command::new(&promtool)
        .args(["check", "config"])
        .arg(deploy("prometheus/prometheus.yaml")));
    let tests = ["prometheus/tests/alerts.yaml", "prometheus/tests/objectives.yaml"].map(deploy);
    run(Command::new(&promtool).args(["test", "rules"]).args(tests));
}

#[test]
fn what_is_generated_is_current() {
    for script in ["prometheus/generate.py", "grafana/generate.py"] {
        run(Command::new(python()).arg(deploy(script)).arg("--check"));
    }
}

#[test]
fn every_alert_has_an_entry_and_a_test_and_the_other_way_round() {
    let read = |path: &str| std::fs::read_to_string(deploy(path)).unwrap();
    let names = |text: &str, before: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.trim_start().strip_prefix(before))
            .map(|name| name.trim().to_owned())
            .collect()
    };
    let rules = read("prometheus/rules/alerts.yaml") + &read("prometheus/rules/objectives.yaml");
    let alerts = names(&rules, "- alert: ");
    assert!(alerts.len() > 30, "{alerts:?}");
    let runbook = read("RUNBOOK.md");
    assert_eq!(alerts, names(&runbook, "## "));
    let tests = read("prometheus/tests/alerts.yaml") + &read("prometheus/tests/objectives.yaml");
    assert_eq!(alerts, names(&tests, "alertname: "));
    for entry in runbook.split("\n## ").skip(1) {
        for part in ["**Means.** ", "**Look at.** ", "**Do.** "] {
            assert!(entry.contains(part), "{part}is missing: {entry}");
        }
    }
    // Whoever points to an entry points to one that is there.
    let mut sources: Vec<_> = ["overview", "listener", "stream", "archiver", "gateway", "postgres"]
        .map(|name| read(&format!("grafana/dashboards/{name}.json")))
        .into();
    sources.push(rules);
    for link in sources.iter().flat_map(|text| text.split("RUNBOOK.md#").skip(1)) {
        let anchor = link.split('"').next().unwrap();
        assert!(alerts.iter().any(|name| name.to_lowercase() == anchor), "{anchor}");
    }
}

#[test]
fn dashboards_name_their_sources_by_variable() {
    for entry in std::fs::read_dir(deploy("grafana/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        assert_eq!(dashboard["uid"], format!("tgmesh-{name}"));
        let panels = dashboard["panels"].as_array().unwrap();
        let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), panels.len());
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{}",
                panel["title"]
            );
        }
    }
}
