//! Bytes that a client cannot read: constructors that no layer has, containers that end early.
//!
//! The TL types hold what a layer knows and nothing else. So a message is written with a rare
//! constructor without fields in the unknown one's place, which is exchanged in the bytes. The
//! bytes of the rare ones are no valid UTF-8, so no text holds them.

use grammers_tl_types::{Identifiable, Serializable, enums, types};

use crate::faults::Garbage;

/// Stands for the update, the media and the entity that nobody knows, until the bytes are sent.
pub(crate) const UNKNOWN_UPDATE: enums::Update = enums::Update::Config;
pub(crate) const UNKNOWN_MEDIA: enums::MessageMedia = enums::MessageMedia::Empty;

/// Marks the text's first unit.
pub(crate) fn unknown_entity() -> enums::MessageEntity {
    types::MessageEntityUnknown { offset: 0, length: 1 }.into()
}

/// Constructors that a layer has and the simulator never sends, and those that no layer has.
const EXCHANGE: [([u8; 4], u32); 3] = [
    (0xa229_dd06_u32.to_le_bytes(), 0x7e57_0001),
    (0x3ded_6320_u32.to_le_bytes(), 0x7e57_0002),
    (types::MessageEntityUnknown::CONSTRUCTOR_ID.to_le_bytes(), 0x7e57_0003),
];

const MSG_CONTAINER: u32 = 0x73f1_f8dc;
const MSG_COPY: u32 = 0xe060_46b2;
const VECTOR: u32 = 0x1cb5_c415;

/// Puts the constructors that nobody knows in their places.
pub(crate) fn exchange(body: &mut [u8]) {
    for word in body.chunks_exact_mut(4) {
        for (known, unknown) in &EXCHANGE {
            if word == known {
                word.copy_from_slice(&unknown.to_le_bytes());
            }
        }
    }
}

/// The body of a message that cannot be read.
pub(crate) fn garbage(shape: Garbage) -> Vec<u8> {
    let mut body = Vec::new();
    match shape {
        Garbage::Container => {
            MSG_CONTAINER.serialize(&mut body);
            // Five are announced, one begins.
            5_i32.serialize(&mut body);
            1_i64.serialize(&mut body);
            1_i32.serialize(&mut body);
            400_i32.serialize(&mut body);
        }
        Garbage::Updates => {
            types::Updates::CONSTRUCTOR_ID.serialize(&mut body);
            VECTOR.serialize(&mut body);
            3_i32.serialize(&mut body);
            body.extend_from_slice(&[0xa5; 40]);
        }
        Garbage::MsgCopy => {
            MSG_COPY.serialize(&mut body);
            1_i64.serialize(&mut body);
            1_i32.serialize(&mut body);
            4_i32.serialize(&mut body);
            VECTOR.serialize(&mut body);
        }
        // What is inside does not matter: the packet around it is damaged.
        Garbage::Packet => enums::Updates::TooLong.serialize(&mut body),
    }
    body
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::Deserializable;

    use super::*;

    #[test]
    fn the_unknown_is_unknown_and_no_text_holds_the_known() {
        assert_eq!(UNKNOWN_UPDATE.to_bytes(), EXCHANGE[0].0);
        assert_eq!(UNKNOWN_MEDIA.to_bytes(), EXCHANGE[1].0);
        assert_eq!(unknown_entity().to_bytes()[..4], EXCHANGE[2].0);
        for (known, unknown) in EXCHANGE {
            assert!(std::str::from_utf8(&known).is_err());
            assert_eq!(grammers_tl_types::name_for_id(unknown), "(unknown)");
        }
        let mut bytes = vec![UNKNOWN_UPDATE].to_bytes();
        assert!(Vec::<enums::Update>::from_bytes(&bytes).is_ok());
        exchange(&mut bytes);
        assert!(Vec::<enums::Update>::from_bytes(&bytes).is_err());
    }
}
