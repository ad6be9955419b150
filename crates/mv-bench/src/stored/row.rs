//! [`Row`]: one measured version and its goal.

use serde_json::{Value, json};

use crate::table::number;

/// Bytes of one version, or of the mean of several.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) family: &'static str,
    pub(super) version: String,
    /// Bytes of its files that are new or changed.
    pub(super) raw: u64,
    /// Bytes of the packs that it made.
    pub(super) stored: u64,
    /// What any version takes.
    pub(super) fixed: u64,
    /// The share in the whole model, where the sample is another part of it than what changed.
    pub(super) whole: Option<f64>,
    /// The goal in percent.
    pub(super) goal: Option<f64>,
    pub(super) note: String,
}

impl Row {
    /// With a goal.
    pub(super) fn goal(mut self, percent: f64) -> Row {
        self.goal = Some(percent);
        self
    }

    /// With a remark.
    pub(super) fn note(mut self, text: impl Into<String>) -> Row {
        self.note = text.into();
        self
    }

    /// With its share in percent of the whole model.
    pub(super) fn whole(mut self, percent: f64) -> Row {
        self.whole = Some(percent);
        self
    }

    /// Stored bytes without what any version takes.
    pub(super) fn net(&self) -> u64 {
        self.stored.saturating_sub(self.fixed)
    }

    /// Whether the goal was met by the share in the whole model, or else by the stored bytes, or else
    /// by them without what any version takes.
    pub(super) fn met(&self) -> Option<bool> {
        self.goal.map(|goal| self.whole.unwrap_or_else(|| self.percent(self.net())) <= goal)
    }

    fn percent(&self, bytes: u64) -> f64 {
        bytes as f64 * 100.0 / self.raw.max(1) as f64
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            None => "",
            Some(false) => "MISSED",
            Some(true) if self.whole.is_some() => "met (whole)",
            Some(true) if self.goal.is_some_and(|goal| self.percent(self.stored) > goal) => {
                "met (net)"
            }
            Some(true) => "met",
        }
    }

    pub(super) fn cells(&self) -> [String; 10] {
        let or_none = |value: Option<f64>| value.map(number).unwrap_or_default();
        [
            self.family.to_owned(),
            self.version.clone(),
            number(self.raw as f64 / 1e6),
            number(self.stored as f64 / 1e3),
            number(self.percent(self.stored)),
            number(self.percent(self.net())),
            or_none(self.whole),
            or_none(self.goal),
            self.verdict().to_owned(),
            self.note.clone(),
        ]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "family": self.family,
            "version": self.version,
            "raw_bytes": self.raw,
            "stored_bytes": self.stored,
            "fixed_bytes": self.fixed,
            "percent": self.percent(self.stored),
            "net_percent": self.percent(self.net()),
            "whole_percent": self.whole,
            "goal_percent": self.goal,
            "met": self.met(),
            "note": self.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stored: u64) -> Row {
        let (raw, fixed) = (100_000, 2000);
        Row {
            family: "x",
            version: String::new(),
            raw,
            stored,
            fixed,
            whole: None,
            goal: None,
            note: String::new(),
        }
    }

    #[test]
    fn a_goal_may_be_met_without_what_every_version_takes() {
        assert_eq!(row(900).verdict(), "");
        assert_eq!(row(900).goal(1.0).verdict(), "met");
        assert_eq!(row(2900).goal(1.0).verdict(), "met (net)");
        assert_eq!(row(3100).goal(1.0).verdict(), "MISSED");
        assert_eq!(row(3100).goal(1.0).whole(0.9).verdict(), "met (whole)");
    }
}
