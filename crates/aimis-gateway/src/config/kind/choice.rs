//! One of a few names.

use std::marker::PhantomData;
use std::path::Path;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// An enum whose variants have names in the file; made by `choices!`.
pub(in crate::config) trait Choice: Copy + PartialEq + 'static {
    /// Each value, its name and what it means.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// Its name in the file.
    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(value, ..)| *value == self);
        found.map(|(_, name, _)| *name).expect("`choices!` lists every variant")
    }
}

/// One of the names of `C`.
pub(in crate::config) struct OneOf<C>(PhantomData<C>);

/// One of the names of `C`.
pub(in crate::config) fn one_of<C: Choice>() -> OneOf<C> {
    OneOf(PhantomData)
}

impl<C: Choice> Kind for OneOf<C> {
    type Value = C;

    fn read(&self, node: &Node, _directory: &Path) -> Result<C, Refusal> {
        let found = node
            .text()
            .and_then(|text| C::ALL.iter().find(|(_, name, _)| *name == text));
        found.map(|(value, ..)| *value).ok_or_else(|| {
            let names: Vec<_> = C::ALL.iter().map(|(_, name, _)| format!("\"{name}\"")).collect();
            Refusal::new(format!("is not allowed, only {}", names.join(", ")))
        })
    }

    fn show(&self, value: &C) -> Plain {
        Plain::from(value.name())
    }

    fn shape(&self) -> Shape {
        let names: Vec<_> = C::ALL.iter().map(|(_, name, _)| *name).collect();
        let meanings = C::ALL.iter().map(|(_, name, about)| match about.trim() {
            "" => format!("`{name}`"),
            about => format!("`{name}`: {}", uncapitalised(about.trim_end_matches('.'))),
        });
        Shape::new(json!({"enum": names}), meanings.collect::<Vec<_>>().join("; "))
    }
}

/// The beginning of a sentence as the middle of one; an abbreviation stays as it is.
fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Declares an enum and the names of its values in the file.
macro_rules! choices {
    (
        $(#[doc = $about:literal])+
        pub enum $Name:ident {
            $( $(#[doc = $doc:literal])+ $Variant:ident = $name:literal, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $( $(#[doc = $doc])+ $Variant, )+
        }

        impl $crate::config::kind::choice::Choice for $Name {
            const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$Variant, $name, concat!($($doc),+))),+];
        }
    };
}
pub(in crate::config) use choices;
