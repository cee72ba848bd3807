//! What must not reach a terminal as it is: chat text is hostile.

/// Whether a terminal obeys this character rather than shows it: C0 and C1 controls, DEL, and the
/// marks that turn the direction of text or hide it.
pub(crate) fn obeys(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
