//! Messages and how they change: by character, by piece, by address and by what hangs on them.

use tgmesh_detect::{Button, Entity, EntityKind, Input, Name};

use crate::make::{self, Dice};

/// A message that owns its parts.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub text: String,
    pub entities: Vec<(EntityKind, usize, usize, Option<String>)>,
    pub buttons: Vec<(bool, String)>,
    pub links: Vec<String>,
    pub quote: String,
    pub names: Vec<(bool, String)>,
    pub prior: Option<String>,
}

/// Four times what Telegram lets through.
const MAX_CHARS: usize = 4096 * 4;

/// What gives a text its meaning for a detector: beginnings of links, labels, fillers, wrappers.
const WORDS: [&str; 97] = [
    "https://",
    "http://",
    "hxxps://",
    "hxxp://",
    "https://dexscreener.com/solana/",
    "dexscreener.com/base/",
    "https://t.me/bonkbot_bot?start=ref_x_ca_",
    "t.me/x?start=",
    "tg://resolve?domain=x&start=",
    "https://solscan.io/token/",
    "https://solscan.io/tx/",
    "https://etherscan.io/token/",
    "https://bscscan.com/tx/",
    "https://etherscan.io/block/",
    "https://pump.fun/coin/",
    "https://gmgn.ai/sol/token/",
    "https://birdeye.so/token/",
    "?chain=solana",
    "https://tonviewer.com/",
    "https://tronscan.org/#/token20/",
    "https://suiscan.xyz/mainnet/coin/",
    "https://explorer.aptoslabs.com/coin/",
    "https://jup.ag/swap/SOL-",
    "https://raydium.io/swap/?inputMint=sol&outputMint=",
    "https://app.uniswap.org/swap?outputCurrency=",
    "https://photon-sol.tinyastro.io/en/lp/",
    "%2541",
    "%2F",
    "%",
    "&#x",
    "&amp;",
    "?",
    "#",
    "/",
    ":",
    "::coin::COIN",
    "::",
    "0:",
    "-1:",
    "0x",
    "0X",
    "x0",
    "EQ",
    "UQ",
    "kQ",
    "Ef",
    "T",
    "pump",
    "bonk",
    "eyJ",
    "sha256-",
    "[.]",
    "(dot)",
    " dot ",
    "CA: ",
    "contract ",
    "pool: ",
    "wallet ",
    "tx hash ",
    "private key ",
    "reversed ",
    "backwards ",
    "наоборот ",
    "part 1: ",
    "part 2: ",
    "1) ",
    "2/3 ",
    "add pump at the end ",
    "add 0x at the beginning ",
    "remove spaces ",
    "REMOVE",
    "(remove \"MOON\")",
    "MOON",
    "удали",
    "without the dots ",
    "on #base ",
    "bsc ",
    "sui ",
    "aptos ",
    "ton ",
    "tron ",
    "solana ",
    "<b>",
    "</b>",
    "<a href=\"",
    "**",
    "`",
    "```",
    "||",
    "~~",
    "🔥",
    "👉",
    "→",
    "…",
    "...",
    "$ETH",
    "abandon ",
];

/// Characters with a trick each: invisible, turning, combining, of other widths and fonts, of two
/// UTF-16 units, at the edges of encodings.
const CHARACTERS: [char; 48] = [
    '\0',
    '\u{1}',
    '\t',
    '\n',
    '\r',
    '\u{1b}',
    ' ',
    '\u{7f}',
    '\u{80}',
    '\u{85}',
    '\u{a0}',
    '\u{ad}',
    '\u{300}',
    '\u{34f}',
    '\u{61c}',
    '\u{200b}',
    '\u{200d}',
    '\u{200e}',
    '\u{202e}',
    '\u{2028}',
    '\u{2066}',
    '\u{20e3}',
    '\u{2800}',
    '\u{3000}',
    '\u{3164}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{10000}',
    '\u{10ffff}',
    '\u{e0041}',
    'а',
    'е',
    'Ο',
    'х',
    'Т',
    'ι',
    '０',
    'ｘ',
    'Ａ',
    '𝐀',
    '𝟎',
    '①',
    'Ⓐ',
    'ﬁ',
    'א',
    '🏴',
];

const KINDS: [EntityKind; 6] = [
    EntityKind::TextUrl,
    EntityKind::Url,
    EntityKind::Code,
    EntityKind::Pre,
    EntityKind::Spoiler,
    EntityKind::Other,
];

