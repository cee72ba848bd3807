//! Characters that stand for others.

/// What to do with a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// It is itself.
    Keep,
    /// Nobody sees it.
    Invisible,
    /// A wide or small form of a character.
    Width(char),
    /// A letter or digit of another font.
    Font(char),
    /// A letter of another script that looks the same.
    LookAlike(char),
}

/// `char::is_alphabetic`, without the search for what chat is made of.
pub(crate) fn is_letter(c: char) -> bool {
    match c {
        '\0'..='\x7f' => c.is_ascii_alphabetic(),
        'Ѐ'..='ҁ' | 'Ҋ'..='ԯ' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '㐀'..='䶿' | '一'..='鿿' | '가'..='힣' => {
            true
        }
        // Pictures.
        '\u{1f300}'..='\u{1faff}' => false,
        _ => c.is_alphabetic(),
    }
}

/// `char::is_alphanumeric` in the same way.
pub(crate) fn is_word(c: char) -> bool {
    match c {
        '\0'..='\x7f' => c.is_ascii_alphanumeric(),
        '\u{1f300}'..='\u{1faff}' => false,
        _ => is_letter(c) || c.is_numeric(),
    }
}

/// What `c` stands for. ASCII is itself.
pub(crate) fn fold(c: char) -> Fold {
    let code = c as u32;
    match code {
        // ASCII and what numbers lists, ten and more.
        0..=0xac | 0x24eb..=0x24f4 | 0x2469..=0x249b => Fold::Keep,
        0xad
        | 0x300..=0x36f
        | 0x483..=0x489
        | 0x61c
        | 0x115f
        | 0x1160
        | 0x17b4
        | 0x17b5
        | 0x180b..=0x180f
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff
        | 0x2800
        | 0x3164
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0xffa0
        | 0x1d173..=0x1d17a
        | 0xe0000..=0xe0fff => Fold::Invisible,
        0xff01..=0xff5e => ascii(code - 0xff01, b'!').map_or(Fold::Keep, Fold::Width),
        0x3000 => Fold::Width(' '),
        0x1d400..=0x1d6a3 => letter((code - 0x1d400) % 52),
        0x1d7ce..=0x1d7ff => digit((code - 0x1d7ce) % 10),
        0x1fbf0..=0x1fbf9 => digit(code - 0x1fbf0),
        0x2080..=0x2089 => digit(code - 0x2080),
        0x2070 | 0x2074..=0x2079 => digit(code - 0x2070),
        0xb9 => Fold::Font('1'),
        0xb2 | 0xb3 => digit(code - 0xb0),
        0x2460..=0x2468 => digit(code - 0x245f),
        0x2776..=0x277e => digit(code - 0x2775),
        0x24ea | 0x24ff | 0x1f100 => Fold::Font('0'),
        0x24b6..=0x24e9 => letter(code - 0x24b6),
        0x24f5..=0x24fd => digit(code - 0x24f4),
        0x2780..=0x2788 => digit(code - 0x277f),
        0x278a..=0x2792 => digit(code - 0x2789),
        0x1f101..=0x1f10a => digit(code - 0x1f101),
        0x1f110..=0x1f129 => letter(code - 0x1f110),
        REGIONAL_A..=REGIONAL_Z => letter(code - REGIONAL_A),
        0x249c..=0x24b5 => letter(code - 0x249c + 26),
        0x1f130..=0x1f149 => letter(code - 0x1f130),
        0x1f150..=0x1f169 => letter(code - 0x1f150),
        0x1f170..=0x1f189 => letter(code - 0x1f170),
        0x1d6a4..=0x1d7cd => greek(code).map_or(Fold::Keep, Fold::LookAlike),
        0x1d2c..=0x1dbf | 0x2071 | 0x207f | 0x2090..=0x209c | 0x2c7c | 0x2c7d | 0x2b0..=0x2b8 | 0x2e1..=0x2e3 => {
            raised(c).map_or(Fold::Keep, Fold::Font)
        }
        0x2100..=0x214f => letter_like(c).map_or(Fold::Keep, Fold::Font),
        _ => look_alike(c).map_or(Fold::Keep, Fold::LookAlike),
    }
}

