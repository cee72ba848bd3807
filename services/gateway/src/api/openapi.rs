//! The description of the API (`OpenAPI` 3.1), made from the types that it answers with.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use tgmesh_proto::detection::Family;
use tgmesh_proto::frame::{EventName, MAX_LAST, MAX_PATTERN_BYTES};

use super::answers::{Address, AuditEntries, Chats, DeadLetters, Events, Problem, Sender};
use super::detections::{DEFAULT_LIMIT, MAX_LIMIT};

/// The document, as it is checked in.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    // JSON values always have a text.
    TEXT.get_or_init(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n")
}

fn document() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    // Answers are written, never read: what is always there is required.
    let mut schemas = settings.for_serialize().into_generator();
    let problem = schema::<Problem>(&mut schemas);
    let paths = json!({
        "/api/detections": get("Past events, newest first", detections(), &ok_events(&mut schemas), &["403"]),
        "/api/stream": get(
            "Live events as Server-Sent Events; each one's data is a frame of the WebSocket",
            stream(),
            &json!({ "description": "Events until one side ends it", "content": {
                "text/event-stream": { "schema": { "type": "string" } },
            } }),
            &[],
        ),
        "/api/addresses/{address}": get(
            "What is known of an address within the chats that may be seen",
            json!([path("address", "EVM in any case", json!({"type": "string", "minLength": 1, "maxLength": 256}))]),
            &ok(&schema::<Address>(&mut schemas)), &["404"],
        ),
        "/api/chats": get(
            "The chats that may be seen",
            json!([limit(), query("cursor", "`next_cursor` of the page before", json!({"type": "string", "pattern": "^-?[0-9]{1,18}$"}))]),
            &ok(&schema::<Chats>(&mut schemas)), &[],
        ),
        "/api/senders/{id}": get(
            "A sender, as the events that may be seen tell; not for viewers",
            json!([path("id", "Bot API id", json!({"type": "integer", "format": "int64"}))]),
            &ok(&schema::<Sender>(&mut schemas)), &["403", "404"],
        ),
        "/api/deadletters": get(
            "What could not be handled, the oldest first; for operators",
            json!([limit(), query("cursor", "`next_cursor` of the page before", json!({"type": "string", "pattern": "^[0-9]{1,18}$"}))]),
            &ok(&schema::<DeadLetters>(&mut schemas)), &["403"],
        ),
        "/api/audit": get(
            "The audit log, newest first; for operators", audit(), &ok(&schema::<AuditEntries>(&mut schemas)), &["403"],
        ),
        "/api/metrics/telegram-stream": get(
            "The whole mesh in figures", json!([]), &ok(&json!({"type": "object"})), &[],
        ),
        "/api/revocations": { "post": {
            "summary": "Takes a token, or all tokens of a subject, back; for operators",
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
                "properties": {
                    "token_id": {"type": "string", "minLength": 1, "maxLength": 256},
                    "subject": {"type": "string", "minLength": 1, "maxLength": 256},
                },
            } } } },
            "responses": responses(&json!({"description": "Stored"}), "204", &["403", "413"]),
        } },
    });
    let mut components = serde_json::Map::new();
    for (name, definition) in schemas.take_definitions(true) {
        components.insert(name, definition);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tgmesh", "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP side of the gateway. Everything is cut to the rights of the token.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "responses": { "Problem": {
                "description": "What is wrong (RFC 9457); `Retry-After` where it makes sense to try again",
                "headers": { "Retry-After": { "schema": { "type": "integer" }, "description": "Seconds" } },
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": components,
        },
    })
}

fn schema<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

#[expect(clippy::needless_pass_by_value, reason = "made for this call alone")]
fn get(summary: &str, parameters: Value, ok: &Value, more: &[&str]) -> Value {
    json!({ "get": {
        "summary": summary,
        "parameters": parameters,
        "responses": responses(ok, "200", more),
    } })
}

fn responses(ok: &Value, status: &str, more: &[&str]) -> Value {
    let mut responses = json!({ status: ok });
    for status in ["400", "401", "405", "406", "429", "500", "503"].iter().chain(more) {
        responses[status] = json!({ "$ref": "#/components/responses/Problem" });
    }
    responses
}

fn ok(schema: &Value) -> Value {
    json!({ "description": "The answer", "content": { "application/json": { "schema": schema } } })
}

