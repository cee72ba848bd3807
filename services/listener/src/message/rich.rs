//! Rich messages: pages with headings, lists, tables and buttons instead of a text with marks.
//! What can be read goes behind the text, what is linked goes to the links.

use grammers_tl_types::enums::{PageBlock, PageListItem, PageListOrderedItem, RichText};
use grammers_tl_types::enums::{PageButton, PageCaption, PageTableCell, PageTableRow};

use super::{Button, markup};

/// Deepest nesting that is followed; Telegram's editor allows far less.
const MAX_DEPTH: usize = 32;
/// Longest text that is gathered, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Reads blocks; each begins a new line of the text.
pub(super) fn read(blocks: Vec<PageBlock>, text: &mut String, links: &mut Vec<String>, buttons: &mut Vec<Button>) {
    let mut reader = Reader { text, links, buttons };
    reader.blocks(blocks, 0);
}

struct Reader<'a> {
    text: &'a mut String,
    links: &'a mut Vec<String>,
    buttons: &'a mut Vec<Button>,
}

impl Reader<'_> {
    fn blocks(&mut self, blocks: Vec<PageBlock>, depth: usize) {
        for block in blocks {
            if depth >= MAX_DEPTH || self.text.len() >= MAX_TEXT {
                return;
            }
            self.block(block, depth + 1);
        }
    }

    fn block(&mut self, block: PageBlock, depth: usize) {
        match block {
            PageBlock::Title(b) => self.line(b.text, depth),
            PageBlock::Subtitle(b) => self.line(b.text, depth),
            PageBlock::AuthorDate(b) => self.line(b.author, depth),
            PageBlock::Header(b) => self.line(b.text, depth),
            PageBlock::Subheader(b) => self.line(b.text, depth),
            PageBlock::Paragraph(b) => self.line(b.text, depth),
            PageBlock::Preformatted(b) => self.line(b.text, depth),
            PageBlock::Footer(b) => self.line(b.text, depth),
            PageBlock::Kicker(b) => self.line(b.text, depth),
            PageBlock::Thinking(b) => self.line(b.text, depth),
            PageBlock::Heading1(b) => self.line(b.text, depth),
            PageBlock::Heading2(b) => self.line(b.text, depth),
            PageBlock::Heading3(b) => self.line(b.text, depth),
            PageBlock::Heading4(b) => self.line(b.text, depth),
            PageBlock::Heading5(b) => self.line(b.text, depth),
            PageBlock::Heading6(b) => self.line(b.text, depth),
            PageBlock::Math(b) => self.plain_line(&b.source),
            PageBlock::Blockquote(b) => {
                self.line(b.text, depth);
                self.line(b.caption, depth);
            }
            PageBlock::Pullquote(b) => {
                self.line(b.text, depth);
                self.line(b.caption, depth);
            }
            PageBlock::BlockquoteBlocks(b) => {
                self.blocks(b.blocks, depth);
                self.line(b.caption, depth);
            }
            PageBlock::Photo(b) => {
                self.links.extend(b.url);
                self.caption(b.caption, depth);
            }
            PageBlock::Video(b) => self.caption(b.caption, depth),
            PageBlock::Audio(b) => self.caption(b.caption, depth),
            PageBlock::Document(b) => self.caption(b.caption, depth),
            PageBlock::Map(b) => self.caption(b.caption, depth),
            PageBlock::Cover(b) => self.blocks(vec![b.cover], depth),
            PageBlock::Embed(b) => {
                self.links.extend(b.url);
                self.caption(b.caption, depth);
            }
            PageBlock::EmbedPost(b) => {
                self.links.push(b.url);
                self.blocks(b.blocks, depth);
                self.caption(b.caption, depth);
            }
            PageBlock::Collage(b) => {
                self.blocks(b.items, depth);
                self.caption(b.caption, depth);
            }
            PageBlock::Slideshow(b) => {
                self.blocks(b.items, depth);
                self.caption(b.caption, depth);
            }
            PageBlock::Details(b) => {
                self.line(b.title, depth);
                self.blocks(b.blocks, depth);
            }
            PageBlock::List(b) => {
                for item in b.items {
                    match item {
                        PageListItem::Text(item) => self.line(item.text, depth),
                        PageListItem::Blocks(item) => self.blocks(item.blocks, depth),
                    }
                }
            }
            PageBlock::OrderedList(b) => {
                for item in b.items {
                    match item {
                        PageListOrderedItem::Text(item) => self.line(item.text, depth),
                        PageListOrderedItem::Blocks(item) => self.blocks(item.blocks, depth),
                    }
                }
            }
            PageBlock::Table(b) => {
                self.line(b.title, depth);
                let cells = b.rows.into_iter().flat_map(|PageTableRow::Row(row)| row.cells);
                for PageTableCell::Cell(cell) in cells {
                    if let Some(text) = cell.text {
                        self.line(text, depth);
                    }
                }
            }
            PageBlock::ButtonRow(b) => {
                for PageButton::Button(button) in b.buttons {
                    let mut label = String::new();
                    let mut reader = Reader {
                        text: &mut label,
                        links: self.links,
                        buttons: self.buttons,
                    };
                    reader.words(button.text, depth);
                    self.buttons.push(Button {
                        label,
                        target: markup::target(button.r#type),
                    });
                }
            }
            PageBlock::RelatedArticles(_)
            | PageBlock::Unsupported
            | PageBlock::Divider
            | PageBlock::Anchor(_)
            | PageBlock::Channel(_)
            | PageBlock::InputPageBlockMap(_) => {}
        }
    }

    fn caption(&mut self, caption: PageCaption, depth: usize) {
        let PageCaption::Caption(caption) = caption;
        self.line(caption.text, depth);
        self.line(caption.credit, depth);
    }

    fn line(&mut self, text: RichText, depth: usize) {
        if matches!(text, RichText::TextEmpty) {
            return;
        }
        self.plain_line("");
        self.words(text, depth);
    }

    fn plain_line(&mut self, words: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.push(words);
    }

    fn push(&mut self, words: &str) {
        if self.text.len() + words.len() <= MAX_TEXT {
            self.text.push_str(words);
        }
    }

    fn words(&mut self, text: RichText, depth: usize) {
        if depth >= MAX_DEPTH {
            return;
        }
        let depth = depth + 1;
        match text {
            RichText::TextEmpty | RichText::TextImage(_) => {}
            RichText::TextPlain(t) => self.push(&t.text),
            RichText::TextConcat(t) => t.texts.into_iter().for_each(|text| self.words(text, depth)),
            RichText::TextUrl(t) => {
                self.links.push(t.url);
                self.words(t.text, depth);
            }
            RichText::TextButton(t) => {
                let target = markup::target(t.r#type);
                self.buttons.push(Button {
                    label: String::new(),
                    target,
                });
                self.words(t.text, depth);
            }
            RichText::TextBold(t) => self.words(t.text, depth),
            RichText::TextItalic(t) => self.words(t.text, depth),
            RichText::TextUnderline(t) => self.words(t.text, depth),
            RichText::TextStrike(t) => self.words(t.text, depth),
            RichText::TextFixed(t) => self.words(t.text, depth),
            RichText::TextEmail(t) => self.words(t.text, depth),
            RichText::TextSubscript(t) => self.words(t.text, depth),
            RichText::TextSuperscript(t) => self.words(t.text, depth),
            RichText::TextMarked(t) => self.words(t.text, depth),
            RichText::TextPhone(t) => self.words(t.text, depth),
            RichText::TextAnchor(t) => self.words(t.text, depth),
            RichText::TextMath(t) => self.push(&t.source),
            RichText::TextCustomEmoji(t) => self.push(&t.alt),
            RichText::TextSpoiler(t) => self.words(t.text, depth),
            RichText::TextMention(t) => self.words(t.text, depth),
            RichText::TextHashtag(t) => self.words(t.text, depth),
            RichText::TextBotCommand(t) => self.words(t.text, depth),
            RichText::TextCashtag(t) => self.words(t.text, depth),
            RichText::TextAutoUrl(t) => self.words(t.text, depth),
            RichText::TextAutoEmail(t) => self.words(t.text, depth),
            RichText::TextAutoPhone(t) => self.words(t.text, depth),
            RichText::TextBankCard(t) => self.words(t.text, depth),
            RichText::TextMentionName(t) => self.words(t.text, depth),
            RichText::TextDate(t) => self.words(t.text, depth),
            RichText::TextDiff(t) => self.words(t.text, depth),
            RichText::TextTonAddress(t) => self.words(t.text, depth),
        }
    }
}
