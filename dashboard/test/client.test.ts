import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { Client, type Connection, type Options } from '../src/wire/client'
import type { Match, Resume } from '../src/wire/schema'
import type { Delivery, Loss } from '../src/wire/subscription'
import { Gateway, World } from './world'

function start(world: World, gateway: Gateway, options: Partial<Options> = {}, resume?: Resume) {
  const seen: Delivery[] = []
  const lost: Loss[] = []
  const told: string[] = []
  const phases: string[] = []
  const client = new Client({
    url: 'ws://mesh/ws',
    token: 'a.b.c',
    environment: world.environment(gateway.open),
    connection: (connection: Connection) => phases.push(connection.phase),
    ...options,
  })
  const subscription = client.subscribe(
    {},
    {
      delivery: (delivery) => seen.push(delivery),
      lost: (loss) => lost.push(loss),
      recovered: () => told.push('recovered'),
      error: (code) => told.push(code),
    },
    resume,
  )
  client.connect()
  const seqs = () => seen.map((delivery) => delivery.seq)
  return { client, subscription, seen, seqs, lost, told, phases }
}

const onlyLink = (gateway: Gateway) => {
  const [link] = gateway.links
  if (!link) throw new Error('no link is open')
  return link
}

describe('a connection', () => {
  test('offers the token as a subprotocol, never in the URL', () => {
    const world = new World()
    const gateway = new Gateway(world)
    start(world, gateway)
    expect(gateway.opened).toEqual([{ url: 'ws://mesh/ws', protocols: ['tgmesh.v1.json', 'bearer', 'a.b.c'] }])
  })

  test('becomes live by the welcome and hands detections on', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client, seqs, phases } = start(world, gateway)
    world.advance(10)
    gateway.publish()
    world.advance(10)
    expect(client.connection).toMatchObject({ phase: 'live', subject: 'alice' })
    expect(phases).toEqual(['connecting', 'live'])
    expect(seqs()).toEqual([1])
  })

  test('hands matches on, which are no place to resume from', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client, seqs } = start(world, gateway)
    const matches: number[] = []
    const wanting = client.subscribe(
      { matches: true },
      { delivery: () => {}, match: ({ seq, match }) => matches.push(seq, match.message.id) },
    )
    world.advance(10)
    gateway.publish()
    world.advance(10)
    const data = JSON.parse(readFileSync(new URL('../../proto/vectors/match_link.json', import.meta.url), 'utf8')) as Match
    // To one that did not ask, too: it has nobody to hand it to.
    for (const id of [wanting.id, 's1']) onlyLink(gateway).reply({ type: 'match', id, seq: 900, data })
    world.advance(10)
    expect(matches).toEqual([900, data.message.id])
    expect(seqs()).toEqual([1])
    expect(wanting.resume).toEqual({ epoch: 'e1', after: 1 })
  })

  test.each([4400, 4401, 4403, 4413, 4999])('never comes back by itself after %i', (code) => {
    const world = new World()
    const gateway = new Gateway(world)
    gateway.refuse = code
    const { client } = start(world, gateway)
    world.advance(3_600_000)
    expect(gateway.opened).toHaveLength(1)
    expect(client.connection).toMatchObject({ phase: 'refused', code })
  })

  test.each([1001, 1006, 1011, 4408, 4429])('comes back after %i', (code) => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway)
    world.advance(10)
    onlyLink(gateway).cut(code)
    expect(client.connection.phase).toBe('waiting')
    world.advance(31_000)
    expect(client.connection.phase).toBe('live')
    expect(gateway.opened).toHaveLength(2)
  })

  test('after 4409 it comes back with a new token only', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway)
    world.advance(10)
    onlyLink(gateway).cut(4409)
    world.advance(3_600_000)
    expect(client.connection.phase).toBe('expired')
    expect(gateway.opened).toHaveLength(1)
    client.signIn('d.e.f')
    world.advance(10)
    expect(client.connection.phase).toBe('live')
    expect(gateway.opened[1]?.protocols[2]).toBe('d.e.f')
  })

  test('renews a token before it ends, on the same connection', async () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway, { renew: async () => 'd.e.f' })
    world.advance(10)
    const link = onlyLink(gateway)
    for (let minute = 0; minute < 59; minute++) {
      for (let i = 0; i < 6; i++) {
        gateway.position()
        world.advance(10_000)
      }
    }
    await Promise.resolve()
    await Promise.resolve()
    expect(link.sent).toContainEqual({ type: 'auth', token: 'd.e.f' })
    expect(client.connection.phase).toBe('live')
    expect(gateway.opened).toHaveLength(1)
  })

  test('asks again for a token while whoever issues them is away', async () => {
    const world = new World()
    const gateway = new Gateway(world)
    let asked = 0
    const renew = async () => {
      asked += 1
      if (asked < 4) throw new Error('away')
      return 'd.e.f'
    }
    const { client, seqs, lost } = start(world, gateway, { renew })
    world.advance(10)
    onlyLink(gateway).cut(4409)
    gateway.publish()
    for (let second = 0; second < 60; second++) {
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
      world.advance(1_000)
    }
    expect(asked).toBe(4)
    expect(client.connection.phase).toBe('live')
    expect(gateway.opened.map(({ protocols }) => protocols[2])).toEqual(['a.b.c', 'd.e.f'])
    expect(seqs()).toEqual([1])
    expect(lost).toEqual([])
  })

  test('waits longer from attempt to attempt, but at most half a minute', () => {
    const world = new World()
    const gateway = new Gateway(world)
    gateway.refuse = 1006
    const { client } = start(world, gateway)
    const waits: number[] = []
    for (let i = 0; i < 12; i++) {
      world.advance(2)
      const { connection } = client
      if (connection.phase !== 'waiting') throw new Error(connection.phase)
      waits.push(connection.untilMs - world.nowMs)
      world.advance(waits.at(-1)!)
    }
    expect(waits[0]).toBeLessThanOrEqual(500)
    expect(waits[6]).toBeGreaterThan(10_000)
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000)
    expect(new Set(waits).size).toBe(waits.length)
  })

  test('keeps to the wait that the server advises before it goes away', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway)
    world.advance(10)
    onlyLink(gateway).reply({ type: 'reconnect', after_ms: 8_000 })
    world.advance(10)
    onlyLink(gateway).cut(1001)
    world.advance(7_999)
    expect(client.connection.phase).toBe('waiting')
    world.advance(4_100)
    expect(client.connection.phase).toBe('live')
  })

  test('gives up a link that went mute', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway)
    world.advance(10)
    onlyLink(gateway).mute()
    world.advance(30_000)
    expect(gateway.opened).toHaveLength(2)
    expect(client.connection.phase).toBe('live')
  })

  test('gives up a handshake that is not answered', () => {
    const world = new World()
    const gateway = new Gateway(world)
    gateway.away = true
    start(world, gateway)
    world.advance(10_600)
    expect(gateway.opened).toHaveLength(2)
  })

  test('learns the server’s clock and tells in it what was painted', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client } = start(world, gateway)
    world.advance(10)
    expect(client.clock.offsetMs).toBeCloseTo(5_000, -1)
    client.rendered(7)
    const sent = onlyLink(gateway).sent.at(-1)
    expect(sent).toMatchObject({ type: 'rendered', seq: 7 })
    expect((sent as { at_ms: number }).at_ms - world.nowMs).toBeCloseTo(5_000, -1)
  })

  test('says that it is no token, where the platform refuses it', () => {
    const world = new World()
    const environment = world.environment(() => {
      throw new SyntaxError('bad subprotocol')
    })
    const client = new Client({ url: 'ws://mesh/ws', token: 'not a token', environment })
    client.connect()
    expect(client.connection).toMatchObject({ phase: 'refused', code: 4401 })
  })

  test('is not disturbed by what is no frame', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client, seqs } = start(world, gateway)
    world.advance(10)
    const link = onlyLink(gateway)
    for (const data of ['', 'null', '[]', '{"type":"detection"}', '{"type":"__proto__"}', '{"type":"new"}', 'x', new ArrayBuffer(3)]) {
      link.onmessage?.({ data })
    }
    link.onmessage?.({ data: '{"type":"detection","id":"s1","seq":1e300,"data":{}}' })
    gateway.publish()
    world.advance(10)
    expect(client.connection.phase).toBe('live')
    expect(seqs()).toEqual([1])
  })
})