fn ok_events(schemas: &mut SchemaGenerator) -> Value {
    json!({ "description": "A page; or an export of all pages, not for viewers", "content": {
        "application/json": { "schema": schema::<Events>(schemas) },
        "text/csv": { "schema": { "type": "string" } },
        "application/x-ndjson": { "schema": { "type": "string" } },
    } })
}

#[expect(clippy::needless_pass_by_value, reason = "made for this call alone")]
fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

#[expect(clippy::needless_pass_by_value, reason = "made for this call alone")]
fn path(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// Comma separated, or repeated, or both.
fn list(name: &str, description: &str, item: &Value) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "style": "form", "explode": false,
        "schema": { "type": "array", "items": item, "minItems": 1, "maxItems": 1000 },
    })
}

fn limit() -> Value {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT});
    query("limit", "Most rows of a page; a page may have fewer", schema)
}

fn page_cursor() -> Value {
    let schema = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{34}$"});
    query("cursor", "`next_cursor` of the page before", schema)
}

fn times() -> [Value; 2] {
    let schema = json!({"anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 253_402_300_799_999_i64},
        {"type": "string", "format": "date-time"},
    ]});
    [
        query(
            "since",
            "From here on: milliseconds since the epoch, or RFC 3339 in UTC",
            schema.clone(),
        ),
        query(
            "until",
            "Before this: milliseconds since the epoch, or RFC 3339 in UTC",
            schema,
        ),
    ]
}

fn detections() -> Value {
    let mut parameters = filter();
    parameters.extend([limit(), page_cursor()]);
    parameters.extend(times());
    parameters.into()
}

fn stream() -> Value {
    let mut parameters = filter();
    parameters.push(query(
        "last",
        "Begin with so many past events",
        json!({"type": "integer", "minimum": 1, "maximum": MAX_LAST}),
    ));
    parameters.push(json!({
        "name": "Last-Event-ID", "in": "header", "description": "`id` of the last event that was handled",
        "schema": {"type": "string", "pattern": "^.+:[0-9]{1,19}$"},
    }));
    parameters.into()
}

fn filter() -> Vec<Value> {
    let id = json!({"type": "integer", "format": "int64"});
    let word = json!({"type": "string", "minLength": 1});
    let families: Vec<&str> = Family::ALL.iter().map(|family| family.as_str()).collect();
    let events: Vec<&str> = EventName::ALL.iter().map(|event| event.as_str()).collect();
    vec![
        list("chats", "Bot API ids", &id),
        list(
            "families",
            "Address families",
            &json!({"type": "string", "enum": families}),
        ),
        list("chains", "Chains; an event without a chain does not pass", &word),
        list("addresses", "Addresses; EVM in any case", &word),
        list("senders", "Ids of senders; nothing passes for viewers", &id),
        list("rules", "Names of watch rules", &word),
        query(
            "text",
            "Regular expression on the text; needs chats or addresses, and since within 7 days of until",
            json!({"type": "string", "maxLength": MAX_PATTERN_BYTES}),
        ),
        query(
            "min_confidence",
            "Smallest confidence",
            json!({"type": "number", "minimum": 0, "maximum": 1}),
        ),
        list("events", "Kinds of events", &json!({"type": "string", "enum": events})),
        query(
            "unique_within",
            "A duration with its unit, at most 7d: an event is left out when an earlier one that passes the rest of \
             the filter tells of the same address within it",
            json!({"type": "string", "pattern": "^[1-9][0-9]{0,2}(s|m|h)$"}),
        ),
        query(
            "backfill",
            "Whether events fetched from the past are wanted",
            json!({"type": "boolean", "default": false}),
        ),
        query(
            "matches",
            "Whether events without an address are wanted",
            json!({"type": "boolean", "default": false}),
        ),
    ]
}

fn audit() -> Value {
    let word = json!({"type": "string"});
    let mut parameters = vec![
        query("service", "Name of the service", word.clone()),
        query("event", "What happened", word.clone()),
        query("actor", "Who did it", word.clone()),
        query("target", "To what", word),
        limit(),
        page_cursor(),
    ];
    parameters.extend(times());
    parameters.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `make generate` (`TGMESH_REGENERATE=1`) writes it anew.
    #[test]
    fn the_checked_in_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/openapi.json");
        if std::env::var_os("TGMESH_REGENERATE").is_some() {
            std::fs::write(path, text()).expect("it can be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == text(),
            "proto/openapi.json is stale: run `make generate` and look at the difference"
        );
    }
}
