//! `asyncapi.json`: what comes and goes over the WebSocket and NATS, made from the types.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::detection::{Detection, Family};
use tgmesh_proto::frame::{ClientFrame, ServerFrame};
use tgmesh_proto::matched::Match;
use tgmesh_proto::stats::StatsReport;
use tgmesh_proto::{headers, subject};

/// The document.
pub fn document() -> Value {
    // What AsyncAPI calls its own schema format is a superset of draft 07.
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let mut messages = Map::new();
    let from_client = frames::<ClientFrame>(&mut schemas, "client", &mut messages);
    let from_server = frames::<ServerFrame>(&mut schemas, "server", &mut messages);
    event::<Detection>(&mut schemas, "detection", &mut messages);
    event::<Match>(&mut schemas, "match", &mut messages);
    event::<AuditEvent>(&mut schemas, "audit", &mut messages);
    messages.insert(
        "deadletter".to_owned(),
        json!({
            "summary": "What a consumer could not handle: the original bytes, the reason and the attempts in headers.",
            "headers": {"type": "object", "properties": {
                "Tgmesh-Deadletter-Reason": {"type": "string"},
                "Tgmesh-Deadletter-Attempts": {"type": "string"},
            }},
            "payload": {"description": "Bytes as they were."},
        }),
    );
    let report = schemas.subschema_for::<StatsReport>();
    messages.insert(
        "stats".to_owned(),
        json!({"contentType": headers::CONTENT_TYPE_MSGPACK, "payload": report}),
    );
    let all = |names: &[String], channel: &str| -> Vec<Value> {
        let reference = |name: &String| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
        names.iter().map(reference).collect()
    };
    let held = |names: &[&str]| -> Map<String, Value> {
        let held = |name: &&str| {
            (
                (*name).to_owned(),
                json!({"$ref": format!("#/components/messages/{name}")}),
            )
        };
        names.iter().map(held).collect()
    };
    let frames: Vec<&str> = from_client.iter().chain(&from_server).map(String::as_str).collect();
    let families: Vec<&str> = Family::ALL.iter().map(|family| family.as_str()).collect();
    let on_nats = |address: &str, description: &str, parameters: Value, message: &str| {
        json!({
            "address": address,
            "description": description,
            "servers": [{"$ref": "#/servers/nats"}],
            "parameters": parameters,
            "messages": held(&[message]),
        })
    };
    let chat = json!({"description": "The id that the Telegram Bot API shows."});
    let sends = |channel: &str, message: &str| {
        json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{channel}")},
            "messages": all(&[message.to_owned()], channel),
        })
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "tgmesh",
            "version": tgmesh_proto::SCHEMA_VERSION,
            "description": "Contract addresses out of Telegram, live: frames of the gateway's WebSocket, and the subjects of the mesh. The words of the contract stand in proto/README.md.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "description": "tgmesh-gateway, by default; wss behind TLS.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
            "nats": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "NATS with JetStream."},
        },
        "channels": {
            "ws": {
                "address": "/ws",
                "description": "Subprotocol tgmesh.v1.json (text, the default) or tgmesh.v1.msgpack (binary): the same frames in both. The token comes in Authorization, in the subprotocol offer behind `bearer`, or in the first frame; never in the URL.",
                "servers": [{"$ref": "#/servers/gateway"}],
                "messages": held(&frames),
                "bindings": {"ws": {"method": "GET", "headers": {"type": "object", "properties": {
                    "Authorization": {"type": "string"},
                    "Sec-WebSocket-Protocol": {"type": "string"},
                }}, "bindingVersion": "0.1.0"}},
            },
            "detections": on_nats(
                "tgmesh.v1.detections.{chat_id}.{family}",
                "Stream DETECTIONS.",
                json!({"chat_id": chat, "family": {"description": "Address family.", "enum": families}}),
                "detection",
            ),
            "matches": on_nats("tgmesh.v1.matches.{chat_id}", "Stream MATCHES.", json!({"chat_id": chat}), "match"),
            "audit": on_nats(
                "tgmesh.v1.audit.{service}.{event}",
                "Stream AUDIT.",
                json!({"service": {"description": "Who tells it."}, "event": {"description": "What happened."}}),
                "audit",
            ),
            "deadletters": on_nats(
                "tgmesh.v1.deadletters.{consumer}",
                "Stream DEADLETTERS.",
                json!({"consumer": {"description": "Durable consumer that gave it up."}}),
                "deadletter",
            ),
            "stats": on_nats(
                "tgmesh.v1.stats.{service}.{instance}",
                "Core NATS, in no stream: every 5 s from each process.",
                json!({"service": {"description": "Kind of process."}, "instance": {"description": "The process."}}),
                "stats",
            ),
        },
        "operations": {
            "ask": {"action": "receive", "channel": {"$ref": "#/channels/ws"}, "messages": all(&from_client, "ws")},
            "tell": {"action": "send", "channel": {"$ref": "#/channels/ws"}, "messages": all(&from_server, "ws")},
            "publishDetection": sends("detections", "detection"),
            "publishMatch": sends("matches", "match"),
            "publishAudit": sends("audit", "audit"),
            "publishDeadletter": sends("deadletters", "deadletter"),
            "publishStats": sends("stats", "stats"),
        },
        "components": {
            "messages": messages,
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

/// A message for each variant of a frame; their names.
fn frames<T: JsonSchema>(schemas: &mut SchemaGenerator, side: &str, messages: &mut Map<String, Value>) -> Vec<String> {
    let schema = schemas.root_schema_for::<T>().to_value();
    let variants = schema["oneOf"].as_array().expect("a frame is one of its variants");
    let mut names = Vec::new();
    for variant in variants {
        let kind = variant["properties"]["type"]["const"].as_str().expect("it has a type");
        let name = format!("{side}.{kind}");
        let summary = variant["description"].as_str().unwrap_or_default();
        messages.insert(
            name.clone(),
            json!({"name": kind, "summary": summary, "payload": variant}),
        );
        names.push(name);
    }
    names
}

/// A message of a stream.
fn event<T: JsonSchema>(schemas: &mut SchemaGenerator, name: &str, messages: &mut Map<String, Value>) {
    let text = json!({"type": "string"});
    let payload = schemas.subschema_for::<T>();
    messages.insert(
        name.to_owned(),
        json!({
            "contentType": headers::CONTENT_TYPE_MSGPACK,
            "headers": {
                "type": "object",
                "properties": {
                    (headers::MSG_ID): text,
                    (headers::TRACEPARENT): text,
                    (headers::TRACESTATE): text,
                    (headers::SCHEMA): {"type": "string", "const": tgmesh_proto::SCHEMA_VERSION},
                    (headers::CONTENT_TYPE): {"type": "string", "const": headers::CONTENT_TYPE_MSGPACK},
                },
            },
            "payload": payload,
        }),
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.push(reference);
                }
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 40, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn channels_are_the_subjects_and_operations_use_their_messages() {
    let document = document();
    let channels = document["channels"].as_object().expect("channels");
    let subjects: BTreeSet<String> = channels
        .values()
        .filter_map(|channel| channel["address"].as_str()?.split_once('{'))
        .map(|(fixed, _)| format!("{fixed}>"))
        .collect();
    let wanted = [
        subject::DETECTIONS_ALL,
        subject::MATCHES_ALL,
        subject::AUDIT_ALL,
        subject::DEADLETTERS_ALL,
        subject::STATS_ALL,
    ];
    assert_eq!(subjects, wanted.map(str::to_owned).into());
    for (name, channel) in channels {
        let address = channel["address"].as_str().expect("an address");
        let in_address: BTreeSet<&str> = address
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect();
        let declared = channel["parameters"].as_object();
        let declared: BTreeSet<&str> = declared.iter().flat_map(|map| map.keys()).map(String::as_str).collect();
        assert_eq!(in_address, declared, "{name}");
    }
    for (name, operation) in document["operations"].as_object().expect("operations") {
        let channel = operation["channel"]["$ref"].as_str().expect("a channel");
        for message in operation["messages"].as_array().expect("messages") {
            let message = message["$ref"].as_str().expect("a reference");
            assert!(
                message.starts_with(&format!("{channel}/messages/")),
                "{name}: {message}"
            );
        }
    }
}