describe('a subscription', () => {
  test('resumes from a position frame, so that a quiet filter does not age out', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { subscription, lost } = start(world, gateway)
    world.advance(10)
    for (let i = 0; i < 50; i++) gateway.publish(false)
    gateway.position()
    world.advance(10)
    expect(subscription.resume).toEqual({ epoch: 'e1', after: 50 })
    gateway.discard(51)
    onlyLink(gateway).cut()
    world.advance(31_000)
    expect(lost).toEqual([])
  })

  test('says what the stream no longer holds', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { seqs, lost, told } = start(world, gateway)
    world.advance(10)
    for (let i = 0; i < 3; i++) gateway.publish()
    world.advance(10)
    onlyLink(gateway).cut()
    for (let i = 0; i < 10; i++) gateway.publish()
    gateway.discard(9)
    world.advance(31_000)
    expect(lost).toEqual([{ from: 4, to: 8 }])
    expect(told).toEqual([])
    expect(seqs()).toEqual([1, 2, 3, 9, 10, 11, 12, 13])
  })

  test('says that the stream is another one, and takes its sequences from the start', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { seqs, lost, subscription } = start(world, gateway)
    world.advance(10)
    for (let i = 0; i < 3; i++) gateway.publish()
    world.advance(10)
    onlyLink(gateway).cut()
    gateway.recreate('e2')
    world.advance(31_000)
    gateway.publish()
    world.advance(10)
    expect(lost).toEqual([{}])
    expect(seqs()).toEqual([1, 2, 3, 1])
    expect(subscription.resume).toEqual({ epoch: 'e2', after: 1 })
  })

  test('takes the gap frame of another stream as part of the same loss', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { seqs, lost } = start(world, gateway)
    world.advance(10)
    gateway.publish()
    world.advance(10)
    onlyLink(gateway).cut()
    gateway.recreate('e2')
    for (let i = 0; i < 5; i++) gateway.publish()
    world.advance(31_000)
    onlyLink(gateway).reply({ type: 'gap', id: 's1', from: 1, to: 5 })
    gateway.publish()
    world.advance(10)
    expect(lost).toEqual([{}])
    expect(seqs()).toEqual([1, 6])
  })

  test('tells each gap once', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { lost, seqs } = start(world, gateway)
    world.advance(10)
    const link = onlyLink(gateway)
    link.reply({ type: 'gap', id: 's1', from: 1, to: 4 })
    link.reply({ type: 'gap', id: 's1', from: 3, to: 6 })
    link.reply({ type: 'gap', id: 's1', from: 2, to: 5 })
    gateway.head = 6
    gateway.publish()
    world.advance(10)
    expect(lost).toEqual([{ from: 1, to: 4 }, { from: 5, to: 6 }])
    expect(seqs()).toEqual([7])
  })

  test('marks what stood in the stream before it began', () => {
    const world = new World()
    const gateway = new Gateway(world)
    for (let i = 0; i < 5; i++) gateway.publish()
    const { seen } = start(world, gateway, {}, { last: 2 })
    world.advance(10)
    gateway.publish()
    world.advance(10)
    expect(seen.map(({ seq, replayed }) => [seq, replayed])).toEqual([[4, true], [5, true], [6, false]])
  })

  test('after its end nothing is handed on', () => {
    const world = new World()
    const gateway = new Gateway(world)
    const { client, subscription, seqs } = start(world, gateway)
    world.advance(10)
    gateway.publish()
    client.unsubscribe(subscription)
    world.advance(10)
    expect(seqs()).toEqual([])
  })
})

