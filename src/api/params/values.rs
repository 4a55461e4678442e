//! A query's values, each read as the field wants it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// Why a query could not be read, in words.
#[derive(Debug)]
pub(super) struct Unread(String);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unread {}

impl Error for Unread {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("the query parameter {name} is missing"))
    }
}

/// What stands behind a name, decoded to bytes; `None` where not even `=` does.
type Given = Option<Vec<u8>>;

/// All parameters of one query.
pub(super) struct Parameters {
    rest: BTreeMap<String, Given>,
    now: (String, Given),
}

impl Parameters {
    pub(super) fn new(found: BTreeMap<String, Given>) -> Self {
        Self { rest: found, now: Default::default() }
    }
}

impl<'de> Deserializer<'de> for Parameters {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        if let Some(name) = self.rest.keys().find(|name| !fields.contains(&name.as_str())) {
            let allowed = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            return Err(Unread(format!("unknown query parameter {name:?}; allowed: {allowed}")));
        }
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Parameters {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unread> {
        let Some(next) = self.rest.pop_first() else { return Ok(None) };
        self.now = next;
        seed.deserialize(StrDeserializer::new(&self.now.0)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        let (name, value) = std::mem::take(&mut self.now);
        seed.deserialize(Value(value))
            .map_err(|why| Unread(format!("failed to read query parameter {name:?}: {why}")))
    }
}

struct Value(Given);

impl Value {
    fn text(&self) -> Result<&str, Unread> {
        std::str::from_utf8(self.0.as_deref().unwrap_or_default())
            .map_err(|_| Unread("it is not UTF-8".to_owned()))
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_byte_buf(self.0.unwrap_or_default())
    }

    /// `name=true`, `name=false`, or `name` alone.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.text()? {
            _ if self.0.is_none() => visitor.visit_bool(true),
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(Unread(format!("{other:?}: expected true or false"))),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        let text = self.text()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        visitor.visit_u64(number.ok_or_else(|| Unread(format!("{text:?}: expected a number")))?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        StrDeserializer::new(self.text()?).deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 u16 f32 f64 char str string bytes unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A value whose bytes need not be UTF-8: a path.
#[derive(Debug, PartialEq)]
pub(in crate::api) struct Bytes(pub(in crate::api) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Whole)
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