impl Message {
    /// Calls `with` with the borrowed form.
    pub fn lend<T>(&self, with: impl FnOnce(&Input<'_>) -> T) -> T {
        let entities: Vec<Entity<'_>> = self
            .entities
            .iter()
            .map(|(kind, offset, length, url)| Entity {
                kind: *kind,
                offset: *offset,
                length: *length,
                url: url.as_deref(),
            })
            .collect();
        let buttons: Vec<Button<'_>> = self
            .buttons
            .iter()
            .map(|(is_url, text)| if *is_url { Button::Url(text) } else { Button::Copy(text) })
            .collect();
        let links: Vec<&str> = self.links.iter().map(String::as_str).collect();
        let names: Vec<Name<'_>> = self
            .names
            .iter()
            .map(|(is_chat, name)| if *is_chat { Name::Chat(name) } else { Name::Sender(name) })
            .collect();
        with(&Input {
            text: &self.text,
            entities: &entities,
            buttons: &buttons,
            links: &links,
            quote: &self.quote,
            names: &names,
            prior: self.prior.as_deref(),
        })
    }

    /// Bytes over all parts.
    pub fn len(&self) -> usize {
        let hidden = |entity: &(_, _, _, Option<String>)| entity.3.as_ref().map_or(0, String::len);
        self.text.len()
            + self.quote.len()
            + self.entities.iter().map(hidden).sum::<usize>()
            + self
                .buttons
                .iter()
                .chain(&self.names)
                .map(|(_, text)| text.len())
                .sum::<usize>()
            + self.links.iter().map(String::len).sum::<usize>()
    }
}

/// Beginnings: one of each family, plain, on a link, in each disguise.
pub fn seeds(dice: &mut Dice) -> Vec<Message> {
    let mut seeds = vec![Message::default()];
    for _ in 0..4 {
        for which in 0..7 {
            let address = address(dice, which);
            let label = ["CA: ", "on base ", "sui ", "ton ", "aptos coin ", ""][dice.below(6)];
            seeds.push(Message {
                text: format!("{label}{address}"),
                ..Message::default()
            });
            seeds.push(Message {
                text: format!("{label}{}", disguised(dice, &address)),
                ..Message::default()
            });
            let link = format!("{}{address}", WORDS[dice.below(26)]);
            seeds.push(Message {
                entities: vec![(EntityKind::TextUrl, 0, 5, Some(link.clone()))],
                text: "chart here".to_owned(),
                ..Message::default()
            });
            seeds.push(Message {
                text: link.clone(),
                buttons: vec![(true, link), (false, address)],
                ..Message::default()
            });
        }
    }
    seeds
}

/// `from` after a few changes, some of them taken over from `other`.
pub fn change(dice: &mut Dice, from: &Message, other: &Message) -> Message {
    let mut message = from.clone();
    for _ in 0..=dice.below(6) {
        match dice.below(16) {
            0 => mark(dice, &mut message),
            1 => {
                let (text, is_url) = (piece(dice, other), dice.below(3) > 0);
                bounded(dice, &mut message.buttons, (is_url, text));
            }
            2 => {
                let link = piece(dice, other);
                bounded(dice, &mut message.links, link);
            }
            3 => change_text(dice, &mut message.quote, other),
            4 => {
                let (name, is_chat) = (piece(dice, other), dice.below(2) == 0);
                bounded(dice, &mut message.names, (is_chat, name));
            }
            5 => {
                message.prior = (dice.below(4) > 0).then(|| {
                    dice.pick(&["bsc", "base", "sui", "aptos", "solana", "", "nowhere"])
                        .to_owned()
                });
            }
            6 if !message.entities.is_empty() => {
                let at = dice.below(message.entities.len());
                if let Some(url) = &mut message.entities[at].3 {
                    change_text(dice, url, other);
                }
            }
            _ => change_text(dice, &mut message.text, other),
        }
    }
    message
}

fn mark(dice: &mut Dice, message: &mut Message) {
    let units = message.text.encode_utf16().count();
    let mut at = |most: usize| match dice.below(8) {
        0 => usize::MAX - dice.below(2),
        1 => units + dice.below(3),
        _ => dice.below(most + 1),
    };
    let (offset, length) = (at(units), at(40));
    let kind = KINDS[dice.below(KINDS.len())];
    let url = (kind == EntityKind::TextUrl || dice.below(4) == 0).then(|| piece(dice, message));
    bounded(dice, &mut message.entities, (kind, offset, length, url));
}

/// Adds to a list, in the place of another where it is long.
fn bounded<T>(dice: &mut Dice, list: &mut Vec<T>, item: T) {
    if list.len() < 12 {
        list.push(item);
    } else {
        let at = dice.below(list.len());
        list[at] = item;
    }
}

/// A text to put in another: a word, an address, a link with one, or a part of a message.
fn piece(dice: &mut Dice, from: &Message) -> String {
    let which = dice.below(7);
    match dice.below(6) {
        0 => dice.pick(&WORDS).to_owned(),
        1 => address(dice, which),
        2 => format!("{}{}", dice.pick(&WORDS), address(dice, which)),
        3 => {
            let whole = address(dice, which);
            let (start, end) = range(dice, &whole);
            whole[start..end].to_owned()
        }
        4 => {
            let whole = address(dice, which);
            disguised(dice, &whole)
        }
        _ => {
            let (start, end) = range(dice, &from.text);
            from.text[start..end].to_owned()
        }
    }
}

fn address(dice: &mut Dice, which: usize) -> String {
    match which {
        0 => make::evm(dice),
        1 => make::evm_lower(dice),
        2 => make::solana(dice),
        3 => make::pump(dice),
        4 => make::tron(dice),
        5 => make::ton(dice),
        _ => make::move_address(dice),
    }
}

/// An address the way people hide one.
fn disguised(dice: &mut Dice, address: &str) -> String {
    let every = 1 + dice.below(9);
    let between = |dice: &mut Dice| match dice.below(4) {
        0 => dice.pick(&[" ", ".", "-", "\n", " 🔥 ", "_", "*", " | "]).to_owned(),
        1 => CHARACTERS[dice.below(CHARACTERS.len())].to_string(),
        2 => "\u{200b}".to_owned(),
        _ => dice.pick(&WORDS).to_owned(),
    };
    let mut out = String::new();
    match dice.below(6) {
        0 => out.extend(address.chars().rev()),
        1 => out.extend(address.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c))),
        2 => {
            for (part, chunk) in address.as_bytes().chunks(every + 6).enumerate() {
                out.extend([
                    "part ",
                    &(part + 1).to_string(),
                    ": ",
                    &String::from_utf8_lossy(chunk),
                    "\n",
                ]);
            }
        }
        3 => out.push_str(&address.to_uppercase()),
        _ => {
            let same = between(dice);
            for (index, c) in address.chars().enumerate() {
                if index % every == 0 && index > 0 {
                    out += &same;
                }
                out.push(c);
            }
        }
    }
    out
}

