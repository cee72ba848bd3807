//! Sui: its one-time-witness rule gives coin types a shape of their own.

use crate::Family;

pub(super) const ONLY: &[Family] = &[Family::Sui];

/// A coin made by `coin::create_currency` is named like its module in capitals, because a
/// one-time witness has to be (`nami::NAMI`).
///
/// Source: <https://docs.sui.io/concepts/sui-move-concepts/one-time-witness>.
pub(super) fn is_coin(module: &str, name: &str) -> bool {
    name.len() == module.len()
        && name.bytes().any(|b| b.is_ascii_uppercase())
        && name
            .bytes()
            .zip(module.bytes())
            .all(|(n, m)| n == m.to_ascii_uppercase())
}
