//! Identifiers. Each is a validated string (or number) that cannot be mistaken for another.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A string that is not a valid identifier of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: {rule}")]
pub struct InvalidId {
    /// What the string was to be, in the words of the product.
    pub what: &'static str,
    /// The string as given.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

const DNS_RULE: &str = "use 1 to 63 characters a-z, 0-9 and `-`, starting and ending with a letter or digit";

/// Whether `value` is an RFC 1123 label, the form of every name in this crate.
pub fn is_dns_label(value: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let bytes = value.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as it stands in paths, tags and output.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                if is_dns_label(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(InvalidId { what: $what, value: value.to_owned(), rule: DNS_RULE })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label_id!(
    /// A tenant of a vault. A single-tenant installation uses [`TenantId::default`].
    TenantId,
    "tenant"
);
label_id!(
    /// The generated identity of an application within a tenant; its name lives in the catalogue,
    /// so two clusters' `shop` never share a repository.
    AppId,
    "application id"
);
label_id!(
    /// One durable execution: a backup, a restore, a sweep.
    RunId,
    "run id"
);
label_id!(
    /// A recovery point: `<UTC start, seconds>-<6 hex digits>`, e.g. `20261122t101500-3fa9c1`.
    PointId,
    "recovery point"
);

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl AppId {
    /// An id from 8 random bytes supplied by the caller.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(format!("a{:016x}", u64::from_be_bytes(bytes)))
    }
}

impl RunId {
    /// An id that sorts by time, from the start of the run and 3 random bytes.
    pub fn new(started: jiff::Timestamp, random: [u8; 3]) -> Self {
        Self(timed(started, random))
    }
}

impl PointId {
    /// An id that sorts by the start of capture, from that start and 3 random bytes.
    pub fn new(started: jiff::Timestamp, random: [u8; 3]) -> Self {
        Self(timed(started, random))
    }
}

fn timed(at: jiff::Timestamp, [a, b, c]: [u8; 3]) -> String {
    format!("{}-{a:02x}{b:02x}{c:02x}", at.strftime("%Y%m%dt%H%M%S"))
}

/// Number of the current activation of an application; only the highest may be active.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_a_path_are_refused() {
        for bad in ["", "..", "a/b", "-a", "a-", "A", "a.b", "ä", &"x".repeat(64)] {
            let error = bad.parse::<TenantId>().unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
        assert_eq!("shop-1".parse::<AppId>().unwrap().as_str(), "shop-1");
    }

    #[test]
    fn point_ids_sort_by_start_of_capture() {
        let at = |s: &str| PointId::new(s.parse().unwrap(), [0x3f, 0xa9, 0xc1]);
        let (early, late) = (at("2026-11-22T10:15:00Z"), at("2026-11-22T10:15:01Z"));
        assert_eq!(early.as_str(), "20261122t101500-3fa9c1");
        assert!(early < late);
        assert_eq!(early.as_str().parse::<PointId>().unwrap(), early);
    }

    #[test]
    fn an_invalid_id_does_not_deserialize() {
        assert!(serde_json::from_str::<AppId>("\"../x\"").is_err());
    }
}
