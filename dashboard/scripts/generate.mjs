// Writes src/wire/schema.ts from proto/schema/*.json (JSON Schema 2020-12, made from the Rust types),
// and src/wire/answers.ts from the schemas in proto/openapi.json.
//
// An own generator because the schemas use a small part of the language, and because it refuses
// what it does not know: a keyword that it skipped in silence would be a wrong type on the page.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const SCHEMAS = fileURLToPath(new URL('../../proto/schema/', import.meta.url))
const OPENAPI = fileURLToPath(new URL('../../proto/openapi.json', import.meta.url))
export const OUTPUT = fileURLToPath(new URL('../src/wire/schema.ts', import.meta.url))
export const ANSWERS = fileURLToPath(new URL('../src/wire/answers.ts', import.meta.url))

// The root types that the page speaks; other files in the folder are for other readers.
const ROOTS = ['client-frame.json', 'detection.json', 'server-frame.json']

// What OpenAPI names after a type of the wire, or of the browser, has a name of its own here.
const NAMES = { Chat2: 'ChatFacts', Sender2: 'SenderFacts', Address: 'AddressFacts', Event: 'PastEvent' }

// Keywords that narrow values but not TypeScript types.
const SILENT = new Set([
  '$schema', '$defs', '$id', 'title', 'description', 'default', 'format', 'minimum', 'maximum',
  'minLength', 'maxLength', 'minItems', 'maxItems', 'pattern', 'examples', 'required', 'deprecated',
])
const KNOWN = new Set([
  ...SILENT, '$ref', 'const', 'enum', 'oneOf', 'anyOf', 'allOf', 'type', 'properties',
  'additionalProperties', 'unevaluatedProperties', 'items', 'prefixItems',
])

/** The generated file's text, from the schemas on disk. */
export function generateFromDisk(folder = SCHEMAS) {
  const present = new Set(readdirSync(folder))
  const roots = ROOTS.map((file) => {
    if (!present.has(file)) throw new Error(`${join(folder, file)} is missing`)
    return [basename(file), JSON.parse(readFileSync(join(folder, file), 'utf8'))]
  })
  return generate(roots)
}

/** The generated file's text, from pairs of file name and schema. */
export function generate(roots) {
  const types = new Map()
  const add = (name, schema, file) => {
    const text = declare(name, schema)
    const other = types.get(name)
    if (other !== undefined && other !== text) {
      throw new Error(`${file}: ${name} differs from the type of that name in another schema`)
    }
    types.set(name, text)
  }
  for (const [file, schema] of roots) {
    if (!schema.title) throw new Error(`${file}: the root has no title`)
    for (const [name, definition] of Object.entries(schema.$defs ?? {})) add(name, definition, file)
    add(schema.title, schema, file)
  }
  const names = [...types.keys()].sort()
  return [
    '// Generated from proto/schema by `npm run generate`. Do not edit.\n',
    ...names.map((name) => types.get(name)),
  ].join('\n')
}

/** The text of the file for what the API answers; types of the wire come from schema.ts. */
export function generateAnswers(openapi = JSON.parse(readFileSync(OPENAPI, 'utf8')), wire = generateFromDisk()) {
  const schemas = openapi.components.schemas
  const declared = Object.entries(schemas).map(([name, schema]) => [NAMES[name] ?? name, declare(NAMES[name] ?? name, schema)])
  const isWire = ([, text]) => wire.includes(text)
  const own = declared.filter((type) => !isWire(type))
  const used = declared.filter(isWire).map(([name]) => name)
    .filter((name) => own.some(([, text]) => new RegExp(`(?<!\\w)${name}(?!\\w)`).test(text.replaceAll(/\/\*\*[^]*?\*\//g, ''))))
  return [
    '// Generated from proto/openapi.json by `npm run generate`. Do not edit.\n',
    ...(used.length > 0 ? [`import type { ${used.sort().join(', ')} } from './schema'\n`] : []),
    ...own.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text),
  ].join('\n')
}

function declare(name, schema) {
  return `${comment(schema.description, '')}export type ${name} = ${type(schema, '')}\n`.replaceAll(/ +\n/g, '\n')
}

function type(schema, indent) {
  if (schema === true) return 'unknown'
  if (schema === false) return 'never'
  for (const keyword of Object.keys(schema)) {
    if (!KNOWN.has(keyword)) throw new Error(`keyword ${keyword} is not known to the generator`)
  }
  const parts = []
  if (schema.$ref !== undefined) parts.push(reference(schema.$ref))
  if ('const' in schema) parts.push(JSON.stringify(schema.const))
  else if (schema.enum) parts.push(union(schema.enum.map((value) => JSON.stringify(value))))
  else if (schema.properties || schema.type !== undefined) parts.push(typed(schema, indent))
  for (const choice of [schema.oneOf, schema.anyOf]) {
    if (choice) parts.push(alternatives(choice, indent))
  }
  for (const part of schema.allOf ?? []) parts.push(type(part, indent))
  if (parts.length === 0) return 'unknown'
  return parts.length === 1 ? parts[0] : parts.map((part) => `(${part})`).join(' & ')
}

function typed(schema, indent) {
  if (Array.isArray(schema.type)) {
    return union(schema.type.map((one) => typed({ ...schema, type: one }, indent)))
  }
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
    case 'number':
      return schema.type
    case 'integer':
      return 'number'
    case 'array':
      if (schema.prefixItems) return `[${schema.prefixItems.map((item) => type(item, indent)).join(', ')}]`
      return `Array<${type(schema.items ?? true, indent)}>`
    case 'object':
    case undefined:
      return object(schema, indent)
    default:
      throw new Error(`type ${schema.type} is not known to the generator`)
  }
}

function object(schema, indent) {
  const extra = schema.additionalProperties
  if (!schema.properties) return `Record<string, ${extra === undefined ? 'unknown' : type(extra, indent)}>`
  const required = new Set(schema.required ?? [])
  const inner = `${indent}  `
  const lines = Object.entries(schema.properties).map(([key, value]) => {
    const mark = required.has(key) ? '' : '?'
    const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)
    return `${comment(value.description, inner)}${inner}${name}${mark}: ${type(value, inner)}`
  })
  return `{\n${lines.join('\n')}\n${indent}}`
}

function alternatives(choices, indent) {
  const described = choices.some((choice) => choice.description)
  if (!described) return union(choices.map((choice) => type(choice, indent)))
  const inner = `${indent}  `
  return choices
    .map((choice) => `\n${comment(choice.description, inner)}${inner}| ${type(choice, inner)}`)
    .join('')
}

function union(members) {
  return [...new Set(members)].join(' | ')
}

function reference(target) {
  const name = /^#\/(?:\$defs|components\/schemas)\/(\w+)$/.exec(target)?.[1]
  if (!name) throw new Error(`reference ${target} is not known to the generator`)
  return NAMES[name] ?? name
}

function comment(text, indent) {
  if (!text) return ''
  const safe = text.replaceAll('*/', '*\\/')
  return `${indent}/** ${safe.split('\n').join(`\n${indent} * `)} */\n`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(OUTPUT, generateFromDisk())
  writeFileSync(ANSWERS, generateAnswers())
}
