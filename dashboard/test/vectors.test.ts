import { readdirSync, readFileSync } from 'node:fs'

import { decode, encode } from '@msgpack/msgpack'
import { describe, expect, test } from 'vitest'

import { asServerFrame, json } from '../src/wire/codec'
import { msgpack } from '../src/wire/msgpack'
import type { ClientFrame, Detection, ServerFrame } from '../src/wire/schema'

const FOLDER = new URL('../../proto/vectors/', import.meta.url)
const files = readdirSync(FOLDER)
const names = files.filter((file) => file.endsWith('.msgpack')).map((file) => file.slice(0, -'.msgpack'.length))
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(`${name}.msgpack`, FOLDER)))
const text = (name: string) => readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')

describe('golden vectors', () => {
  test('come in pairs, and there are some', () => {
    const jsons = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
    expect(names.length).toBeGreaterThan(10)
    expect(names.sort()).toEqual(jsons.sort())
  })

  test.each(names)('%s says the same in MessagePack and JSON', (name) => {
    expect(decode(bytes(name))).toEqual(JSON.parse(text(name)))
  })

  test.each(names.filter((name) => name.startsWith('server_')))('%s is a frame that the client reads', (name) => {
    const frame = json.decode(text(name))
    expect(frame).toBeDefined()
    expect(msgpack.decode(bytes(name))).toEqual(frame)
    // As a browser hands it over.
    expect(msgpack.decode(bytes(name).slice().buffer)).toEqual(frame)
  })

  test.each(names.filter((name) => name.startsWith('client_')))('%s is written as the vector has it', (name) => {
    const frame = JSON.parse(text(name)) as ClientFrame
    expect(decode(msgpack.encode(frame) as Uint8Array)).toEqual(frame)
    expect(JSON.parse(json.encode(frame) as string)).toEqual(frame)
  })

  test('every type of server frame has a vector', () => {
    const types = names.filter((name) => name.startsWith('server_')).map((name) => name.slice('server_'.length))
    const known: ServerFrame['type'][] = ['welcome', 'subscribed', 'detection', 'match', 'position', 'gap', 'error', 'pong', 'reconnect']
    expect(types).toEqual(expect.arrayContaining(known))
  })

  test('times keep their microseconds', () => {
    const detection = decode(bytes('detection_full')) as Detection
    expect(Number.isSafeInteger(detection.times.received_us)).toBe(true)
  })
})

describe('what is no frame', () => {
  test.each(names.filter((name) => name.startsWith('server_')))('%s cut anywhere is refused', (name) => {
    const whole = bytes(name)
    for (let length = 0; length < whole.length; length++) {
      expect(msgpack.decode(whole.slice(0, length))).toBeUndefined()
    }
  })

  test('a frame that lacks what resume needs is refused', () => {
    expect(asServerFrame({ type: 'position', id: 's1', seq: 1 })).toBeUndefined()
    expect(asServerFrame({ type: 'position', id: 's1', epoch: 'e', seq: 2 ** 53 })).toBeUndefined()
    expect(asServerFrame({ type: 'position', id: 's1', epoch: 'e', seq: 1 })).toBeDefined()
    expect(msgpack.decode(encode({ type: 'toString' }))).toBeUndefined()
    expect(msgpack.decode('{"type":"pong"}')).toBeUndefined()
    expect(json.decode(new ArrayBuffer(1))).toBeUndefined()
  })
})
