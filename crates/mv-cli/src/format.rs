//! Numbers, times and names as people read them.

use std::time::Duration;

use mv_graph::{Scalar, Time};

/// Bytes with a decimal unit: `999 B`, `1.2 MB`, `34 MB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A count with its noun: `1 file`, `12 files`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A large count with three digits at most: `999`, `1.2 k`, `34 M`, `7.2 B`.
pub(crate) fn quantity(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        // 999.5 would be printed as 1000.
        1000..999_500 => scaled(n as f64 / 1e3, "k"),
        999_500..999_500_000 => scaled(n as f64 / 1e6, "M"),
        _ => scaled(n as f64 / 1e9, "B"),
    }
}

fn scaled(value: f64, unit: &str) -> String {
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A value for a table: numbers with six digits that say something, text safe for a terminal.
pub(crate) fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Float(number) => float(number.get()),
        other => text(&other.to_string()),
    }
}

/// A number with at most six significant digits: `0.9028`, `1.0`, `1.5e-7`.
pub(crate) fn float(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return Scalar::float(number).to_string();
    }
    let rounded = format!("{number:.5e}");
    let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..7).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0).max(1);
        let plain = format!("{number:.decimals$}");
        let short = plain.trim_end_matches('0');
        return if short.ends_with('.') { format!("{short}0") } else { short.to_owned() };
    }
    format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// A difference with as many digits as say something.
pub(crate) fn signed(number: f64) -> String {
    let text = format!("{number:+.6}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if number != 0.0 && number.abs() < 1e-4 { format!("{number:+.3e}") } else { short.to_owned() }
}

/// How long ago something was: `just now`, `3 days ago`.
pub(crate) fn age(now: Time, then: Time) -> String {
    let seconds = now.ns.saturating_sub(then.ns) / 1_000_000_000;
    match long_span(seconds) {
        Some(span) => format!("{span} ago"),
        None if seconds < -60 => "in the future".to_owned(),
        None => "just now".to_owned(),
    }
}

/// How much later something is: `3 days later`, `2 hours earlier`, `40 seconds later`.
pub(crate) fn later(seconds: i64) -> String {
    let length = seconds.saturating_abs();
    let span = long_span(length).unwrap_or_else(|| count(length.unsigned_abs(), "second"));
    format!("{span} {}", if seconds < 0 { "earlier" } else { "later" })
}

/// A span of a minute and more, in its largest unit.
fn long_span(seconds: i64) -> Option<String> {
    const STEPS: [(i64, &str); 6] = [
        (31_557_600, "year"),
        (2_629_800, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let (length, noun) = STEPS.into_iter().find(|(length, _)| seconds >= *length)?;
    Some(count((seconds / length).unsigned_abs(), noun))
}

/// A span as people say it: `40s`, `3m 20s`, `2h 5m`.
pub(crate) fn seconds(n: u64) -> String {
    match n {
        0..60 => format!("{n}s"),
        60..3600 => format!("{}m {}s", n / 60, n % 60),
        _ => format!("{}h {}m", n / 3600, n % 3600 / 60),
    }
}

/// Reads `90s`, `30m`, `12h`, `14d`, `2w`; a number alone is days.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "" | "d" => 86_400,
        "w" => 604_800,
        _ => return Err("a duration is a number with s, m, h, d or w, such as `30d`".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "a duration begins with a number, such as `30d`".to_owned())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "the duration is too long".to_owned())
}

/// Stored or foreign text, safe for a terminal, on one line.
pub(crate) fn text(s: &str) -> String {
    mv_graph::escape(s)
}

/// A line of a file: as [`text`], with tabs kept and the carriage return of a foreign line end dropped.
pub(crate) fn line(s: &str) -> String {
    let s = s.strip_suffix('\r').unwrap_or(s);
    s.split('\t').map(mv_graph::escape).collect::<Vec<_>>().join("\t")
}

/// A line of a message below its title; blank lines stay empty.
pub(crate) fn indented(s: &str) -> String {
    format!("    {}", line(s)).trim_end().to_owned()
}

/// The first line of a message.
pub(crate) fn subject(message: &str) -> String {
    text(message.trim_start().lines().next().unwrap_or(""))
}

/// A message of the library on one line; what is inside is not changed otherwise.
pub(crate) fn one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Time {
        Time { ns: seconds * 1_000_000_000, offset_minutes: 60 }
    }

    #[test]
    fn a_difference_keeps_its_sign_and_loses_its_noise() {
        for (number, text) in
            [(0.91 - 0.92, "-0.01"), (0.5, "+0.5"), (10.0, "+10"), (0.00002, "+2.000e-5")]
        {
            assert_eq!(signed(number), text);
        }
    }

    #[test]
    fn bytes_have_two_digits_at_least_and_never_four() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_234_567, "1.2 MB"),
            (9_960_000, "10 MB"),
            (34_400_000, "34 MB"),
            (999_700_000, "1.0 GB"),
            (u64::MAX, "18 EB"),
        ];
        for (n, expected) in cases {
            assert_eq!(bytes(n), expected);
        }
    }

    #[test]
    fn numbers_have_six_digits_at_most() {
        let cases = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.3"),
            (-12.3456789, "-12.3457"),
            (1_234_567.8, "1234567.8"),
            (12_345_678.0, "1.23457e7"),
            (0.000_123_456_78, "0.000123457"),
            (1.5e-7, "1.5e-7"),
            (999_999.96, "1000000.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MAX, "1.79769e308"),
        ];
        for (number, expected) in cases {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn ages_use_the_largest_unit() {
        assert_eq!(age(at(100), at(90)), "just now");
        assert_eq!(age(at(7300), at(0)), "2 hours ago");
        assert_eq!(age(at(90_000), at(0)), "1 day ago");
        assert_eq!(age(at(0), at(90_000)), "in the future");
    }

    #[test]
    fn distances_in_time_say_which_way() {
        assert_eq!(later(3 * 86_400 + 5), "3 days later");
        assert_eq!(later(-7200), "2 hours earlier");
        assert_eq!([0, 1].map(later), ["0 seconds later", "1 second later"]);
    }

    #[test]
    fn quantities_have_three_digits_at_most() {
        let cases = [(999, "999"), (1000, "1.0 k"), (999_499, "999 k"), (999_500, "1.0 M")];
        for (n, expected) in cases {
            assert_eq!(quantity(n), expected);
        }
        assert_eq!(quantity(7_240_000_000), "7.2 B");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        assert_eq!([9, 200, 7500].map(seconds), ["9s", "3m 20s", "2h 5m"]);
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2w"), Ok(Duration::from_secs(1_209_600)));
        assert_eq!(parse_duration("30"), parse_duration("30d"));
        for bad in ["", "d", "-3d", "3y", "3.5d", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_keep_tabs_and_lose_control_bytes() {
        assert_eq!(line("a\tb\r"), "a\tb");
        assert!(!line("a\u{1b}[31m").contains('\u{1b}'));
    }

    #[test]
    fn long_errors_become_one_line() {
        assert_eq!(one_line("a\n\n  b\n"), "a; b");
    }
}