fn ascii(offset: u32, first: u8) -> Option<char> {
    u8::try_from(offset).ok().map(|offset| char::from(first + offset))
}

/// A–Z, then a–z.
fn letter(index: u32) -> Fold {
    let found = if index < 26 {
        ascii(index, b'A')
    } else {
        ascii(index - 26, b'a')
    };
    found.map_or(Fold::Keep, Fold::Font)
}

fn digit(index: u32) -> Fold {
    ascii(index, b'0').map_or(Fold::Keep, Fold::Font)
}

/// The letters of which two make a flag.
pub(super) const REGIONAL_A: u32 = 0x1f1e6;
pub(super) const REGIONAL_Z: u32 = 0x1f1ff;

/// Mathematical Greek that looks like Latin; 58 characters an alphabet.
fn greek(code: u32) -> Option<char> {
    let plain = match (code - 0x1d6a8) % 58 {
        0 => 'Α',
        1 => 'Β',
        4 => 'Ε',
        5 => 'Ζ',
        6 => 'Η',
        8 => 'Ι',
        9 => 'Κ',
        11 => 'Μ',
        12 => 'Ν',
        14 => 'Ο',
        16 => 'Ρ',
        19 => 'Τ',
        20 => 'Υ',
        22 => 'Χ',
        26 => 'α',
        34 => 'ι',
        38 => 'ν',
        40 => 'ο',
        42 => 'ρ',
        45 => 'υ',
        _ => return None,
    };
    if code < 0x1d6a8 {
        return None;
    }
    look_alike(plain)
}

/// Raised, lowered and small capital letters.
fn raised(c: char) -> Option<char> {
    Some(match c {
        'ᴬ' => 'A',
        'ᴮ' => 'B',
        'ᴰ' => 'D',
        'ᴱ' => 'E',
        'ᴳ' => 'G',
        'ᴴ' => 'H',
        'ᴵ' => 'I',
        'ᴶ' => 'J',
        'ᴷ' => 'K',
        'ᴸ' => 'L',
        'ᴹ' => 'M',
        'ᴺ' => 'N',
        'ᴼ' => 'O',
        'ᴾ' => 'P',
        'ᴿ' => 'R',
        'ᵀ' => 'T',
        'ᵁ' => 'U',
        'ⱽ' => 'V',
        'ᵂ' => 'W',
        'ᵃ' | 'ₐ' => 'a',
        'ᵇ' => 'b',
        'ᶜ' => 'c',
        'ᵈ' => 'd',
        'ᵉ' | 'ₑ' => 'e',
        'ᶠ' => 'f',
        'ᵍ' | 'ᶢ' => 'g',
        'ʰ' | 'ₕ' => 'h',
        'ⁱ' | 'ᵢ' => 'i',
        'ʲ' | 'ⱼ' => 'j',
        'ᵏ' | 'ₖ' => 'k',
        'ˡ' | 'ₗ' => 'l',
        'ᵐ' | 'ₘ' => 'm',
        'ⁿ' | 'ₙ' => 'n',
        'ᵒ' | 'ₒ' => 'o',
        'ᵖ' | 'ₚ' => 'p',
        'ʳ' | 'ᵣ' => 'r',
        'ˢ' | 'ₛ' => 's',
        'ᵗ' | 'ₜ' => 't',
        'ᵘ' | 'ᵤ' => 'u',
        'ᵛ' | 'ᵥ' => 'v',
        'ʷ' => 'w',
        'ˣ' | 'ₓ' => 'x',
        'ʸ' => 'y',
        'ᶻ' => 'z',
        _ => return None,
    })
}

