//! The `[stage.NAME]` tables of `mv.toml`: what a version must be to be given a role.
//!
//! ```toml
//! [stage.production]
//! require_semver = true
//! require = { accuracy = ">= 0.9", latency_ms = "<= 20" }
//! no_worse = { accuracy = "-0.01", loss = "+0.05" }
//! ```
//!
//! `[stage."*"]` holds for every stage. A metric with dots in its name may be quoted or written as
//! nested tables: `val.acc = ">= 0.9"` and `"val.acc" = ">= 0.9"` are the same.

use std::collections::BTreeMap;
use std::fmt;

use mv_graph::{F64Bits, RefName};
use serde::Deserialize;

use super::PROJECT_FILE;
use crate::error::{Error, Result};

/// The table whose rules hold for every stage.
pub(super) const EVERY: &str = "*";

/// The rules of one `[stage.NAME]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagePolicy {
    /// Only versions with a semantic version tag.
    pub require_semver: bool,
    /// Bounds of metrics, by metric.
    pub require: Vec<(String, Bound)>,
    /// How much a metric may differ from the present holder's, by metric.
    pub no_worse: Vec<(String, Tolerance)>,
}

/// One side of a number line, such as `>= 0.9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    relation: Relation,
    limit: F64Bits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtLeast,
    AtMost,
    Above,
    Below,
}

/// The longer spellings first, so that `>=` is not read as `>`.
const RELATIONS: [(&str, Relation); 4] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    (">", Relation::Above),
    ("<", Relation::Below),
];

impl Bound {
    fn parse(text: &str) -> Option<Bound> {
        let text = text.trim();
        let (rest, relation) =
            RELATIONS.iter().find_map(|(sign, r)| Some((text.strip_prefix(sign)?, *r)))?;
        Some(Bound { relation, limit: F64Bits::new(number(rest)?) })
    }

    /// Whether a value lies on the right side. No NaN does.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        let limit = self.limit.get();
        match self.relation {
            Relation::AtLeast => value >= limit,
            Relation::AtMost => value <= limit,
            Relation::Above => value > limit,
            Relation::Below => value < limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = RELATIONS.iter().find(|(_, r)| *r == self.relation).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.limit.get())
    }
}

/// How far a metric may go in the bad direction, such as `-0.01`: it may fall by that much and
/// rise at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    may_fall: bool,
    by: F64Bits,
}

impl Tolerance {
    fn parse(text: &str) -> Option<Tolerance> {
        let text = text.trim();
        let (may_fall, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+')?),
        };
        let by = number(rest).filter(|_| !rest.trim_start().starts_with(['-', '+']))?;
        Some(Tolerance { may_fall, by: F64Bits::new(by) })
    }

    /// Whether a value is no worse than an earlier one. A difference of the tolerance itself is
    /// fine, whatever rounding makes of it.
    #[must_use]
    pub fn holds(&self, before: f64, value: f64) -> bool {
        let by = self.by.get();
        let slack = 4.0 * f64::EPSILON * before.abs().max(by);
        if self.may_fall { value >= before - by - slack } else { value <= before + by + slack }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.may_fall, self.by.get()) {
            (true, 0.0) => f.write_str("and it may not fall"),
            (false, 0.0) => f.write_str("and it may not rise"),
            (true, by) => write!(f, "and it may fall by {by}"),
            (false, by) => write!(f, "and it may rise by {by}"),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    #[serde(default)]
    require_semver: bool,
    #[serde(default)]
    require: toml::Table,
    #[serde(default)]
    no_worse: toml::Table,
}

/// Checks the tables of all stages; `*` stays among them.
pub(super) fn parse(raw: BTreeMap<String, RawPolicy>) -> Result<BTreeMap<String, StagePolicy>> {
    let mut policies = BTreeMap::new();
    for (stage, raw) in raw {
        if stage != EVERY && RefName::parse(&stage).is_err() {
            return Err(invalid(format!("`stage.{stage}` is not the name of a stage")));
        }
        let policy = StagePolicy {
            require_semver: raw.require_semver,
            require: rules(&raw.require, &format!("stage.{stage}.require"), &|text| {
                Bound::parse(text).ok_or("a bound such as `>= 0.9` or `< 20`")
            })?,
            no_worse: rules(&raw.no_worse, &format!("stage.{stage}.no_worse"), &|text| {
                Tolerance::parse(text)
                    .ok_or("`-0.01` (may fall by that much) or `+0.05` (may rise by that much)")
            })?,
        };
        policies.insert(stage, policy);
    }
    Ok(policies)
}

/// The rules of a table, nested names joined by dots.
fn rules<T>(
    table: &toml::Table,
    key: &str,
    read: &dyn Fn(&str) -> std::result::Result<T, &'static str>,
) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    // The parser bounds how deep tables are nested.
    let mut edge: Vec<(String, &toml::Value)> =
        table.iter().map(|(name, value)| (name.clone(), value)).collect();
    while let Some((name, value)) = edge.pop() {
        match value {
            toml::Value::Table(inner) => {
                edge.extend(inner.iter().map(|(below, value)| (format!("{name}.{below}"), value)));
            }
            toml::Value::String(text) => {
                let expected = |what| invalid(format!("`{key}.{name}` is `{text}`, not {what}"));
                found.push((name.clone(), read(text).map_err(expected)?));
            }
            other => {
                let kind = other.type_str();
                return Err(invalid(format!("`{key}.{name}` is of type {kind}, not a text")));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn invalid(detail: String) -> Error {
    Error::invalid(format!("`{PROJECT_FILE}`"), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_hold_at_their_edges() {
        for (text, inside, outside) in [
            (">= 0.9", 0.9, 0.899),
            ("<=20", 20.0, 20.1),
            (" > -1e-3 ", 0.0, -0.001),
            ("< 5", 4.9, 5.0),
        ] {
            let bound = Bound::parse(text).unwrap();
            assert!(bound.holds(inside) && !bound.holds(outside), "{text}");
            assert!(!bound.holds(f64::NAN), "{text}");
        }
        assert_eq!(Bound::parse(">=0.90").unwrap().to_string(), ">= 0.9");
        for text in ["", "0.9", "=> 1", "== 1", ">= high", ">= nan", ">= inf", ">== 1", "> = 1"] {
            assert_eq!(Bound::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_difference_of_the_tolerance_itself_is_fine() {
        // 0.8 - 0.1 is a little more than 0.7 in binary.
        let fall = Tolerance::parse("-0.1").unwrap();
        assert!(fall.holds(0.8, 0.7) && fall.holds(0.8, 2.0) && !fall.holds(0.8, 0.6999));
        let rise = Tolerance::parse("+ 0.1").unwrap();
        assert!(rise.holds(0.2, 0.3) && rise.holds(0.2, 0.0) && !rise.holds(0.2, 0.3001));
        let not = Tolerance::parse("-0").unwrap();
        assert!(not.holds(0.5, 0.5) && !not.holds(0.5, 0.4999));
        assert_eq!(not.to_string(), "and it may not fall");
        for text in ["", "0.1", "--0.1", "+-0.1", "-x", "-nan", "+inf", ">= 1"] {
            assert_eq!(Tolerance::parse(text), None, "{text}");
        }
    }
}