describe('any run of cuts', () => {
  // The model: whatever is published while a subscription stands, or after it and before it
  // resumes, arrives once and in order, unless a loss names it.
  test.each(Array.from({ length: 60 }, (_, seed) => [seed + 1]))('loses nothing and repeats nothing, seed %i', (seed) => {
    const world = new World(seed)
    const gateway = new Gateway(world)
    gateway.overlap = seed % 4
    const { client, seqs, lost, told } = start(world, gateway)
    world.advance(10)
    const retention = seed % 3 === 0 ? 40 : Infinity
    let cuts = 0
    for (let step = 0; step < 400; step++) {
      const dice = world.random()
      if (dice < 0.7) gateway.publish(world.random() < 0.6)
      else if (dice < 0.8) gateway.position()
      else if (dice < 0.85) gateway.delayMs = Math.floor(world.random() * 50)
      else if (dice < 0.93) {
        for (const link of [...gateway.links]) link.cut([1001, 1006, 4408, 4429][step % 4])
        cuts += 1
      } else if (dice < 0.95) {
        for (const link of [...gateway.links]) link.mute()
        cuts += 1
      }
      if (gateway.head > retention) gateway.discard(gateway.head - retention)
      world.advance(world.random() * 400)
    }
    world.advance(120_000)
    const after = gateway.head
    gateway.publish()
    world.advance(1_000)

    expect(client.connection.phase).toBe('live')
    expect(cuts).toBeGreaterThan(5)
    const seen = seqs()
    for (let i = 1; i < seen.length; i++) expect(seen[i]).toBeGreaterThan(seen[i - 1]!)
    const missed = gateway.published.filter((seq) => !seen.includes(seq))
    const named = (seq: number) => lost.some(({ from, to }) => from! <= seq && seq <= to!)
    expect(missed.filter((seq) => !named(seq))).toEqual([])
    for (const seq of seen) expect(named(seq)).toBe(false)
    expect(seen.at(-1)).toBe(after + 1)
    if (retention === Infinity) {
      expect(lost).toEqual([])
      expect(told.length).toBeGreaterThan(0)
      expect(told.every((word) => word === 'recovered')).toBe(true)
    }
  })
})