/// The letters that mathematical alphabets leave out because they were encoded before.
fn letter_like(c: char) -> Option<char> {
    Some(match c {
        'ℂ' | 'ℭ' => 'C',
        'ℊ' => 'g',
        'ℋ' | 'ℌ' | 'ℍ' => 'H',
        'ℎ' => 'h',
        'ℐ' | 'ℑ' => 'I',
        'ℒ' => 'L',
        'ℕ' => 'N',
        'ℙ' => 'P',
        'ℚ' => 'Q',
        'ℛ' | 'ℜ' | 'ℝ' => 'R',
        'ℤ' | 'ℨ' => 'Z',
        'K' => 'K',
        'ℬ' => 'B',
        'ℯ' | 'ⅇ' => 'e',
        'ℰ' => 'E',
        'ℱ' => 'F',
        'ℳ' => 'M',
        'ℴ' => 'o',
        'ⅆ' => 'd',
        'ⅈ' => 'i',
        'ⅉ' => 'j',
        'ⅅ' => 'D',
        _ => return None,
    })
}

/// Letters that most fonts draw like a Latin one. Case is kept, because addresses depend on it;
/// small capitals, which have none, are read as small letters.
fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'А' | 'Α' | 'Ꭺ' | 'ꓮ' | 'ᗅ' | 'ꭺ' => 'A',
        'В' | 'Β' | 'Ᏼ' | 'ꓐ' | 'ᗷ' => 'B',
        'С' | 'Ϲ' | 'Ꮯ' | 'ꓚ' | 'Ⅽ' | 'Ⲥ' => 'C',
        'Ꭰ' | 'ꓓ' | 'ᗞ' | 'Ⅾ' => 'D',
        'Е' | 'Ε' | 'Ꭼ' | 'ꓰ' | 'ⴹ' => 'E',
        'Ϝ' | 'ꓝ' | 'ᖴ' => 'F',
        'Ԍ' | 'Ꮐ' | 'ꓖ' => 'G',
        'Н' | 'Η' | 'Ꮋ' | 'ꓧ' | 'ᕼ' | 'Ⲏ' => 'H',
        'І' | 'Ι' | 'Ӏ' | 'ꓲ' | 'Ⅰ' | 'Ⲓ' => 'I',
        'Ј' | 'Ꭻ' | 'ꓙ' | 'ᒍ' => 'J',
        'К' | 'Κ' | 'Ꮶ' | 'ꓗ' | 'Ⲕ' => 'K',
        'Ꮮ' | 'ꓡ' | 'ᒪ' | 'Ⅼ' => 'L',
        'М' | 'Μ' | 'Ꮇ' | 'ꓟ' | 'Ⅿ' | 'Ⲙ' => 'M',
        'Ν' | 'ꓠ' | 'Ⲛ' => 'N',
        'О' | 'Ο' | 'Օ' | 'ꓳ' | 'Ⲟ' => 'O',
        'Р' | 'Ρ' | 'Ꮲ' | 'ꓑ' | 'ᑭ' | 'Ⲣ' => 'P',
        'Ԛ' => 'Q',
        'Ꭱ' | 'ꓣ' | 'ᖇ' => 'R',
        'Ѕ' | 'Տ' | 'Ꮪ' | 'ꓢ' => 'S',
        'Т' | 'Τ' | 'Ꭲ' | 'ꓔ' | 'Ⲧ' => 'T',
        'Ս' | 'ꓴ' | 'ᑌ' => 'U',
        'Ѵ' | 'Ꮩ' | 'ꓦ' | 'Ⅴ' | 'ᐯ' => 'V',
        'Ԝ' | 'Ꮃ' | 'ꓪ' => 'W',
        'Х' | 'Χ' | 'ꓫ' | 'Ⅹ' | 'Ⲭ' => 'X',
        'Υ' | 'Ү' | 'ꓬ' | 'Ⲩ' | 'У' => 'Y',
        'Ζ' | 'Ꮓ' | 'ꓜ' => 'Z',
        'а' | 'α' | 'ɑ' | '⍺' | 'ᴀ' => 'a',
        'Ь' | 'Ꮟ' | 'ь' | 'Ƅ' | 'ʙ' => 'b',
        'с' | 'ϲ' | 'ᴄ' | 'ⅽ' | 'ⲥ' => 'c',
        'ԁ' | 'ⅾ' | 'ꓒ' | 'Ꮷ' | 'ᴅ' => 'd',
        'е' | 'ҽ' | 'ё' | '℮' | 'ᴇ' => 'e',
        'ƒ' | 'ꞙ' | 'ẝ' | 'ꜰ' => 'f',
        'ɡ' | 'ց' | 'ᶃ' | 'ƍ' | 'ɢ' => 'g',
        'һ' | 'հ' | 'Ꮒ' | 'ʜ' => 'h',
        'і' | 'ι' | 'ı' | 'ɩ' | 'ⅰ' | 'ɪ' => 'i',
        'ј' | 'ϳ' | 'ᴊ' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'ӏ' | 'ⅼ' | 'ʟ' => 'l',
        'м' | 'ᴍ' | 'ⅿ' => 'm',
        'п' | 'ո' | 'η' | 'ɴ' => 'n',
        'о' | 'ο' | 'օ' | 'ᴏ' | 'ⲟ' | 'σ' => 'o',
        'р' | 'ρ' | 'ⲣ' | 'ᴘ' => 'p',
        'ԛ' | 'զ' | 'գ' => 'q',
        'г' | 'ᴦ' | 'ⲅ' | 'ʀ' => 'r',
        'ѕ' | 'ꜱ' | 'ꮪ' => 's',
        'т' | 'τ' | 'ᴛ' => 't',
        'υ' | 'ս' | 'ᴜ' | 'ʋ' => 'u',
        'ѵ' | 'ν' | 'ᴠ' | 'ⅴ' => 'v',
        'ԝ' | 'ω' | 'ᴡ' | 'ѡ' | 'ա' => 'w',
        'х' | 'χ' | 'ⅹ' => 'x',
        'у' | 'ү' | 'γ' | 'ʏ' | 'ỿ' => 'y',
        'ᴢ' | 'ꮓ' => 'z',
        'З' | 'Ӡ' | 'Ʒ' | 'Ȝ' => '3',
        'б' => '6',
        'Ȣ' => '8',
        'Ꮞ' => '4',
        'Ƨ' | 'ᒿ' | 'Ꙅ' => '2',
        'Ƽ' => '5',
        'Ꝯ' | 'Ⳋ' => '9',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_unicode() {
        for c in '\0'..=char::MAX {
            assert_eq!(is_letter(c), c.is_alphabetic(), "{c:?}");
            assert_eq!(is_word(c), c.is_alphanumeric(), "{c:?}");
        }
    }

    #[test]
    fn alphabets_begin_and_end_where_they_should() {
        for (from, to) in [
            ('𝐀', 'A'),
            ('𝐳', 'z'),
            ('𝟢', '0'),
            ('𝖿', 'f'),
            ('𝚣', 'z'),
            ('𝟿', '9'),
            ('Ⓐ', 'A'),
            ('ⓩ', 'z'),
            ('①', '1'),
            ('🅰', 'A'),
            ('ℎ', 'h'),
        ] {
            assert_eq!(fold(from), Fold::Font(to), "{from}");
        }
        assert_eq!(fold('Ａ'), Fold::Width('A'));
        assert_eq!(fold('ｚ'), Fold::Width('z'));
        assert_eq!(fold('Ζ'), Fold::LookAlike('Z'));
        assert_eq!(fold('\u{200b}'), Fold::Invisible);
        assert_eq!(fold('字'), Fold::Keep);
    }

    #[test]
    fn everything_folds_to_ascii() {
        for c in '\0'..=char::MAX {
            if let Fold::Width(to) | Fold::Font(to) | Fold::LookAlike(to) = fold(c) {
                assert!(to.is_ascii() && !c.is_ascii(), "{c:?} {to:?}");
            }
        }
    }
}
