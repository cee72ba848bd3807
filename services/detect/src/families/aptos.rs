//! Aptos: coin types are any struct, most often in camel case.

use crate::Family;

pub(super) const ONLY: &[Family] = &[Family::Aptos];

/// A type that cannot be a Sui one-time witness: it has small letters (`asset::USDt`), or it is the
/// wrapped coin of a bridge (`coin::T`).
pub(super) fn is_coin(module: &str, name: &str) -> bool {
    name.bytes().any(|b| b.is_ascii_lowercase()) || (module == "coin" && name == "T")
}
