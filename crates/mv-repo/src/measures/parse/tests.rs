//! Values out of the three formats, and what is refused.

use proptest::prelude::*;

use super::super::flat::{MAX_BYTES, MAX_VALUES};
use super::ValueFormat as Format;
use super::*;

fn values(format: Format, text: &str) -> Vec<(String, Scalar)> {
    parse(format, text.as_bytes()).unwrap_or_else(|e| panic!("{format:?}: {e}\n{text}"))
}

fn refused(format: Format, text: &str) -> String {
    let error = parse(format, text.as_bytes()).expect_err(text);
    assert!(!error.contains('\n'), "{error}");
    error
}

fn listed(format: Format, text: &str) -> String {
    let values = values(format, text);
    values.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn nested_names_are_joined_with_dots_in_every_format() {
    let expected = "layers.0=64 layers.1=32 lr=0.001 name=adam on=true opt.b.c=-3";
    let json = r#"{"lr": 1e-3, "opt": {"b": {"c": -3}}, "layers": [64, 32], "on": true,
        "name": "adam", "none": null, "empty": {}, "nothing": [], "deep": {"a": [{}]}}"#;
    let yaml = "lr: 1e-3\nopt: {b: {c: -3}}\nlayers: [64, 32]\non: true\nname: adam\n\
        none: ~\nnull_too:\nempty: {}\nnothing: []\n";
    let toml = "lr = 1e-3\nlayers = [64, 32]\non = true\nname = \"adam\"\nnothing = []\n\
        [opt.b]\nc = -3\n[empty]\n";
    assert_eq!(listed(Format::Json, json), expected);
    assert_eq!(listed(Format::Yaml, yaml), expected);
    assert_eq!(listed(Format::Toml, toml), expected);
}

