//! Collects an event's fields as JSON text.

use std::fmt;

use serde_json::value::RawValue;
use tracing::field::{Field, Visit};

use crate::Severity;

/// What decides whether an event is written. Its other fields are not formatted.
pub(super) struct Heading {
    pub(super) message: String,
    pub(super) severity: Severity,
}

impl Heading {
    pub(super) fn new(severity: Severity) -> Self {
        Self { message: String::new(), severity }
    }
}

impl Visit for Heading {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "level" => self.severity = value.parse().unwrap_or(self.severity),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "message" | "level") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// The fields of an event. The documentation of the crate lists those that are special.
pub(super) struct Fields {
    pub(super) heading: Heading,
    pub(super) logger: Option<String>,
    /// The members of a JSON object, each with [`Self::separator`] in front.
    pub(super) members: String,
    /// Between members and between a name and its value there is a blank.
    spaced: bool,
}

impl Fields {
    /// For the other fields of an event with this heading.
    pub(super) fn new(heading: Heading, spaced: bool) -> Self {
        Self { heading, logger: None, members: String::new(), spaced }
    }

    /// What stands in front of each member.
    pub(super) fn separator(&self) -> &'static str {
        if self.spaced { ", " } else { "," }
    }

    fn name(&mut self, name: &str) {
        self.members.push_str(self.separator());
        push_json_string(&mut self.members, name);
        self.members.push_str(if self.spaced { ": " } else { ":" });
    }

    fn literal(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field.name());
        self.members.push_str(&value.to_string());
    }

    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => {}
            "logger" => self.logger = Some(value.to_owned()),
            "level" if value.parse::<Severity>().is_ok() => {}
            "{}" => self.splice(value),
            name => match name.strip_suffix("[]") {
                Some(name) => self.json(name, value),
                None => {
                    self.name(name);
                    push_json_string(&mut self.members, value);
                }
            },
        }
    }

    /// A value that is JSON already. What is not becomes text.
    fn json(&mut self, name: &str, value: &str) {
        self.name(name);
        match serde_json::from_str::<serde_json::Value>(value) {
            // As it is, because its members have an order.
            Ok(serde_json::Value::Object(_)) => self.members.push_str(value),
            Ok(json) => self.members.push_str(&json.to_string()),
            Err(_) => push_json_string(&mut self.members, value),
        }
    }

    /// The members of an object, in their order. Text that is no object becomes a field `fields`.
    fn splice(&mut self, object: &str) {
        match serde_json::from_str::<Members<'_>>(object) {
            Ok(Members(members)) => {
                for (name, value) in members {
                    self.name(&name);
                    self.members.push_str(value.get());
                }
            }
            Err(_) => self.json("fields", object),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.literal(field, value);
        } else {
            self.text(field, &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.literal(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.literal(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The heading has it.
        if field.name() != "message" {
            self.text(field, &format!("{value:?}"));
        }
    }
}

/// Appends `text` in quotes.
pub(super) fn push_json_string(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

/// The members of a JSON object in the order of the text, values unparsed.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> serde::de::Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
