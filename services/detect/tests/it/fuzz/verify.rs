//! Whether a find is what it says, decided without the detector: each form is decoded here in the
//! plainest way, digit by digit and bit by bit.

use sha2::{Digest as _, Sha256};
use tgmesh_detect::{Family, Find, Findings};

use crate::make;

/// What is wrong with what was found in `text`, if anything.
pub fn fault(text: &str, out: &Findings) -> Option<String> {
    for find in &out.finds {
        if let Some(fault) = fault_of(text, find) {
            return Some(format!("{fault}: {find:?}"));
        }
    }
    for (at, find) in out.finds.iter().enumerate() {
        let same = |other: &&Find| {
            (other.family, &other.address, &other.coin_type) == (find.family, &find.address, &find.coin_type)
        };
        if out.finds[..at].iter().any(|other| same(&other)) {
            return Some(format!("told twice: {find:?}"));
        }
    }
    for link in &out.unresolved {
        let whole = link.link.len() <= 2048 && !link.raw.is_empty() && !link.site.is_empty();
        let stands = link
            .span
            .clone()
            .is_none_or(|span| text.get(span).is_some_and(|written| written.starts_with(&link.link)));
        if !whole || !stands {
            return Some(format!("a link that is not there: {link:?}"));
        }
    }
    None
}

fn fault_of(text: &str, find: &Find) -> Option<&'static str> {
    if !(0.0..=1.0).contains(&find.confidence) {
        return Some("confidence outside 0 to 1");
    }
    if find.evidence.is_empty() || find.evidence.iter().any(|evidence| evidence.is_empty()) {
        return Some("no evidence");
    }
    if find.raw.is_empty() {
        return Some("nothing was written");
    }
    if find
        .span
        .clone()
        .is_some_and(|span| text.get(span) != Some(find.raw.as_str()))
    {
        return Some("the span is not where it was written");
    }
    if find.family != Family::Evm && find.chain != Some(find.family.as_str()) {
        return Some("a chain of another family");
    }
    if !is_address(find.family, &find.address) {
        return Some("no address of its family");
    }
    let is_move = matches!(find.family, Family::Sui | Family::Aptos);
    match &find.coin_type {
        Some(coin_type) if !is_move || !is_coin_type(coin_type, &find.address) => Some("no coin type of its address"),
        _ => None,
    }
}

/// Whether `address` is a canonical address of `family`.
pub fn is_address(family: Family, address: &str) -> bool {
    match family {
        Family::Evm => is_hex(address, 40) && make::eip55(&address.to_lowercase()) == address,
        Family::Solana => unbase58(address).is_some_and(|key| key.len() == 32),
        Family::Tron => unbase58(address).is_some_and(|bytes| {
            bytes.len() == 25 && bytes[0] == 0x41 && Sha256::digest(Sha256::digest(&bytes[..21]))[..4] == bytes[21..]
        }),
        Family::Ton => unbase64(address).is_some_and(|bytes| {
            bytes.len() == 36 && bytes[0] == 0x11 && matches!(bytes[1], 0 | 0xff) && crc16(&bytes) == 0
        }),
        Family::Sui | Family::Aptos => is_hex(address, 64) && address.to_lowercase() == address,
    }
}

fn is_hex(address: &str, digits: usize) -> bool {
    address
        .strip_prefix("0x")
        .is_some_and(|rest| rest.len() == digits && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_coin_type(coin_type: &str, address: &str) -> bool {
    let parts: Vec<&str> = coin_type.split("::").collect();
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // A short address may stay short in the type.
    matches!(parts[..], [head, module, name] if (head == address || head.len() < address.len()) && is_name(module) && is_name(name))
}

fn unbase58(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = vec![0_u8; text.chars().take_while(|&c| c == '1').count()];
    let zeros = bytes.len();
    for c in text.chars() {
        let mut carry = ALPHABET.find(c)?;
        for byte in bytes[zeros..].iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.insert(zeros, carry as u8);
            carry >>= 8;
        }
    }
    Some(bytes)
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bits: Vec<bool> = Vec::new();
    for c in text.chars() {
        let value = ALPHABET.find(c)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    Some(
        bits.chunks_exact(8)
            .map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
            .collect(),
    )
}

/// CRC-16/XMODEM, bit by bit; 0 over a text with its own checksum behind it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

#[test]
fn the_check_knows_addresses_from_others() {
    for (family, address) in [
        (Family::Evm, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        (Family::Solana, "So11111111111111111111111111111111111111112"),
        (Family::Solana, "11111111111111111111111111111111"),
        (Family::Tron, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
        (Family::Ton, "EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f-7cU"),
    ] {
        assert!(is_address(family, address), "{address}");
        for at in 2..address.len() - 1 {
            let mut wrong = address.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            let wrong = String::from_utf8(wrong).unwrap();
            // A key has no checksum: only its length can be wrong.
            assert!(family == Family::Solana || !is_address(family, &wrong), "{wrong}");
        }
        assert!(
            !is_address(family, &format!("{address}1")) && !is_address(family, &address[1..]),
            "{address}"
        );
    }
}
