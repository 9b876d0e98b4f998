//! How a step talks back: JSON lines in `$QD_REPORT`, one write a line, read live and ingested once with the verdict.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mirror::Seen;

/// One line. `intent`, `remote` and `fact` are fsynced by the writer. Unknown types are kept out of the model and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Line {
    Progress {
        done: u64,
        total: u64,
        #[serde(default)]
        unit: String,
        #[serde(default)]
        text: String,
    },
    /// One sentence for the run page; the last one wins. `no-change` is a word of the contract.
    Detail {
        text: String,
    },
    Artifact {
        path: String,
        sha256: String,
    },
    Output {
        name: String,
        /// A number, true or false is taken as it is written.
        #[serde(deserialize_with = "one_value")]
        value: String,
    },
    Fact(Fact),
    /// Before a write to a far end: what identifies the work there.
    Intent {
        key: String,
        #[serde(flatten)]
        more: serde_json::Map<String, Value>,
    },
    /// After it: what the far end calls it.
    Remote {
        system: String,
        kind: String,
        id: String,
    },
    /// A collector should look again.
    Refresh {
        source: String,
        #[serde(default)]
        scope: String,
    },
}

fn one_value<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        one @ (Value::Number(_) | Value::Bool(_)) => Ok(one.to_string()),
        _ => Err(serde::de::Error::custom("the value of an output is a text, a number, true or false")),
    }
}

/// Typed facts: the only way in which a run changes the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// The content of a repository or set as the step left or found it.
    Content {
        set: String,
        /// Fingerprint of all packages; see `domain::content`.
        fp: String,
        /// sha256 of repomd.xml.
        md: String,
    },
    /// A checkout: repository, reference asked for and commit found.
    Commit { url: String, reference: String, commit: String },
    /// What a look at one tree found.
    Mirror(Seen),
    /// A snapshot that is there and whole.
    Snapshot { root: String, id: String, set: String, fp: String },
    /// What a check of the signatures of a content found; `bad` names packages and metadata without a good one of a trusted key; `keys` are the files of
    /// keys with the digests that they had.
    Signatures {
        set: String,
        fp: String,
        checked: u64,
        /// `repomd.xml.asc` that were there, and were checked.
        #[serde(default)]
        metadata: u64,
        bad: Vec<String>,
        keys: Vec<String>,
        /// The tool that is not installed: nothing was judged then.
        #[serde(default)]
        tool: String,
    },
    /// Where a pointer leads now, and where it led before.
    Pointer { root: String, name: String, to: String, previous: String },
}

/// Parses one line; `None` for what is no report line of this version.
pub fn parse(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_shape() {
        let l = parse(r#"{"type":"fact","kind":"content","set":"el9-latest","fp":"ab","md":"cd"}"#).unwrap();
        assert_eq!(l, Line::Fact(Fact::Content { set: "el9-latest".into(), fp: "ab".into(), md: "cd".into() }));
        assert_eq!(
            parse(r#"{"type":"progress","done":1,"total":2}"#),
            Some(Line::Progress { done: 1, total: 2, unit: String::new(), text: String::new() })
        );
        assert!(parse(r#"{"type":"intent","key":"jid","jid":"1"}"#).is_some());
        for (value, text) in [("\"v\"", "v"), ("5", "5"), ("1.50", "1.5"), ("true", "true")] {
            let line = format!(r#"{{"type":"output","name":"n","value":{value}}}"#);
            assert_eq!(parse(&line), Some(Line::Output { name: "n".into(), value: text.into() }));
        }
        assert_eq!(parse(r#"{"type":"output","name":"n","value":[1]}"#), None);
        assert_eq!(parse(r#"{"type":"later"}"#), None);
        assert_eq!(parse("not json"), None);
    }
}
