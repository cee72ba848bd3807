//! A row for each address, for people.

use std::fmt::Write as _;

use serde_json::Value;
use tgmesh_detect::Findings;

use super::sheet::{fitted, visible};
use crate::terminal::Style;

/// Above the rows.
pub(super) const HEAD: &str = "id             family   chain      role     found         sure  address\n";

/// Appends the rows of one message; none where there is nothing.
pub(super) fn write(out: &mut Vec<u8>, id: &Value, found: &Findings, style: Style) {
    let id = match id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let id = fitted(&visible(&id), 14);
    let mut rows = String::new();
    let mut row = |family: &str, chain: Option<&str>, role: &str, method: &str, sure: &str, address: &str| {
        let chain = fitted(chain.unwrap_or("-"), 10);
        // Writing to a string never fails.
        let _ = writeln!(
            rows,
            "{id} {family:8} {chain} {role:8} {method:12} {sure:>5}  {address}"
        );
    };
    for find in &found.finds {
        let address = find.coin_type.as_deref().unwrap_or(&find.address);
        row(
            find.family.as_str(),
            find.chain,
            find.role.as_str(),
            find.method.as_str(),
            &format!("{:.1}%", find.confidence * 100.0),
            &style.bold(address),
        );
    }
    for link in &found.unresolved {
        let lost = format!("can't be read back: {}", visible(&link.link));
        row("-", link.chain, "-", "link", "-", &style.dim(&lost));
    }
    out.extend(rows.into_bytes());
}
