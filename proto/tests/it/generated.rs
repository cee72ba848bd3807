//! The files that other languages read are made here from the Rust types. Each test fails when a
//! checked-in file is stale; `make generate` (`TGMESH_REGENERATE=1`) writes them anew.

use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::detection::Detection;
use tgmesh_proto::frame::{ClientFrame, ServerFrame};
use tgmesh_proto::matched::Match;
use tgmesh_proto::stats::StatsReport;

use crate::{asyncapi, samples};

#[test]
fn schemas_are_current() {
    fn schema<T: schemars::JsonSchema>() -> String {
        let schema = SchemaSettings::draft2020_12()
            .into_generator()
            .into_root_schema_for::<T>();
        serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
    }
    check("schema/detection.json", schema::<Detection>().as_bytes());
    check("schema/match.json", schema::<Match>().as_bytes());
    check("schema/audit.json", schema::<AuditEvent>().as_bytes());
    check("schema/client-frame.json", schema::<ClientFrame>().as_bytes());
    check("schema/server-frame.json", schema::<ServerFrame>().as_bytes());
    check("schema/stats-report.json", schema::<StatsReport>().as_bytes());
}

#[test]
fn vectors_are_current_and_read_back() {
    let mut wanted = Vec::new();
    for vector in samples::vectors() {
        check(&format!("vectors/{}.msgpack", vector.name), &vector.msgpack);
        check(&format!("vectors/{}.json", vector.name), vector.json.as_bytes());
        let again = (vector.rewrite)(&vector.msgpack).expect("a vector reads back");
        assert_eq!(
            again, vector.msgpack,
            "{} changes when it is read and written",
            vector.name
        );
        wanted.extend([format!("{}.json", vector.name), format!("{}.msgpack", vector.name)]);
    }
    let mut found: Vec<_> = std::fs::read_dir(path("vectors"))
        .expect("the folder is there")
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .into_string()
                .expect("names are UTF-8")
        })
        .collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted, "proto/vectors holds a file that no sample makes");
}

#[test]
fn asyncapi_is_current() {
    let document = serde_json::to_string_pretty(&asyncapi::document()).expect("JSON") + "\n";
    check("asyncapi.json", document.as_bytes());
    // One that is written just now was not there to be compiled in.
    if std::env::var_os("TGMESH_REGENERATE").is_none() {
        assert_eq!(tgmesh_proto::ASYNCAPI, document, "what is compiled in lies there");
    }
}

fn check(file: &str, content: &[u8]) {
    let path = path(file);
    if std::env::var_os("TGMESH_REGENERATE").is_some() {
        std::fs::write(&path, content).expect("the file can be written");
    }
    let found = std::fs::read(&path).unwrap_or_default();
    assert!(
        found == content,
        "proto/{file} is stale: run `make generate` and look at the difference"
    );
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}
