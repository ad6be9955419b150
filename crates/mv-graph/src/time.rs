//! [`Time`]: an instant and the clock it was read from, as two integers.
//!
//! Order and equality of instants are by nanoseconds; the offset says what a watch on the writer's
//! wall showed and is kept for display. Nothing here reads a clock.

use jiff::Timestamp;
use jiff::civil;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Nanoseconds since 1970 in UTC (years 1677 to 2262) and the writer's offset from UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub ns: i64,
    /// Minutes that the writer's local time was ahead of UTC; below a day either way.
    pub offset_minutes: i16,
}

/// What a date without a time of day means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayEdge {
    /// Its first instant: for "since".
    Start,
    /// Its last nanosecond: for "until" and "as it stood on that day".
    End,
}

const MINUTES_A_DAY: u16 = 24 * 60;

impl Time {
    /// Parses RFC 3339, or `2026-06-01` and `2026-06-01 12:00[:00]` in the local time given by
    /// `offset_minutes`. A date alone is its first instant.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn parse(text: &str, offset_minutes: i16) -> Result<Time> {
        Time::parse_at(text, offset_minutes, DayEdge::Start)
    }

    /// As [`Time::parse`]; the caller says which end of the day a date alone stands for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything that is no time.
    pub fn parse_at(text: &str, offset_minutes: i16, edge: DayEdge) -> Result<Time> {
        let refused = || {
            Error::invalid("time", format!("`{text}` is neither RFC 3339 nor `2026-06-01 12:00`"))
        };
        // jiff reads more of ISO 8601 than people mean here, such as `20260601` or years of six digits.
        let bytes = text.as_bytes();
        let shaped =
            bytes.len() >= 10 && bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
        let pieces = Pieces::parse(text).ok().filter(|_| shaped).ok_or_else(refused)?;
        if pieces.time_zone_annotation().is_some() {
            return Err(refused());
        }
        let offset = match pieces.to_numeric_offset() {
            Some(offset) => offset,
            None => offset_of(offset_minutes).ok_or_else(refused)?,
        };
        let time = pieces.time().unwrap_or(match edge {
            DayEdge::Start => civil::Time::midnight(),
            DayEdge::End => civil::Time::MAX,
        });
        let instant =
            offset.to_timestamp(pieces.date().to_datetime(time)).map_err(|_| refused())?;
        let ns = i64::try_from(instant.as_nanosecond()).map_err(|_| refused())?;
        let offset_minutes = i16::try_from(offset.seconds() / 60).map_err(|_| refused())?;
        let time = Time { ns, offset_minutes };
        time.validate().map(|()| time)
    }

    /// Parses a timestamp version `YYYYMMDD_HHMMSS`, which is in UTC.
    #[must_use]
    pub fn parse_version_stamp(text: &str) -> Option<Time> {
        let (date, clock) = text.split_once('_')?;
        let digits = |t: &str, len: usize| t.len() == len && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(date, 8) || !digits(clock, 6) {
            return None;
        }
        let number = |t: &str| t.parse::<i16>().ok();
        let small = |t: &str| t.parse::<i8>().ok();
        let day =
            civil::Date::new(number(&date[..4])?, small(&date[4..6])?, small(&date[6..])?).ok()?;
        let time =
            civil::Time::new(small(&clock[..2])?, small(&clock[2..4])?, small(&clock[4..])?, 0)
                .ok()?;
        let instant = Offset::UTC.to_timestamp(day.to_datetime(time)).ok()?;
        Some(Time { ns: i64::try_from(instant.as_nanosecond()).ok()?, offset_minutes: 0 })
    }

    /// `2026-11-21T12:00:00Z`, with a fraction when there is one.
    #[must_use]
    pub fn to_rfc3339_utc(&self) -> String {
        self.timestamp().to_string()
    }

    /// `2026-11-21T13:00:00+01:00`: the same instant on the writer's clock.
    #[must_use]
    pub fn to_rfc3339_local(&self) -> String {
        self.timestamp().display_with_offset(self.offset()).to_string()
    }

    /// `2026-11-21 13:00:00 +0100`: the writer's clock, for people.
    #[must_use]
    pub fn to_display(&self) -> String {
        self.offset().to_datetime(self.timestamp()).strftime("%Y-%m-%d %H:%M:%S").to_string()
            + &format!(
                "{}{:02}{:02}",
                if self.offset_minutes < 0 { " -" } else { " +" },
                self.offset_minutes.unsigned_abs() / 60,
                self.offset_minutes.unsigned_abs() % 60
            )
    }

    /// The timestamp version: `YYYYMMDD_HHMMSS` in UTC.
    #[must_use]
    pub fn version_stamp(&self) -> String {
        self.timestamp().strftime("%Y%m%d_%H%M%S").to_string()
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.ns.div_euclid(1_000_000_000)
    }

    /// Refuses an offset of a day or more. Every `ns` is a valid instant.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        if self.offset_minutes.unsigned_abs() < MINUTES_A_DAY {
            Ok(())
        } else {
            Err(Error::invalid(
                "time",
                format!("its offset of {} minutes is a day or more", self.offset_minutes),
            ))
        }
    }

    fn timestamp(&self) -> Timestamp {
        // Every i64 of nanoseconds lies well inside jiff's range of years -9999 to 9999.
        Timestamp::from_nanosecond(i128::from(self.ns)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn offset(&self) -> Offset {
        offset_of(self.offset_minutes).unwrap_or(Offset::UTC)
    }
}

fn offset_of(minutes: i16) -> Option<Offset> {
    Offset::from_seconds(i32::from(minutes) * 60).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: Time = Time { ns: 1_795_262_400_000_000_000, offset_minutes: 60 };

    #[test]
    fn an_instant_is_shown_in_utc_and_on_the_writers_clock() {
        assert_eq!(NOON.to_rfc3339_utc(), "2026-11-21T12:00:00Z");
        assert_eq!(NOON.to_rfc3339_local(), "2026-11-21T13:00:00+01:00");
        assert_eq!(NOON.to_display(), "2026-11-21 13:00:00 +0100");
        assert_eq!(Time { offset_minutes: -210, ..NOON }.to_display(), "2026-11-21 08:30:00 -0330");
        assert_eq!(NOON.version_stamp(), "20261121_120000");
        assert_eq!(
            Time { ns: NOON.ns + 500_000_000, ..NOON }.to_rfc3339_utc(),
            "2026-11-21T12:00:00.5Z"
        );
    }

    #[test]
    fn the_ways_people_write_a_time_are_read() {
        for (text, utc, offset) in [
            ("2026-06-01T12:00:00Z", "2026-06-01T12:00:00Z", 0),
            ("2026-06-01T12:00:00.25+02:00", "2026-06-01T10:00:00.25Z", 120),
            ("2026-06-01", "2026-05-31T23:00:00Z", 60),
            ("2026-06-01 12:00", "2026-06-01T11:00:00Z", 60),
            ("2026-06-01 12:00:30", "2026-06-01T11:00:30Z", 60),
            ("2026-06-01T12:00", "2026-06-01T11:00:00Z", 60),
        ] {
            let time = Time::parse(text, 60).unwrap();
            assert_eq!(
                (time.to_rfc3339_utc(), time.offset_minutes),
                (utc.to_owned(), offset),
                "{text}"
            );
        }
        let end = Time::parse_at("2026-06-01", 60, DayEdge::End).unwrap();
        assert_eq!(end.to_rfc3339_utc(), "2026-06-01T22:59:59.999999999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "20260601",
            "1",
            "2026-06-01 25:00",
            "2500-01-01",
            "2026-06-01T12:00:00[Europe/Berlin]",
            "-002026-06-01",
            "2026-06-01 12:00 pm",
            "2026-06-01é",
        ] {
            assert!(Time::parse(text, 0).is_err(), "{text:?}");
        }
        assert!(Time::parse("2026-06-01", i16::MAX).is_err());
    }

    #[test]
    fn a_version_stamp_is_read_strictly() {
        assert_eq!(
            Time::parse_version_stamp("20261121_120000"),
            Some(Time { offset_minutes: 0, ..NOON })
        );
        for text in [
            "20261121_12000",
            "20261321_120000",
            "20261121-120000",
            "20261121_126000",
            "+0261121_120000",
        ] {
            assert_eq!(Time::parse_version_stamp(text), None, "{text}");
        }
    }

    #[test]
    fn extreme_instants_are_shown_without_a_panic() {
        for ns in [i64::MIN, i64::MAX, 0, -1] {
            for offset_minutes in [i16::MIN, i16::MAX, -1439, 1439, 0] {
                let time = Time { ns, offset_minutes };
                let shown = (
                    time.to_rfc3339_utc(),
                    time.to_rfc3339_local(),
                    time.to_display(),
                    time.version_stamp(),
                );
                assert!(!shown.0.is_empty());
            }
        }
        assert!(Time { ns: 0, offset_minutes: 1440 }.validate().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(ns: i64, offset_minutes in -1439i16..1440) {
            let time = Time { ns, offset_minutes };
            prop_assert_eq!(Time::parse(&time.to_rfc3339_utc(), 0).unwrap().ns, ns);
            let stamp = Time::parse_version_stamp(&time.version_stamp()).unwrap();
            // The stamp drops the fraction, toward the past.
            prop_assert!(time.ns.abs_diff(stamp.ns) < 1_000_000_000);
        }
    }
}
