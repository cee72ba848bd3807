import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { ANSWERS, generate, generateAnswers, generateFromDisk, OUTPUT } from '../scripts/generate.mjs'

describe('src/wire/schema.ts', () => {
  test('is what proto/schema gives; else run `npm run generate`', () => {
    expect(readFileSync(OUTPUT, 'utf8')).toBe(generateFromDisk())
  })
})

describe('src/wire/answers.ts', () => {
  test('is what proto/openapi.json gives; else run `npm run generate`', () => {
    expect(readFileSync(ANSWERS, 'utf8')).toBe(generateAnswers())
  })

  test('takes types of the wire from there, and declares the others', () => {
    const wire = 'export type Chat = string\n'
    const text = generateAnswers({ components: { schemas: { Chat: { type: 'string' }, Chat2: { type: 'object', required: ['chat'], properties: { chat: { $ref: '#/components/schemas/Chat' } } } } } }, wire)
    expect(text).toContain("import type { Chat } from './schema'")
    expect(text).toContain('export type ChatFacts = {\n  chat: Chat\n}')
    expect(text).not.toContain('export type Chat =')
  })
})

describe('the generator', () => {
  const of = (schema: object): string => generate([['x.json', { title: 'X', ...schema }]])

  test('knows optional keys, nil, maps, tuples and tagged unions', () => {
    expect(of({ type: 'object', required: ['a'], properties: { a: { type: 'integer' }, b: { type: ['string', 'null'] } } }))
      .toContain('export type X = {\n  a: number\n  b?: string | null\n}')
    expect(of({ type: 'object', additionalProperties: { type: 'number' } })).toContain('Record<string, number>')
    expect(of({ type: 'array', items: { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }] } }))
      .toContain('Array<[number, string]>')
    expect(of({ oneOf: [{ type: 'object', required: ['type'], properties: { type: { type: 'string', const: 'a' } } }, { $ref: '#/$defs/B' }], $defs: { B: { enum: ['x', 1] } } }))
      .toContain('export type X = {\n  type: "a"\n} | B')
  })

  test('refuses what it does not know', () => {
    expect(() => of({ if: {} })).toThrow('keyword if')
    expect(() => of({ type: 'date' })).toThrow('type date')
    expect(() => of({ $ref: 'https://example.org/x' })).toThrow('reference')
  })

  test('refuses two types of one name', () => {
    expect(() => generate([
      ['x.json', { title: 'X', type: 'object', properties: {}, $defs: { Y: { type: 'string' } } }],
      ['y.json', { title: 'Y', type: 'number' }],
    ])).toThrow('Y differs')
  })

  test('cannot be made to end a comment early', () => {
    expect(of({ type: 'string', description: 'a */ b' })).toContain('a *\\/ b')
  })
})
