//! Other names under which a HIS sends the interface's fields.

use std::path::Path;

use aimis_core::contract;
use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::suggest::nearest;
use crate::config::tree::Node;

/// A name that a HIS uses, and the field it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What the HIS sends.
    pub alias: String,
    /// What the interface calls it.
    pub field: String,
}

/// `alias=field`.
pub(in crate::config) struct AliasKind;

/// `alias=field`.
pub(in crate::config) fn alias() -> AliasKind {
    AliasKind
}

impl Kind for AliasKind {
    type Value = Alias;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Alias, Refusal> {
        let wrong = || Refusal::not("a HIS's name and a field, like sfzh=idNum", node);
        let (alias, field) = node.text().and_then(|text| text.split_once('=')).ok_or_else(wrong)?;
        let (alias, field) = (alias.trim(), field.trim());
        let contracts = contract::queries();
        let fields = || {
            contracts
                .iter()
                .flat_map(|contract| contract.fields())
                .map(|field| &*field.name)
        };
        if !fields().any(|known| known == field) {
            let hint = nearest(field, fields()).map_or_else(String::new, |near| format!(", did you mean {near}?"));
            return Err(Refusal::new(format!(
                "does not name a field of the interface behind `=`{hint}"
            )));
        }
        if fields().any(|known| known.eq_ignore_ascii_case(alias)) {
            return Err(Refusal::new("would give a field of the interface another meaning"));
        }
        if alias.is_empty() || alias.chars().count() > 64 || alias.chars().any(char::is_control) {
            return Err(wrong());
        }
        Ok(Alias {
            alias: alias.to_owned(),
            field: field.to_owned(),
        })
    }

    fn show(&self, value: &Alias) -> Plain {
        Plain::Text(format!("{}={}", value.alias, value.field))
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "string", "pattern": "^[^=]{1,64}=[A-Za-z]+$"}),
            "`\"sfzh=idNum\"`: the name that the HIS sends, `=`, a field of the interface",
        )
    }
}