#[test]
fn types_are_those_of_the_format() {
    let yaml = values(
        Format::Yaml,
        "a: 3\nb: 3.0\nc: \"3\"\nd: yes\ne: 2026-01-02\nf: .nan\ng: -.inf\nh: 12:30:45\ni: 0x10\n5: x\n",
    );
    let get = |name: &str| &yaml.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(get("a"), &Scalar::Int(3));
    assert_eq!(get("b"), &Scalar::float(3.0));
    assert_eq!(get("c"), &Scalar::Text("3".into()));
    assert_eq!(get("d"), &Scalar::Text("yes".into()));
    assert_eq!(get("e"), &Scalar::Text("2026-01-02".into()));
    assert_eq!(get("f"), &Scalar::float(f64::NAN));
    assert_eq!(get("g"), &Scalar::float(f64::NEG_INFINITY));
    assert_eq!(get("h"), &Scalar::Text("12:30:45".into()));
    assert_eq!(get("i"), &Scalar::Int(16));
    assert_eq!(get("5"), &Scalar::Text("x".into()));
    assert_eq!(
        listed(Format::Toml, "d = 2026-01-02\nt = 12:30:00\nx = [2026-01-02T03:04:05Z]\nn = nan\n"),
        "d=2026-01-02 n=NaN t=12:30:00 x.0=2026-01-02T03:04:05Z"
    );
    assert_eq!(
        values(Format::Json, r#"{"big": 18446744073709551615}"#),
        [("big".to_owned(), Scalar::Text(u64::MAX.to_string()))]
    );
}

#[test]
fn anchors_and_merge_keys_of_yaml_are_followed() {
    let text = "base: &b {lr: 1, n: 2}\ntrain:\n  <<: *b\n  n: 3\nseed: &s 7\nagain: *s\n";
    let expected = "again=7 base.lr=1 base.n=2 seed=7 train.lr=1 train.n=3";
    assert_eq!(listed(Format::Yaml, text), expected);
}

#[test]
fn numbers_that_json_does_not_have_are_read_as_python_writes_them() {
    let text = "{\"loss\": NaN, \"a\": [Infinity, -Infinity], \"s\": \"NaN\", \"NaN\": 1}";
    let found = values(Format::Json, text);
    assert_eq!(found[0].1, Scalar::Int(1), "a key is text");
    assert_eq!(found[1].1, Scalar::float(f64::INFINITY));
    assert_eq!(found[2].1, Scalar::float(f64::NEG_INFINITY));
    assert_eq!(found[3].1, Scalar::float(f64::NAN));
    assert_eq!(found[4].1, Scalar::Text("NaN".into()));
    refused(Format::Json, "{\"a\": Nan}");
    refused(Format::Json, "{NaN: 1}");
}

#[test]
fn a_file_with_nothing_in_it_gives_no_values() {
    for format in [Format::Json, Format::Toml, Format::Yaml] {
        assert!(values(format, "").is_empty());
        assert!(values(format, " \n").is_empty());
    }
    assert!(values(Format::Yaml, "# only words\n---\n").is_empty());
    assert!(values(Format::Json, "\u{feff}{}").is_empty());
    assert!(values(Format::Json, "null").is_empty());
}

#[test]
fn a_mistake_is_told_in_one_line_with_its_place() {
    for (format, text, line) in [
        (Format::Json, "{\n\"a\": 1,\n\"b\": }", "line 3: "),
        (Format::Json, "{\n\"a\": 1e999}", "line 2: "),
        (Format::Json, "{}\n{}", "line 2: "),
        (Format::Json, "{\"a\": 1,\n\"a\": 2}", "line 2: `a` is there twice"),
        (Format::Json, "{\"a\": {\"b\": 1},\n\"a\": {\"c\": 1}}", "line 2: `a` is there twice"),
        (Format::Toml, "a = 1\nb = \n", "line 2: "),
        (Format::Toml, "a = 1\na = 2\n", "line 2: "),
        (Format::Yaml, "a: 1\nb: [1, 2\n", "line "),
        (Format::Yaml, "a: 1\nb: 2\na: 3\n", "line 3: duplicate mapping key `a`"),
        (Format::Yaml, "a: 1\n---\nb: 2\n", "line 3: only single YAML document"),
        (Format::Yaml, "a: &a {\"\\a\": 1}\nb: *a\n", "line 1: the name `a.\\x07`"),
    ] {
        let error = refused(format, text);
        assert!(error.starts_with(line), "{error}");
        assert!(!error.contains("column") && !error.contains("Options"), "{error}");
    }
    assert_eq!(parse(Format::Json, b"{\n\"a\": \"\xff\"}").unwrap_err(), "line 2: not UTF-8");
}

#[test]
fn names_that_meet_after_joining_are_refused() {
    for text in [r#"{"a.b": 1, "a": {"b": 2}}"#, r#"{"a": {"b.c": 1, "b": {"c": 1}}}"#] {
        assert!(refused(Format::Json, text).contains("is there twice"));
    }
    assert_eq!(listed(Format::Json, r#"{"a.b": 1, "a": {"c": 2}}"#), "a.b=1 a.c=2");
}

#[test]
fn what_a_version_cannot_hold_is_refused() {
    assert!(refused(Format::Json, "{\"a\\u001b[31m\": 1}").contains(r"`a\x1b[31m`"));
    assert!(refused(Format::Json, "{\"\": 1}").contains("empty"));
    assert!(refused(Format::Json, "0.93").contains("without a name"));
    let long = format!("{{\"{}\": 1}}", "n".repeat(1025));
    assert!(refused(Format::Json, &long).contains("1024 bytes"));
    let fits = format!("{{\"{}\": 1}}", "n".repeat(1023));
    assert_eq!(values(Format::Json, &fits).len(), 1);
    let many = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert_eq!(values(Format::Json, &many(MAX_VALUES)).len(), MAX_VALUES);
    assert!(refused(Format::Json, &many(MAX_VALUES + 1)).contains("4096 values"));
    let fat = format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_BYTES));
    assert!(refused(Format::Json, &fat).contains("bytes"));
    let nulls = format!("{{\"a\": [{}]}}", vec!["null"; 100_000].join(","));
    assert!(refused(Format::Json, &nulls).contains("entries"));
}

#[test]
fn deep_nesting_is_refused_and_not_walked() {
    let lists = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(values(Format::Json, &lists(60)).len(), 1);
    for format in [Format::Json, Format::Yaml] {
        refused(format, &lists(70));
        refused(format, &lists(200_000));
    }
    refused(Format::Toml, &format!("a = {}", lists(200_000)));
    refused(Format::Json, &"{\"a\":".repeat(200_000));
    refused(Format::Yaml, &(0..3000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>());
}

#[test]
fn anchors_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let list = vec![format!("*a{}", n - 1); 9].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    refused(Format::Yaml, &bomb);
    refused(Format::Yaml, "a: &a [*a]\n");
}

proptest! {
    #[test]
    fn any_bytes_give_values_or_one_line(bytes: Vec<u8>, format in 0..3usize) {
        let format = [Format::Json, Format::Toml, Format::Yaml][format];
        if let Err(error) = parse(format, &bytes) {
            prop_assert!(!error.is_empty() && !error.contains('\n'));
        }
    }

    #[test]
    fn any_text_of_these_signs_gives_values_or_one_line(text in "[a-c\\[\\]{}:,=\\-&*\"' \\n0-9.]{0,60}", format in 0..3usize) {
        let format = [Format::Json, Format::Toml, Format::Yaml][format];
        if let Err(error) = parse(format, text.as_bytes()) {
            prop_assert!(!error.contains('\n'));
        }
    }
}
