//! [`Environment`]: what is recorded, and its canonical bytes.
//!
//! ```text
//! {"arch":"x86_64","conda":{"numpy":{"build":"py311_0","channel":"conda-forge","version":"1.26.4"}},
//!  "cpu":"AMD EPYC 7B13","cpus":8,"cuda":"12.2","driver":"535.104.05","format":1,"gpus":["NVIDIA A100"],
//!  "implementation":"cpython","interpreter":"virtualenv","kernel":"6.1.0-18","origins":{"toy":"git+https://…"},
//!  "os":"Debian GNU/Linux 12 (bookworm)","packages":{"numpy":"1.26.4"},"python":"3.11.4"}
//! ```
//!
//! JSON in UTF-8 without spaces, keys ascending by bytes; what is not known has no key. It holds no
//! path of the machine and no secret, so that equal environments are one object.

use std::collections::BTreeMap;

use mv_store::Hash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::site::normal_name;
use crate::error::{Error, Result};

/// Bytes of the longest document.
pub const MAX_ENVIRONMENT: u64 = 8 << 20;
const FORMAT: u64 = 1;

/// The software and the machine that a version was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The version of Python, as exact as it can be known without running it: `3.11.4`, `3.11`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// `cpython` or `pypy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implementation: Option<String>,
    /// Where the interpreter belongs: `virtualenv`, `conda` or `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Python packages and their versions, under normal names (PEP 503).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, String>,
    /// Where packages came from that are not from the index: a URL, `./path` in the project,
    /// `local`, or `conda`; `-e ` in front of what is installed for editing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<String, String>,
    /// What conda installed, Python packages and others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conda: BTreeMap<String, CondaPackage>,
    /// The name of the operating system and its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The release of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The machine's architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The model of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// How many processors the kernel sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// The models of the graphics processors, in the order of their slots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// The version of their driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The version of the CUDA toolkit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
}

/// A package as conda knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CondaPackage {
    /// Which build of that version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// The channel it came from, by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
    /// Its version.
    pub version: String,
}

