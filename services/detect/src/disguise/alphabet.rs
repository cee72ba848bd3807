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

/// What `c` stands for. ASCII is itself.
pub(crate) fn fold(c: char) -> Fold {
    let code = c as u32;
    match code {
        0..=0xac => Fold::Keep,
        0xad
        | 0x300..=0x36f
        | 0x61c
        | 0x115f
        | 0x1160
        | 0x17b4
        | 0x17b5
        | 0x180b..=0x180f
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x20e3
        | 0x2800
        | 0x3164
        | 0xfe00..=0xfe0f
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
        0x24ea | 0x24ff => Fold::Font('0'),
        0x24b6..=0x24e9 => letter(code - 0x24b6),
        0x249c..=0x24b5 => letter(code - 0x249c + 26),
        0x1f130..=0x1f149 => letter(code - 0x1f130),
        0x1f150..=0x1f169 => letter(code - 0x1f150),
        0x1f170..=0x1f189 => letter(code - 0x1f170),
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

/// Letters that most fonts draw like a Latin one. Case is kept: addresses depend on it.
fn look_alike(c: char) -> Option<char> {
    Some(match c {
        'А' | 'Α' | 'Ꭺ' => 'A',
        'В' | 'Β' | 'Ᏼ' => 'B',
        'С' | 'Ϲ' | 'Ꮯ' => 'C',
        'Ꭰ' => 'D',
        'Е' | 'Ε' | 'Ꭼ' => 'E',
        'Ϝ' => 'F',
        'Ԍ' | 'Ꮐ' => 'G',
        'Н' | 'Η' | 'Ꮋ' => 'H',
        'І' | 'Ι' | 'Ӏ' => 'I',
        'Ј' | 'Ꭻ' => 'J',
        'К' | 'Κ' | 'Ꮶ' => 'K',
        'Ꮮ' => 'L',
        'М' | 'Μ' | 'Ꮇ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' | 'Օ' => 'O',
        'Р' | 'Ρ' | 'Ꮲ' => 'P',
        'Ԛ' => 'Q',
        'Ꭱ' => 'R',
        'Ѕ' | 'Տ' | 'Ꮪ' => 'S',
        'Т' | 'Τ' | 'Ꭲ' => 'T',
        'Ս' => 'U',
        'Ѵ' | 'Ꮩ' => 'V',
        'Ԝ' | 'Ꮃ' => 'W',
        'Х' | 'Χ' => 'X',
        'Υ' | 'Ү' | 'У' => 'Y',
        'Ζ' | 'Ꮓ' => 'Z',
        'а' | 'α' | 'ɑ' => 'a',
        'Ь' | 'Ꮟ' | 'ь' => 'b',
        'с' | 'ϲ' | 'ᴄ' => 'c',
        'ԁ' => 'd',
        'е' | 'ҽ' | 'ё' => 'e',
        'ɡ' | 'ց' => 'g',
        'һ' | 'հ' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' | 'ϳ' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'ӏ' => 'l',
        'м' | 'ᴍ' => 'm',
        'п' | 'ո' | 'η' => 'n',
        'о' | 'ο' | 'օ' | 'ᴏ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' | 'զ' => 'q',
        'г' => 'r',
        'ѕ' | 'ꜱ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' | 'ᴜ' => 'u',
        'ѵ' | 'ν' | 'ᴠ' => 'v',
        'ԝ' | 'ω' | 'ᴡ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'ү' | 'γ' => 'y',
        'ᴢ' => 'z',
        'З' | 'Ӡ' => '3',
        'б' => '6',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
