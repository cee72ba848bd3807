import { chainName } from './words'
import { flat } from './harmless'

const FOLDS: Record<string, string> = {
  'zero-width': 'hidden characters stood inside it',
  width: 'written in full-width letters',
  font: 'written in ornamental letters',
  'look-alike': 'letters of another script were exchanged for look-alikes',
  swap: 'characters that the message says to exchange were exchanged',
  reversed: 'written backwards',
  markup: 'formatting ran through it',
  entity: 'written with character codes',
  filler: 'padded with words or signs to take out',
  prefix: 'its beginning was left out and put back',
  suffix: 'its end was left out and put back',
  defang: 'its link was made unclickable on purpose',
}
const WORDS: Record<string, string> = {
  eip55: 'its mixed case is a valid EIP-55 checksum',
  base58check: 'its checksum holds',
  crc16: 'its checksum holds',
  'hex:one-case': '40 hex digits in one case: no checksum to go by',
  'hex:raw': 'raw hex: no checksum to go by',
  'hex:32': '32 bytes in hex',
  'base58:32': '32 bytes in base58, as addresses of Solana have',
  'base58:words': '32 bytes in base58, but it reads like words',
  type: 'shaped like a coin type',
  base62: 'a bot’s start parameter held it packed',
  base64: 'a bot’s start parameter held it packed',
  quote: 'in a message that this one quotes',
  'prior:unknown': 'nothing around it tells its chain',
  'label:code': 'a word before it calls it a code',
  'label:hash': 'a word before it calls it a transaction or hash',
  'name:chat': 'in the chat’s name',
  'name:sender': 'in the sender’s name',
  'link:other': 'in a link to a site that is not known',
}

/** A piece of evidence in words; what is not known stays as it is. */
export function evidenceInWords(evidence: string): string {
  const known = Object.hasOwn(WORDS, evidence) ? WORDS[evidence] : undefined
  if (known) return known
  const cut = evidence.indexOf(':')
  const value = flat(evidence.slice(cut + 1))
  switch (evidence.slice(0, Math.max(cut, 0))) {
    case 'link':
      return `a link to ${value} names it`
    case 'word':
      return `a word near it means ${chainName(value)}`
    case 'message':
      return `the rest of the message speaks of ${chainName(value)}`
    case 'label':
      return `called a ${value} in the text`
    case 'prior':
      return `most such addresses are on ${chainName(value)}`
    case 'suffix':
      return `ends in “${value}”, as tokens of one launch pad do`
    case 'join':
      return `put together from pieces (${value})`
    case 'fold':
      return Object.hasOwn(FOLDS, value) ? (FOLDS[value] ?? value) : `a disguise was taken off (${value})`
    default:
      return flat(evidence)
  }
}

const METHODS: Record<string, string> = {
  plain: 'stands in the text as it is',
  link: 'in a link that is visible in the text',
  entity: 'in a link hidden behind words',
  button: 'in a button under the message',
  deobfuscated: 'in the text, after a disguise was taken off',
}

/** How it was found, in words. */
export function methodInWords(method: string): string {
  return Object.hasOwn(METHODS, method) ? (METHODS[method] ?? method) : flat(method)
}
