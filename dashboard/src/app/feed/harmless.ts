// Chat text is hostile: it can turn the reading direction of what stands beside it, hide characters
// inside an address, or stack marks over other rows. Markup is no danger (text becomes text nodes);
// what is left is made visible here.

/** A piece of text as it may be shown. */
export interface Part {
  text: string
  /** `mark` stands for a character that would be invisible or would move others; `hit` is the find. */
  kind: 'plain' | 'mark' | 'hit'
}

const NAMES: Record<number, string> = {
  0x00ad: 'soft hyphen',
  0x061c: 'arabic letter mark',
  0x200b: 'zero-width space',
  0x200c: 'zero-width non-joiner',
  0x200d: 'zero-width joiner',
  0x200e: 'left-to-right mark',
  0x200f: 'right-to-left mark',
  0x202a: 'left-to-right embedding',
  0x202b: 'right-to-left embedding',
  0x202c: 'end of embedding',
  0x202d: 'left-to-right override',
  0x202e: 'right-to-left override',
  0x2060: 'word joiner',
  0x2066: 'left-to-right isolate',
  0x2067: 'right-to-left isolate',
  0x2068: 'first strong isolate',
  0x2069: 'end of isolate',
  0xfeff: 'byte order mark',
}

// More than any script stacks on one letter.
const MOST_COMBINING = 4

/** The visible form of a hidden character, such as `U+202E`. */
export function codePoint(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}

/** What a `mark` stands for, in words where there are some. */
export function explain(mark: string): string {
  const name = NAMES[Number.parseInt(mark.slice(2), 16)]
  return name ? `${mark} ${name}` : `${mark} hidden character`
}

/** Splits text into pieces that show every character; line breaks become spaces unless they are to stay. */
export function harmless(text: string, keepsLines = false): Part[] {
  const parts: Part[] = []
  let plain = ''
  let combining = 0
  const characters = [...text]
  const flush = () => {
    if (plain) parts.push({ text: plain, kind: 'plain' })
    plain = ''
  }
  characters.forEach((character, i) => {
    const code = character.codePointAt(0) ?? 0
    combining = /\p{Mn}|\p{Me}/u.test(character) ? combining + 1 : 0
    if (keepsLines && code === 0x0a) {
      if (!plain.endsWith('\n\n')) plain += character
    } else if (code === 0x0a || code === 0x0d || code === 0x09 || code === 0x2028 || code === 0x2029) {
      if (!plain.endsWith(' ')) plain += ' '
    } else if (isHidden(code, characters[i - 1], characters[i + 1])) {
      flush()
      parts.push({ text: codePoint(code), kind: 'mark' })
    } else if (combining <= MOST_COMBINING) {
      plain += character
    }
  })
  flush()
  return parts
}

/** One line of text where pieces are not possible, such as a tooltip. */
export function flat(text: string): string {
  return harmless(text)
    .map((part) => (part.kind === 'mark' ? `[${part.text}]` : part.text))
    .join('')
}

/**
 * The part of a message that shows the find: at most `limit` characters, with `find` emphasised
 * where it stands in the text.
 */
export function snippet(text: string, find: string, limit = 280): Part[] {
  const at = find ? text.indexOf(find) : -1
  // Far down a long message: begin a little before the find, so that it is in sight.
  const from = at > 80 ? at - 24 : 0
  const cut = trim(text, from, from + limit)
  if (at < 0 || at + find.length > from + limit) return harmless(cut)
  const start = at - from + (cut.startsWith('…') ? 1 : 0)
  return [
    ...harmless(cut.slice(0, start)),
    ...harmless(find).map((part): Part => (part.kind === 'plain' ? { ...part, kind: 'hit' } : part)),
    ...harmless(cut.slice(start + find.length)),
  ]
}

/** A whole message over several lines, with `find` emphasised wherever it stands. */
export function marked(text: string, find: string): Part[] {
  if (!find) return harmless(text, true)
  return text.split(find).flatMap((between, i): Part[] => [
    ...(i > 0 ? harmless(find).map((part): Part => (part.kind === 'plain' ? { ...part, kind: 'hit' } : part)) : []),
    ...harmless(between, true),
  ])
}

// Slices by UTF-16 units, but never through a pair; the lead is exactly one character.
function trim(text: string, from: number, to: number): string {
  const body = text.slice(from, to).toWellFormed()
  return `${from > 0 ? '…' : ''}${body}${to < text.length ? '…' : ''}`
}

function isHidden(code: number, before: string | undefined, after: string | undefined): boolean {
  // Controls, C1, soft hyphen and the format characters that turn direction or take no room.
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f) || code === 0xad) return true
  if (code === 0x200c || code === 0x200d) {
    // Emoji and several scripts need joiners; between Latin letters or digits they only hide.
    return isAscii(before) || isAscii(after)
  }
  return (
    code === 0x034f || code === 0x061c || code === 0x115f || code === 0x1160 || code === 0x180e ||
    code === 0x200b || code === 0x200e || code === 0x200f || (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) || code === 0x3164 || code === 0xfeff || code === 0xffa0 ||
    (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xd800 && code <= 0xdfff) ||
    (code >= 0xe0000 && code <= 0xe007f)
  )
}

function isAscii(character: string | undefined): boolean {
  return character === undefined || character.charCodeAt(0) < 0x80
}
