//! `proto/README.md` against what the binaries and the schema say: what is written is there, and
//! what is there is written.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tgmesh_testkit::{binary, repo_root};

const SERVICES: [&str; 4] = [
    "tgmesh-listener",
    "tgmesh-archiver",
    "tgmesh-gateway",
    "tgmesh-telegram-sim",
];
const COMMANDS: [&str; 17] = [
    "up",
    "login",
    "sessions",
    "chats",
    "backfill",
    "token",
    "keygen",
    "revoke",
    "detect",
    "tail",
    "load",
    "replay",
    "deadletters",
    "erase",
    "topology",
    "trace",
    "doctor",
];
/// Secrets have no flag; those who need them name them in their help or in the page's table.
const SECRETS: [&str; 7] = [
    "DATABASE_URL",
    "JWT_PRIVATE_KEY",
    "JWT_SECRET",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "TELEGRAM_API_HASH",
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_ENCRYPTION_KEY",
];

#[test]
fn variables_of_the_page_are_those_of_the_binaries() {
    let mut built = BTreeSet::from(SECRETS.map(str::to_owned));
    for service in SERVICES {
        built.extend(variables(&help(service, &[])));
    }
    for command in COMMANDS {
        built.extend(variables(&help("tgmesh", &[command])));
    }
    let section = section("## Variables");
    let table = section.lines().filter(|line| line.starts_with("| `"));
    let written: BTreeSet<String> = table
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(written, built);
}

#[test]
fn defaults_of_the_page_are_those_of_the_binaries() {
    let section = section("## Variables");
    for (service, name, default) in [
        ("tgmesh-gateway", "GATEWAY_LISTEN", "127.0.0.1:8080"),
        ("tgmesh-gateway", "ADMIN_LISTEN", "127.0.0.1:9090"),
        ("tgmesh-archiver", "NATS_URL", "nats://127.0.0.1:4222"),
        ("tgmesh-archiver", "DUPLICATE_WINDOW", "10m"),
        ("tgmesh-listener", "SESSION_STORE", "kv"),
        ("tgmesh-listener", "MONITORED_CHATS", "*"),
        ("tgmesh-listener", "SEEN_WINDOW", "24h"),
    ] {
        let help = help(service, &[]).split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, rest) = help
            .split_once(&format!("[env: {name}"))
            .expect("the variable is in the help");
        let (_, rest) = rest.split_once("[default: ").expect("it has a default");
        assert!(
            rest.starts_with(&format!("{default}]")),
            "{name} of {service}: {}",
            &rest[..40]
        );
        let line = section.lines().find(|line| line.contains(&format!("`{name}`")));
        assert!(
            line.is_some_and(|line| line.contains(&format!("`{default}`"))),
            "{name} in the page: {line:?}"
        );
    }
}

#[test]
fn commands_of_the_page_are_those_of_the_tool() {
    let listed: BTreeSet<String> = help("tgmesh", &[])
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|command| command != "help")
        .collect();
    assert_eq!(listed, COMMANDS.map(str::to_owned).into());
    let section = section("## Commands");
    let written: BTreeSet<String> = section
        .split("`tgmesh ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '`']).next().map(str::to_owned))
        .collect();
    assert_eq!(written, listed);
}

#[test]
fn fields_of_the_page_are_those_of_the_schema() {
    for (file, title) in [
        ("proto/schema/detection.json", "## The detection event"),
        ("proto/schema/match.json", "## The match event"),
        ("proto/schema/audit.json", "## The audit event"),
    ] {
        let schema: Value = read_json(file);
        let fields: BTreeSet<String> = schema["properties"]
            .as_object()
            .expect("properties")
            .keys()
            .cloned()
            .collect();
        let written: BTreeSet<String> = section(title)
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
            .collect();
        assert_eq!(written, fields, "{title}");
    }
}

#[test]
fn frames_of_the_page_are_those_of_the_schema() {
    let mut types = BTreeSet::new();
    for file in ["proto/schema/client-frame.json", "proto/schema/server-frame.json"] {
        let schema: Value = read_json(file);
        let variants = schema["oneOf"].as_array().expect("variants");
        types.extend(
            variants
                .iter()
                .map(|v| v["properties"]["type"]["const"].as_str().expect("a type").to_owned()),
        );
    }
    let page = section("## WebSocket");
    let written: BTreeSet<String> = page
        .split("{\"type\":\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
        .collect();
    let named_in_words = BTreeSet::from(["pong".to_owned()]);
    assert_eq!(&written | &named_in_words, types);
}

fn help(name: &str, args: &[&str]) -> String {
    let output = Command::new(binary(name))
        .args(args)
        .arg("--help")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{name} {args:?} --help");
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

fn variables(help: &str) -> Vec<String> {
    // A narrow terminal breaks lines within the brackets.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = help.split("[env: ").skip(1);
    named
        .filter_map(|rest| Some(rest.split(['=', ']']).next()?.trim().to_owned()))
        .collect()
}

fn section(title: &str) -> String {
    let page = std::fs::read_to_string(repo_root().join("proto/README.md")).expect("the page is there");
    let (_, rest) = page.split_once(&format!("{title}\n")).expect("the section is there");
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

fn read_json(file: &str) -> Value {
    let text = std::fs::read_to_string(repo_root().join(file)).expect("the file is there");
    serde_json::from_str(&text).expect("it is JSON")
}