impl Environment {
    /// Whether nothing at all is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Environment::default()
    }

    /// The canonical bytes. Of a document that would be too long the origins and conda's records
    /// are left out.
    ///
    /// # Errors
    /// `Invalid` when it is too long even so.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = self.to_bytes()?;
        if bytes.len() as u64 <= MAX_ENVIRONMENT {
            return Ok(bytes);
        }
        let small =
            Environment { origins: BTreeMap::new(), conda: BTreeMap::new(), ..self.clone() };
        let bytes = small.to_bytes()?;
        if bytes.len() as u64 > MAX_ENVIRONMENT {
            let detail = format!("it is larger than {MAX_ENVIRONMENT} bytes");
            return Err(Error::invalid("environment", detail));
        }
        Ok(bytes)
    }

    /// The environment of stored bytes, of which `id` is the name. Keys that are not known are left
    /// out.
    ///
    /// # Errors
    /// `Corrupt` for what is no such document, `Unsupported` for one of a later format.
    pub fn decode(bytes: &[u8], id: &Hash) -> Result<Environment> {
        let bad = |detail: &dyn ToString| {
            let detail = detail.to_string();
            mv_store::Error::corrupt("environment", id, detail)
        };
        if bytes.len() as u64 > MAX_ENVIRONMENT {
            return Err(bad(&format!("it is larger than {MAX_ENVIRONMENT} bytes")).into());
        }
        // The parser refuses to go deeper than 128 levels.
        let document: Value = serde_json::from_slice(bytes).map_err(|e| bad(&e))?;
        let format = document.get("format").and_then(Value::as_u64);
        let format = format.ok_or_else(|| bad(&"it has no format"))?;
        if format != FORMAT {
            let what = format!("environment format {format}");
            return Err(mv_store::Error::Unsupported { what, name: id.to_hex() }.into());
        }
        Ok(Environment::deserialize(document).map_err(|e| bad(&e))?)
    }

    /// Everything that is installed, Python packages and what else conda brought.
    #[must_use]
    pub fn installed(&self) -> BTreeMap<&str, &str> {
        // `ruamel.yaml` of conda is the Python package `ruamel-yaml`.
        let other = |name: &str| {
            normal_name(name).is_none_or(|normal| !self.packages.contains_key(&normal))
        };
        let conda = self.conda.iter().filter(|(name, _)| other(name));
        let conda = conda.map(|(name, p)| (name.as_str(), p.version.as_str()));
        let python = self.packages.iter().map(|(name, version)| (name.as_str(), version.as_str()));
        conda.chain(python).collect()
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed = |e: serde_json::Error| Error::invalid("environment", e);
        let fields = serde_json::to_value(self).map_err(failed)?;
        let mut sorted: BTreeMap<String, Value> = serde_json::from_value(fields).map_err(failed)?;
        sorted.insert("format".to_owned(), FORMAT.into());
        serde_json::to_vec(&sorted).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Environment {
        Environment {
            python: Some("3.11.4".into()),
            implementation: Some("cpython".into()),
            interpreter: Some("conda".into()),
            packages: [("numpy".into(), "1.26.4".into()), ("toy".into(), "0.1".into())].into(),
            origins: [("toy".into(), "./toy".into())].into(),
            conda: [(
                "openssl".into(),
                CondaPackage {
                    build: "h0_1".into(),
                    channel: "conda-forge".into(),
                    version: "3.3".into(),
                },
            )]
            .into(),
            os: Some("Debian GNU/Linux 12".into()),
            kernel: Some("6.1".into()),
            arch: Some("x86_64".into()),
            cpu: Some("EPYC".into()),
            cpus: Some(8),
            gpus: vec!["NVIDIA A100".into()],
            driver: Some("535.1".into()),
            cuda: Some("12.2".into()),
        }
    }

    #[test]
    fn the_bytes_are_json_with_sorted_keys_and_never_change() {
        let expected = concat!(
            r#"{"arch":"x86_64","conda":{"openssl":{"build":"h0_1","channel":"conda-forge","version":"3.3"}},"#,
            r#""cpu":"EPYC","cpus":8,"cuda":"12.2","driver":"535.1","format":1,"gpus":["NVIDIA A100"],"#,
            r#""implementation":"cpython","interpreter":"conda","kernel":"6.1","origins":{"toy":"./toy"},"#,
            r#""os":"Debian GNU/Linux 12","packages":{"numpy":"1.26.4","toy":"0.1"},"python":"3.11.4"}"#,
        );
        let bytes = sample().encode().unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(Environment::decode(&bytes, &Hash::ZERO).unwrap(), sample());
        assert_eq!(Environment::default().encode().unwrap(), br#"{"format":1}"#);
    }

    #[test]
    fn keys_of_later_versions_are_passed_over_and_later_formats_refused() {
        let read = |text: &str| Environment::decode(text.as_bytes(), &Hash::ZERO);
        let known = read(r#"{"format":1,"python":"3","tpu":{"model":["v4"]}}"#).unwrap();
        assert_eq!(known.python.as_deref(), Some("3"));
        let error = read(r#"{"format":2,"python":{"deeper":1}}"#).unwrap_err();
        assert!(matches!(error, Error::Store(mv_store::Error::Unsupported { .. })), "{error}");
    }

    #[test]
    fn what_is_no_such_document_is_refused() {
        let deep = format!("{{\"format\":1,\"x\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let long = format!("{{\"format\":1,\"os\":\"{}\"}}", "x".repeat(9 << 20));
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "{\"format\":\"1\"}",
            "{\"format\":1",
            "{\"format\":1,\"packages\":[\"numpy\"]}",
            "{\"format\":1,\"cpus\":-1}",
            "{\"format\":1} x",
            &deep,
            &long,
        ] {
            let error = Environment::decode(text.as_bytes(), &Hash::ZERO).unwrap_err();
            assert!(
                matches!(error, Error::Store(mv_store::Error::Corrupt { .. })),
                "{error}: {}",
                &text[..text.len().min(40)]
            );
        }
    }

    #[test]
    fn a_document_that_is_too_long_goes_without_its_origins() {
        let mut large = sample();
        large.origins.insert("toy".into(), "x".repeat(9 << 20));
        let read = Environment::decode(&large.encode().unwrap(), &Hash::ZERO).unwrap();
        assert_eq!((read.packages, read.origins.len()), (sample().packages, 0));
        large.packages.insert("x".repeat(9 << 20), "1".into());
        assert!(large.encode().is_err());
    }
}
