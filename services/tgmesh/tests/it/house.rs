//! The house rules that a compiler does not see, held against `cargo metadata`.
//!
//! `deny.toml` says the same for those who have cargo-deny; this runs everywhere.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

/// A dependency and the crates of this workspace that may name it.
const DOORS: [(&str, &[&str]); 8] = [
    ("async-nats", &["tgmesh-stream"]),
    ("tokio-postgres", &["tgmesh-store"]),
    ("deadpool-postgres", &["tgmesh-store"]),
    ("refinery", &["tgmesh-store"]),
    ("grammers-", &["tgmesh-listener", "tgmesh-telegram-sim"]),
    ("warp", &["tgmesh-gateway", "tgmesh-lifecycle"]),
    ("tgmesh-stream", SERVICES),
    ("tgmesh-store", SERVICES),
];
const SERVICES: &[&str] = &[
    "tgmesh-listener",
    "tgmesh-archiver",
    "tgmesh-gateway",
    "tgmesh-testkit",
    "tgmesh",
];

/// Crates that others may use; what is not here is a service or the tool, and nobody's dependency.
const LIBRARIES: [&str; 6] = [
    "tgmesh-proto",
    "tgmesh-detect",
    "tgmesh-stream",
    "tgmesh-store",
    "tgmesh-lifecycle",
    "tgmesh-testkit",
];

/// Name, whether it is for tests alone, of every direct dependency, by crate of the workspace.
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (
                text(&package["name"]),
                dependencies
                    .iter()
                    .map(|d| (text(&d["name"]), d["kind"] == "dev"))
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn heavy_dependencies_have_one_door() {
    let crates = dependencies();
    for (door, keepers) in DOORS {
        let mut named = false;
        for (name, dependencies) in &crates {
            let opens = dependencies
                .iter()
                .any(|(dependency, _)| dependency == door || (door.ends_with('-') && dependency.starts_with(door)));
            named |= opens;
            assert!(
                !opens || keepers.contains(&name.as_str()),
                "{name} names {door}, which only {keepers:?} may"
            );
        }
        assert!(named, "nobody names {door} any more: take it off the list");
    }
}

#[test]
fn arrows_go_one_way() {
    let crates = dependencies();
    for (name, dependencies) in &crates {
        for (dependency, dev) in dependencies
            .iter()
            .filter(|(dependency, _)| crates.contains_key(dependency))
        {
            // The simulator is the one service that tests of others may drive.
            let double = *dev && dependency == "tgmesh-telegram-sim";
            assert!(
                double || LIBRARIES.contains(&dependency.as_str()),
                "{name} depends on the service {dependency}"
            );
            assert!(
                *dev || !matches!(name.as_str(), "tgmesh-proto" | "tgmesh-detect" | "tgmesh-lifecycle"),
                "{name} depends on {dependency}"
            );
        }
    }
    assert!(crates.len() >= 11, "the workspace has shrunk to {:?}", crates.keys());
}

#[test]
fn features_are_nobody_s_switch() {
    for entry in [
        "proto",
        "services/detect",
        "services/kit/stream",
        "services/kit/store",
        "services/kit/lifecycle",
    ] {
        let manifest = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(entry)
                .join("Cargo.toml"),
        )
        .unwrap();
        assert!(!manifest.contains("\n[features]"), "{entry} has features of its own");
    }
}
