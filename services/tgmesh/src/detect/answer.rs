//! The answer as a JSON line: `{"id","found":[…]}`, and no other key for a line that could be read.

use serde::Serialize;
use serde_json::Value;
use tgmesh_detect::Find;

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    found: Finds<'a>,
    /// Only for a line that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

struct Finds<'a>(&'a [Find]);

impl Serialize for Finds<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Found::of))
    }
}

#[derive(Serialize)]
struct Found<'a> {
    family: &'a str,
    chain: Option<&'a str>,
    address: &'a str,
    coin_type: Option<&'a str>,
    role: &'a str,
    method: &'a str,
    confidence: f64,
    evidence: &'a [std::borrow::Cow<'static, str>],
}

impl<'a> Found<'a> {
    fn of(find: &'a Find) -> Self {
        Self {
            family: find.family.as_str(),
            chain: find.chain,
            address: &find.address,
            coin_type: find.coin_type.as_deref(),
            role: find.role.as_str(),
            method: find.method.as_str(),
            confidence: find.confidence,
            evidence: &find.evidence,
        }
    }
}

/// Appends the answer to one message.
pub(super) fn write(out: &mut Vec<u8>, id: &Value, finds: &[Find]) {
    line(
        out,
        &Answer {
            id,
            found: Finds(finds),
            error: None,
        },
    );
}

/// Appends the answer to a line that could not be read, so that there is one line for each.
pub(super) fn write_fault(out: &mut Vec<u8>, why: &str) {
    line(
        out,
        &Answer {
            id: &Value::Null,
            found: Finds(&[]),
            error: Some(why),
        },
    );
}

fn line(out: &mut Vec<u8>, answer: &Answer<'_>) {
    // Cannot fail: memory takes everything, and nothing in an answer has no JSON.
    serde_json::to_writer(&mut *out, answer).expect("an answer is JSON");
    out.push(b'\n');
}