fn change_text(dice: &mut Dice, text: &mut String, other: &Message) {
    let (start, end) = range(dice, text);
    match dice.below(10) {
        0 => text.replace_range(start..end, ""),
        1 => {
            let new = piece(dice, other);
            text.replace_range(start..end, &new);
        }
        2 | 3 => {
            let new = piece(dice, other);
            text.insert_str(start, &new);
        }
        4 => text.insert(start, CHARACTERS[dice.below(CHARACTERS.len())]),
        5 => text.insert(start, char::from(b' ' + dice.below(95) as u8)),
        6 => {
            let again = text[start..end].repeat(1 + dice.below(12));
            text.insert_str(end, &again);
        }
        7 => {
            let turned: String = text[start..end].chars().rev().collect();
            text.replace_range(start..end, &turned);
        }
        8 => {
            let part = &text[start..end];
            let cased = if dice.below(2) == 0 {
                part.to_uppercase()
            } else {
                part.to_lowercase()
            };
            text.replace_range(start..end, &cased);
        }
        _ => {
            // One bit of one character, where that leaves a character.
            if let Some(c) = text[start..].chars().next()
                && let Some(flipped) = char::from_u32(c as u32 ^ 1 << dice.below(8))
            {
                text.replace_range(start..start + c.len_utf8(), flipped.encode_utf8(&mut [0; 4]));
            }
        }
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
    }
}

/// Two places in a text, on character boundaries, seldom far apart.
fn range(dice: &mut Dice, text: &str) -> (usize, usize) {
    let reach = [4, 16, 64, 4096][dice.below(4)];
    let start = text.floor_char_boundary(dice.below(text.len() + 1));
    let end = text.floor_char_boundary((start + dice.below(reach)).min(text.len()));
    (start, end.max(start))
}
