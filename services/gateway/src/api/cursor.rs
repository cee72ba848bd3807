//! Where the next page begins, as a word that means nothing to a client.
//!
//! It holds a place in the order of time and nothing else: what may be seen is decided anew for every
//! page, so a cursor of somebody else, or one that was made up, opens nothing.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tgmesh_proto::id::EventId;
use tgmesh_store::history::Key;

const VERSION: u8 = 1;
/// The version, µs since the epoch, an id.
const BYTES: usize = 1 + 8 + 16;
/// Year 10000.
const END_US: i64 = 253_402_300_800_000_000;

/// Writes a place down.
pub fn write(key: Key) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(VERSION);
    bytes.extend(key.date_us.to_be_bytes());
    bytes.extend(key.id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads it back.
///
/// # Errors
/// When it is none of these.
pub fn read(text: &str) -> Result<Key, String> {
    let bad = || "is none that this API gave".to_owned();
    // 25 bytes make 34 characters.
    if text.len() != (BYTES * 4).div_ceil(3) {
        return Err(bad());
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    let (&version, rest) = bytes.split_first().ok_or_else(bad)?;
    let (date, id) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
    let id: [u8; 16] = id.try_into().map_err(|_| bad())?;
    let date_us = i64::from_be_bytes(*date);
    if version != VERSION || !(0..END_US).contains(&date_us) {
        return Err(bad());
    }
    Ok(Key {
        date_us,
        id: EventId::from_bytes(id),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(date_us in 0..END_US, id: [u8; 16]) {
            let key = Key { date_us, id: EventId::from_bytes(id) };
            prop_assert_eq!(read(&write(key)), Ok(key));
        }

        #[test]
        fn anything_else_is_refused_or_a_place(text in "[A-Za-z0-9_=+/-]{0,40}") {
            if let Ok(key) = read(&text) {
                prop_assert_eq!(write(key), text);
            }
        }
    }

    #[test]
    fn places_out_of_range_are_refused() {
        for date_us in [-1, i64::MIN, END_US, i64::MAX] {
            let key = Key {
                date_us,
                id: EventId::from_bytes([9; 16]),
            };
            assert!(read(&write(key)).is_err(), "{date_us}");
        }
    }
}
