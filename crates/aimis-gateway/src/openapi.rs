//! What the gateway answers, as an OpenAPI 3.1 document: for whoever writes a HIS, and for the operators' listener.
//!
//! The queries follow from their contracts, as decoding and checking do; what else there is, is said here, and
//! `tests/it/openapi.rs` asks a gateway for all of it.

use aimis_core::contract::{self, Contract, FieldKind, HOSPITAL_ID, UNION_ID};
use serde_json::{Map, Value, json};

use crate::admin;

/// Where operators get it.
pub const PATH: &str = "/openapi.json";

/// The document, as it is in `config/openapi.json`.
pub fn document() -> Value {
    let mut paths = Map::new();
    for query in contract::queries() {
        paths.insert(format!("/thirdparty/{}", query.name()), question(&query, false));
        paths.insert(
            format!("/thirdparty/{}/{{appId}}", query.name()),
            question(&query, true),
        );
    }
    paths.insert("/inbox/v1/{tenant}/events".to_owned(), events());
    for (path, operation) in operators() {
        paths.insert(path.to_owned(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "aimis-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "What a HIS asks at lan.listen (tags query and events) and an operator at admin.listen (tag operator). Old spellings that are understood as well are in docs/connecting-a-his.md; refusals in docs/errors.md.",
        },
        "servers": [{ "url": "http://127.0.0.1:8080", "description": "lan.listen" }],
        "paths": paths,
        "components": { "securitySchemes": schemes(), "schemas": { "Refusal": refusal(), "Envelope": envelope() } },
    })
}

/// It as text, the form in which it is kept and sent.
pub fn text() -> String {
    format!("{:#}\n", document())
}

fn question(query: &Contract, with_app_id: bool) -> Value {
    let properties: Map<String, Value> = query
        .fields()
        .iter()
        .map(|field| (field.name.clone(), kind(field.kind)))
        .collect();
    // The gateway fills these in from its configuration.
    let filled_in = |name: &str| [HOSPITAL_ID, UNION_ID].contains(&name);
    let required: Vec<&str> = query
        .fields()
        .iter()
        .filter(|field| field.required && !filled_in(&field.name))
        .map(|field| field.name.as_str())
        .collect();
    let suffix = if with_app_id { "ByAppId" } else { "" };
    let mut item = json!({
        "post": {
            "tags": ["query"],
            "operationId": format!("{}{suffix}", query.name()),
            "summary": "Asks the imaging platform; personal fields in clear, encrypted by the gateway",
            "security": [{ "key": [] }, { "bearer": [] }, {}],
            "requestBody": content(&json!({ "type": "object", "properties": properties, "required": required })),
            "responses": {
                "200": response("The platform's answer, byte for byte; `code` 0 is success", "Envelope"),
                "default": response("The gateway's refusal", "Refusal"),
            },
        },
    });
    if with_app_id {
        item["parameters"] = json!([parameter("appId", "The hospital's, from the platform")]);
    }
    item
}

fn kind(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Phone => json!({ "type": "string", "description": "Telephone number, in clear" }),
        FieldKind::IdNumber => json!({ "type": "string", "description": "Identity number, in clear" }),
        FieldKind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        FieldKind::DateTime(_) => json!({
            "type": "string",
            "description": "yyyy-MM-dd HH:mm:ss, China time",
            "examples": ["2024-01-01 00:00:00"],
        }),
    }
}

fn events() -> Value {
    let leases = json!({ "type": "array", "items": { "type": "string" } });
    let query = |name: &str, text: &str| json!({ "name": name, "in": "query", "description": text, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "parameters": [parameter("tenant", "The tenant's name in the configuration")],
        "get": {
            "tags": ["events"],
            "operationId": "fetchEvents",
            "summary": "Fetches events of callbacks, for a HIS that is not delivered to",
            "security": [{ "key": [] }, { "bearer": [] }, {}],
            "parameters": [query("limit", "At most so many events"), query("wait", "Seconds to wait for the first")],
            "responses": {
                "200": response("Events, each with its lease", "Envelope"),
                "default": response("The gateway's refusal", "Refusal"),
            },
        },
        "post": {
            "tags": ["events"],
            "operationId": "settleEvents",
            "summary": "Says what became of them",
            "security": [{ "key": [] }, { "bearer": [] }, {}],
            "requestBody": content(&json!({
                "type": "object",
                "properties": {
                    "ack": leases,
                    "nack": { "type": "array", "items": {
                        "type": "object",
                        "properties": { "lease": { "type": "string" }, "retry_after_s": { "type": "integer", "minimum": 0 } },
                        "required": ["lease"],
                    } },
                },
            })),
            "responses": {
                "200": response("Kept; `lost` names leases that had run out", "Envelope"),
                "default": response("The gateway's refusal", "Refusal"),
            },
        },
    })
}

/// What the operators' listener answers.
fn operators() -> [(&'static str, Value); 5] {
    let act = |method: &str, id: &str, summary: &str, body: Option<Value>| {
        let mut operation = json!({
            "tags": ["operator"],
            "operationId": id,
            "summary": summary,
            "responses": {
                "200": { "description": "Done", "content": { "application/json": { "schema": { "type": "object" } } } },
                "default": { "description": "`error` says why not", "content": { "application/json": { "schema": {
                    "type": "object", "properties": { "error": { "type": "string" } }, "required": ["error"],
                } } } },
            },
        });
        if let Some(schema) = body {
            operation["requestBody"] = content(&schema);
        }
        json!({ "servers": [{ "url": "http://localhost:9465", "description": "admin.listen" }], method: operation })
    };
    let text = json!({ "type": "string" });
    let order = json!({
        "type": "object",
        "properties": { "all": { "type": "boolean" }, "tenant": text, "api": text, "patient": text },
        "additionalProperties": false,
    });
    [
        (PATH, act("get", "openapi", "This document", None)),
        (admin::CACHE, act("get", "showCache", "What the cache holds", None)),
        (
            admin::CREDENTIALS,
            act("get", "showCredentials", "Which tokens are live, by fingerprint", None),
        ),
        (
            admin::CACHE_PURGE,
            act("post", "purgeCache", "Drops kept answers", Some(order)),
        ),
        (
            admin::RELOAD,
            act(
                "post",
                "reload",
                "Reads the configuration and its files anew",
                Some(json!({})),
            ),
        ),
    ]
}

fn schemes() -> Value {
    json!({
        "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
        "bearer": { "type": "http", "scheme": "bearer" },
    })
}

fn envelope() -> Value {
    json!({
        "type": "object",
        "properties": { "code": { "type": "integer" }, "message": { "type": "string" }, "data": {} },
        "required": ["code", "message"],
    })
}

/// RFC 9457 and the platform's envelope in one.
fn refusal() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "code": { "type": "integer", "minimum": 800_001, "maximum": 800_900 },
            "message": text, "data": { "type": "null" }, "requestId": text, "type": text, "title": text,
            "status": { "type": "integer" }, "detail": text,
            "errors": { "type": "array", "items": {
                "type": "object", "properties": { "field": text, "reason": text, "hint": text }, "required": ["field", "reason"],
            } },
        },
        "required": ["code", "message", "data", "requestId", "type", "title", "status", "detail"],
    })
}

fn parameter(name: &str, text: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": text, "schema": { "type": "string" } })
}

fn content(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn response(text: &str, schema: &str) -> Value {
    let reference = format!("#/components/schemas/{schema}");
    json!({ "description": text, "content": { "application/json": { "schema": { "$ref": reference } } } })
}
