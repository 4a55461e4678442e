//! How the nouns that are written in a form of their own are described: names,
//! times, spans and sizes, as requests may give them and as answers show them.
//!
//! Promises: what a description allows is read, and what is written fits its
//! description; the readers are beside the types themselves.

use std::borrow::Cow;

use schemars::generate::Contract;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    ByteSize, ChunkId, EntryId, HoldId, JobId, LedgerId, PlanId, RootName, RunId, SessionId, TimeSpan,
    Timestamp, TreePrint,
};

macro_rules! described {
    ($name:ident, $generator:ident => $schema:expr) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

fn name(max: usize) -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^[A-Za-z0-9._-]{{1,{max}}}$") })
}

described!(JobId, _generator => json_schema!({
    "type": "string",
    "pattern": format!("^[A-Za-z0-9._-]{{1,{}}}$", Self::MAX_LEN),
    "description": "the name of a job; `failed` is reserved",
}));
described!(ChunkId, _generator => name(Self::MAX_LEN));
described!(SessionId, _generator => name(Self::MAX_LEN));
described!(RootName, _generator => name(Self::MAX_LEN));

/// An identifier that guardian made: opaque, and sorts by time where it says so.
fn made() -> Schema {
    json_schema!({ "type": "string" })
}

described!(RunId, _generator => made());
described!(PlanId, _generator => made());
described!(EntryId, _generator => made());
described!(HoldId, _generator => made());
described!(LedgerId, _generator => made());

described!(TreePrint, _generator => json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" }));

described!(Timestamp, generator => match generator.contract() {
    Contract::Serialize => json_schema!({ "type": "string", "format": "date-time" }),
    _ => json_schema!({
        "description": "RFC 3339, or integer Unix seconds",
        "anyOf": [
            { "type": "string", "format": "date-time" },
            { "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX },
        ],
    }),
});

/// Digits and repetitions are as many as can never be too much.
const SPAN: &str = "^([0-9]{1,9}(ms|s|m|h|d|w) ?){1,6}$";

described!(TimeSpan, generator => match generator.contract() {
    Contract::Serialize => json_schema!({ "type": "integer", "minimum": 0, "description": "seconds" }),
    _ => json_schema!({
        "description": "such as 90s, 15m, 24h, 30d or 1h30m; or integer seconds",
        "anyOf": [
            { "type": "string", "pattern": SPAN },
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
        ],
    }),
});

/// A [`TimeSpan`] in a request that must not be nothing.
pub fn some_span(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "such as 90s, 15m, 24h, 30d or 1h30m; or integer seconds; above 0",
        "anyOf": [
            { "type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d|w)( ?[0-9]{1,9}(ms|s|m|h|d|w)){0,5}$" },
            { "type": "integer", "minimum": 1, "maximum": u64::MAX },
            { "type": "null" },
        ],
    })
}

/// A plain number, or one with a unit; as many digits as always fit.
const SIZE: &str = "^([0-9]{1,19}|[0-9]{1,7}(\\.[0-9]{1,9})? ?(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)\
                    |[0-9]{1,4}(\\.[0-9]{1,9})? ?(PiB|PB))$";

described!(ByteSize, generator => match generator.contract() {
    Contract::Serialize => json_schema!({ "type": "integer", "minimum": 0, "description": "bytes" }),
    _ => json_schema!({
        "description": "such as 512KiB, 1GiB or 10GB; or integer bytes",
        "anyOf": [
            { "type": "string", "pattern": SIZE },
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
        ],
    }),
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_span_that_is_described_can_be_read(text in &SPAN[1..SPAN.len() - 1]) {
            prop_assert!(text.parse::<TimeSpan>().is_ok(), "{text}");
        }

        #[test]
        fn every_size_that_is_described_can_be_read(text in &SIZE[1..SIZE.len() - 1]) {
            prop_assert!(text.parse::<ByteSize>().is_ok(), "{text}");
        }
    }
}
