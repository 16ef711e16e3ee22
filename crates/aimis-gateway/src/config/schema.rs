//! The JSON Schema of a configuration file, for editors and for checks of rendered files.

use serde_json::{Map, Value as Json, json};

use super::Config;
use super::section::{Field, Form, Presence, Section};

/// The JSON Schema (2020-12) of a configuration file. It says what each key alone may be; what keys may be
/// together, only [`load`](super::load()) says.
pub fn schema() -> Json {
    let mut schema = object(&Config::fields(), false);
    let root = schema.as_object_mut().expect("`object` makes an object");
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), "aimis-gateway configuration".into());
    root.insert("description".into(), "Configuration of aimis-gateway.".into());
    // A JSON file may name its schema.
    root["properties"]["$schema"] = json!({"type": "string"});
    root.sort_keys();
    schema
}

/// A table; the defaults of one that `inherits` are not known here.
fn object(fields: &[Field], inherits: bool) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut property = match &field.form {
            Form::Value { shape, .. } if shape.secret => continue,
            Form::Value { shape, presence } => {
                let mut schema = shape.schema.clone();
                match presence {
                    Presence::Default(default) if !inherits => schema["default"] = default.to_json(),
                    Presence::Required(_) => required.push(field.key),
                    Presence::Default(_) | Presence::Optional(_) => {}
                }
                schema["description"] = format!("{} Allowed: {}.", field.about, shape.allowed).into();
                schema
            }
            Form::Table { fields, inherits, .. } => object(fields, *inherits),
            Form::Tables { fields, max, .. } => {
                json!({"type": "array", "maxItems": max, "items": object(fields, false)})
            }
        };
        if property.get("description").is_none() {
            property["description"] = field.about.as_str().into();
        }
        properties.insert(field.key.into(), property);
    }
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
