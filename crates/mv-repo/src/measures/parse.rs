//! The values of one file, by its format.

use mv_graph::Scalar;
use serde::de::DeserializeSeed;
use serde_saphyr::MessageFormatter as _;

use super::flat::Flat;
use super::json;
use crate::config::ValueFormat;

/// The values in a file, by name; the error is one line that begins with the place.
pub(crate) fn parse(format: ValueFormat, bytes: &[u8]) -> Result<Vec<(String, Scalar)>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("line {}: not UTF-8", line_of(bytes, e.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut flat = Flat::default();
    match format {
        ValueFormat::Json => from_json(text, &mut flat),
        ValueFormat::Toml => from_toml(text, &mut flat),
        ValueFormat::Yaml => from_yaml(text, &mut flat),
    }?;
    flat.finish()
}

fn from_json(text: &str, flat: &mut Flat) -> Result<(), String> {
    let text = json::disguise(text);
    let mut parser = serde_json::Deserializer::from_str(&text);
    let read = flat.node().deserialize(&mut parser).and_then(|()| parser.end());
    read.map_err(|e| {
        let message = e.to_string();
        let place = format!(" at line {} column {}", e.line(), e.column());
        at_line(e.line() as u64, message.strip_suffix(&place).unwrap_or(&message))
    })
}

fn from_toml(text: &str, flat: &mut Flat) -> Result<(), String> {
    let read = toml::Deserializer::parse(text).and_then(|parser| flat.node().deserialize(parser));
    read.map_err(|e| match e.span() {
        Some(span) => at_line(line_of(text.as_bytes(), span.start) as u64, e.message()),
        None => at_line(0, e.message()),
    })
}

/// Duplicate keys, anchors that multiply and more than one document are errors; `yes` is text.
fn from_yaml(text: &str, flat: &mut Flat) -> Result<(), String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |parser| {
        flat.node().deserialize(parser)
    });
    read.map_err(|e| {
        let line = e.location().map_or(0, |l| l.line());
        // A mistake behind an alias is told at the alias, in its own words.
        let mut inner = e.without_snippet();
        while let serde_saphyr::Error::AliasError { error, .. } = inner {
            inner = error;
        }
        at_line(line, &serde_saphyr::UserMessageFormatter.format_message(inner))
    })
}

/// `line 3: what is wrong`; the message on one line, the place only when it is known.
fn at_line(line: u64, message: &str) -> String {
    let message: Vec<&str> = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let message = message.join("; ");
    if line == 0 { message } else { format!("line {line}: {message}") }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests;
