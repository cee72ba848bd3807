//! What a caller hands in: the text of one message and what hangs on it.

/// One message, borrowed from the caller.
///
/// New fields may come; build it with `..Input::default()`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// The text or caption, as Telegram sent it.
    pub text: &'a str,
    /// Formatting marks of the text. Offsets that lie outside the text or inside a surrogate pair
    /// are ignored.
    pub entities: &'a [Entity<'a>],
    /// Inline buttons that carry something an address can stand in.
    pub buttons: &'a [Button<'a>],
    /// Addresses of web pages that hang on the message without standing in its text (previews).
    pub links: &'a [&'a str],
    /// The part of another message that this one quotes; empty when it quotes nothing.
    pub quote: &'a str,
    /// Names that stand beside the message and may hold an address.
    pub names: &'a [Name<'a>],
    /// The chain this chat usually speaks of (`bsc`, `base`, …), for EVM addresses that come
    /// without a word about theirs. A name the detector does not know is ignored.
    pub prior: Option<&'a str>,
}

/// A formatting mark over a part of the text.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    /// What the mark is.
    pub kind: EntityKind,
    /// Start in UTF-16 code units, as Telegram counts.
    pub offset: usize,
    /// Length in UTF-16 code units.
    pub length: usize,
    /// The target of a [`EntityKind::TextUrl`].
    pub url: Option<&'a str>,
}

/// The kinds of marks that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// A link hidden behind words.
    TextUrl,
    /// A link that stands in the text.
    Url,
    /// Monospaced words.
    Code,
    /// A monospaced block.
    Pre,
    /// Hidden until tapped.
    Spoiler,
    /// Anything else.
    Other,
}

impl EntityKind {
    /// The kind that the Bot API calls `name` (`text_link` is the same as `text_url`);
    /// [`EntityKind::Other`] for names without a meaning here.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "text_url" | "text_link" => Self::TextUrl,
            "url" => Self::Url,
            "code" => Self::Code,
            "pre" => Self::Pre,
            "spoiler" => Self::Spoiler,
            _ => Self::Other,
        }
    }
}

/// A name that is shown with a message.
#[derive(Debug, Clone, Copy)]
pub enum Name<'a> {
    /// Of the person or channel that posted it.
    Sender(&'a str),
    /// The title of the chat.
    Chat(&'a str),
}

/// An inline button.
#[derive(Debug, Clone, Copy)]
pub enum Button<'a> {
    /// Opens this link (plain links, log-in links and web views alike).
    Url(&'a str),
    /// Puts this text on the clipboard.
    Copy(&'a str),
}
