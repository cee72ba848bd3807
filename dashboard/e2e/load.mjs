// How the page does under load, against a running mesh that tells about 1,000 detections a second:
// frames, time from the socket to the screen, heap; and a long scroll through the history. Figures are
// printed; what fails is function: a gap, a frame that never came or came twice, rows lost, rows left in
// the page, a heap that goes on growing. Times have bounds so wide that only a page at a standstill breaks them.
import { assert, givenMesh, openBrowser, runChecks, sleep, until, WAIT_MS } from './browser.mjs'

const SOAK = process.env.TGMESH_SOAK === '1'
const RUN_MS = Number(process.env.E2E_LOAD_SECONDS ?? (SOAK ? 300 : 30)) * 1000
const HISTORY_ROWS = Number(process.env.E2E_HISTORY_ROWS ?? (SOAK ? 100_000 : 5_000))
const PARTS = 10
// The live list of the page, as its source has it.
const FULL_LIST = 10_000
// 10,000 rows with everything that is known of each, and room for what is not collected yet.
const MOST_HEAP_MIB = 150
// Of a full list that only exchanges its rows, beside what a garbage collector leaves at times.
const MOST_GROWTH_MIB = 15
// A row of the past with all that is known of it.
const MOST_HEAP_KIB_PER_PAST_ROW = 8
const MOST_ROWS_IN_PAGE = 80
// Detached ones included: what leaks stays attached to something that is counted.
const MOST_NODES = 20_000
// Each costs a question to the gateway.
const MOST_HOLES = 20
const STANDSTILL_FRAME_MS = 2_000
const STANDSTILL_PAINT_MS = 10_000

const { given, token, url } = givenMesh()
const { browser, page, proxy } = await openBrowser(url)
const complaints = []
page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))

// Notes when each detection came off the socket, in which frame it was first in the page, and whether the
// sequences of the list's subscription, the first that is made, are whole.
await page.addInitScript(() => {
  const received = new Map()
  const order = { id: undefined, first: undefined, last: undefined, count: 0, holes: [], repeats: 0 }
  const probe = { frames: [], painted: [], gaps: [], order, on: false }
  window.probe = probe
  const Native = window.WebSocket
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given)
      this.addEventListener('message', ({ data }) => {
        // Only what is needed, and cheaply: this is not the page's work.
        if (data.startsWith('{"type":"gap"')) probe.gaps.push(data)
        if (!data.startsWith('{"type":"detection"')) return
        const head = data.slice(0, 80)
        const seq = Number(/"seq":(\d+)/.exec(head)?.[1] ?? /"seq":(\d+)/.exec(data)?.[1])
        const id = /"id":"(\w+)"/.exec(head)?.[1]
        order.id ??= id
        if (id !== order.id) return
        received.set(seq, performance.now())
        if (received.size > 20_000) received.delete(received.keys().next().value)
        order.first ??= seq
        order.count += 1
        if (order.last !== undefined && seq <= order.last) order.repeats += 1
        else if (order.last !== undefined && seq > order.last + 1) order.holes.push([order.last + 1, seq - 1])
        order.last = seq
      })
    }
  }
  let last = performance.now()
  let shown = []
  const frame = (now) => {
    const at = performance.now()
    if (probe.on) {
      probe.frames.push(now - last)
      // What was in the page at the end of the frame before has been painted by now.
      for (const since of shown) probe.painted.push(at - since)
    }
    last = now
    requestAnimationFrame(frame)
    // Behind this frame's own callbacks and Svelte's layout.
    const done = new MessageChannel()
    done.port1.onmessage = () => {
      shown = []
      for (const row of document.querySelectorAll('[data-seq]')) {
        const seq = Number(row.dataset.seq)
        const since = received.get(seq)
        if (since === undefined) continue
        shown.push(since)
        received.delete(seq)
      }
      done.port1.close()
    }
    done.port2.postMessage(undefined)
  }
  requestAnimationFrame(frame)
})

const rows = page.locator('[role=row][data-id]')
const inspector = await page.context().newCDPSession(page)
// What is left after a full collection.
const heapMiB = async () => {
  await inspector.send('HeapProfiler.collectGarbage')
  return (await inspector.send('Runtime.getHeapUsage')).usedSize / 2 ** 20
}
// Seconds that the page's thread has worked, by what it did.
await inspector.send('Performance.enable')
const work = async () => {
  const { metrics } = await inspector.send('Performance.getMetrics')
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]))
}
const rowCount = async () => Number(await page.getByRole('table').first().getAttribute('aria-rowcount')) - 1

const failed = await runChecks([
  ['paints what comes, and stays within bounds', async () => {
    await page.goto(given)
    await rows.first().waitFor({ timeout: WAIT_MS })
    await sleep(3_000)
    const heaps = []
    const full = []
    const workedBefore = await work()
    const begun = await page.evaluate(() => {
      window.probe.on = true
      return { received: window.probe.order.count, atMs: performance.now() }
    })
    for (let part = 0; part < PARTS; part++) {
      await sleep(RUN_MS / PARTS)
      // The collection's pause is of the test's own making.
      await page.evaluate(() => (window.probe.on = false))
      const mib = await heapMiB()
      await page.evaluate(() => (window.probe.on = true))
      heaps.push(mib)
      if ((await rowCount()) >= FULL_LIST) full.push(mib)
      const laidOut = await rows.count()
      assert(laidOut <= MOST_ROWS_IN_PAGE, `${laidOut} rows are laid out`)
    }
    const { frames, painted, order, atMs } = await page.evaluate(() => {
      window.probe.on = false
      return { ...window.probe, atMs: performance.now() }
    })
    const worked = await work()
    const share = (name) => `${Math.round((100 * (worked[name] - workedBefore[name])) / (worked.Timestamp - workedBefore.Timestamp))} %`
    const { nodes } = await inspector.send('Memory.getDOMCounters')
    const rate = ((order.count - begun.received) * 1000) / (atMs - begun.atMs)
    const told = heaps.map((mib) => mib.toFixed(0)).join(', ')
    assert(painted.length > 0, 'nothing was painted')
    assert(Math.max(...heaps) < MOST_HEAP_MIB, `the heap grew to ${told} MiB`)
    // Once the list is full, what comes in has to take the place of what goes.
    const half = Math.ceil(full.length / 2)
    const growth = full.length < 2 ? undefined : Math.min(...full.slice(half)) - Math.min(...full.slice(0, half))
    assert(growth === undefined || growth < MOST_GROWTH_MIB, `with a full list the heap goes on growing: ${told} MiB`)
    assert(nodes < MOST_NODES, `${nodes} nodes are kept`)
    assert(Number(quantile(frames, 0.99)) < STANDSTILL_FRAME_MS, `frames took ${quantile(frames, 0.99)} ms at the 99th percentile`)
    assert(Number(quantile(painted, 0.99)) < STANDSTILL_PAINT_MS, `painting took ${quantile(painted, 0.99)} ms at the 99th percentile`)
    return [
      `${Math.round(rate)} events/s over ${Math.round((atMs - begun.atMs) / 1000)} s`,
      `frames p50 ${quantile(frames, 0.5)} p99 ${quantile(frames, 0.99)} longest ${quantile(frames, 1)} ms (${frames.length})`,
      `main thread busy ${share('TaskDuration')} (script ${share('ScriptDuration')}, style ${share('RecalcStyleDuration')}, layout ${share('LayoutDuration')})`,
      `receive→paint p50 ${quantile(painted, 0.5)} p99 ${quantile(painted, 0.99)} ms (${painted.length} rows that were in sight)`,
      `heap ${told} MiB, ${growth === undefined ? 'the list was never full' : `${growth.toFixed(1)} more at the end than when the list had filled`}, ${nodes} nodes`,
    ].join('; ')
  }],

  ['was sent every event between the first and the last, once and in order', async () => {
    const { order, gaps } = await page.evaluate(() => structuredClone(window.probe))
    assert(gaps.length === 0, `${gaps.length} gaps, the first: ${gaps[0]}`)
    assert(order.repeats === 0, `${order.repeats} events came again or out of order`)
    // What the filter leaves out, as events of the past, has sequences too: then nothing is to be had there.
    assert(order.holes.length <= MOST_HOLES, `${order.holes.length} holes, the first: ${order.holes[0]}`)
    for (const [from, to] of order.holes) {
      const missing = (await control(from - 1, to + 1)).filter((seq) => seq <= to)
      assert(missing.length === 0, `${missing.length} events from ${from} to ${to} never came`)
    }
    const left = order.holes.reduce((sum, [from, to]) => sum + to - from + 1, 0)
    assert(order.count === order.last - order.first + 1 - left, `${order.count} events from ${order.first} to ${order.last}`)
    return `${order.count} events, ${order.first}–${order.last}${left > 0 ? `, ${left} of them not for this filter` : ''}`
  }],

  ['has lost no row of the newest thousand', async () => {
    // What comes would push out what is read: without a wire the list stands still.
    proxy.cut()
    await sleep(1_000)
    const seen = await readList(1_000)
    proxy.heal()
    await until('the connection again', async () => (await page.locator('[data-phase=live]').count()) > 0)
    assert(seen.length > 10, `only ${seen.length} rows are there`)
    const sent = await control(seen.at(-1) - 1, seen[0])
    assert(JSON.stringify(sent.reverse()) === JSON.stringify(seen), `the page has ${seen.length} rows, the stream ${sent.length}`)
    return `${seen.length} rows`
  }],

  ['scrolls a long history', async () => {
    await page.evaluate(() => (location.hash = '#/search'))
    await until('past rows', async () => (await page.locator('[role=row][data-id]').count()) > 0 && (await page.locator('[data-seq]').count()) === 0)
    const empty = await heapMiB()
    const result = await page.evaluate(async ({ most, patienceMs }) => {
      const viewport = document.querySelector('[role=region]')
      const table = document.querySelector('[role=table]')
      const length = () => Number(table.getAttribute('aria-rowcount')) - 1
      const frames = []
      const places = new Map()
      let twice = 0
      let blank = 0
      let last = performance.now()
      let movedMs = last
      // A page of the list with each frame, as a held key does; where the history has to be read on, it waits.
      while (length() < most && performance.now() - movedMs < patienceMs) {
        await new Promise(requestAnimationFrame)
        const now = performance.now()
        const shown = document.querySelectorAll('[role=row][data-id]')
        if (shown.length === 0) blank += 1
        for (const row of shown) {
          const place = row.getAttribute('aria-rowindex')
          const known = places.get(row.dataset.id)
          if (known === undefined) places.set(row.dataset.id, place)
          else if (known !== place) twice += 1
        }
        const before = viewport.scrollTop
        viewport.scrollTop += viewport.clientHeight * 0.8
        if (viewport.scrollTop !== before) {
          movedMs = now
          frames.push(now - last)
        }
        last = now
      }
      return { frames, rows: length(), seen: places.size, twice, blank, laidOut: document.querySelectorAll('[role=row][data-id]').length }
    }, { most: HISTORY_ROWS, patienceMs: WAIT_MS })
    const grown = (await heapMiB()) - empty
    assert(result.laidOut > 0 && result.laidOut <= MOST_ROWS_IN_PAGE, `${result.laidOut} rows are laid out`)
    assert(result.rows >= HISTORY_ROWS, `only ${result.rows} of ${HISTORY_ROWS} rows could be read`)
    assert(result.twice === 0, `${result.twice} events stand in two places`)
    assert(result.blank === 0, `${result.blank} frames showed no row`)
    // The last page that was read may lie below what was in sight.
    assert(result.seen > result.rows - 2_000, `only ${result.seen} of ${result.rows} rows were ever shown`)
    assert((grown * 1024) / result.rows < MOST_HEAP_KIB_PER_PAST_ROW, `${Math.round(grown)} MiB for ${result.rows} rows`)
    assert(Number(quantile(result.frames, 0.99)) < STANDSTILL_FRAME_MS, `frames took ${quantile(result.frames, 0.99)} ms at the 99th percentile`)
    return `${result.rows} rows, frames p50 ${quantile(result.frames, 0.5)} p99 ${quantile(result.frames, 0.99)} longest ${quantile(result.frames, 1)} ms, ${Math.round(grown)} MiB more`
  }],

  ['made no complaint', async () => assert(complaints.length === 0, complaints.join('\n'))],
], async () => {})
await browser.close()
proxy.close()
process.exit(failed ? 1 : 0)

function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN).toFixed(1)
}

// The newest rows of the list, by scrolling: it is virtual. Ends where the page itself tells of a gap.
async function readList(most) {
  return page.evaluate(async (most) => {
    const viewport = document.querySelector('[role=region]')
    const seqs = new Set()
    viewport.scrollTop = 0
    for (let still = 0; seqs.size < most && still < 20; ) {
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
      const place = (row) => Number(row.getAttribute('aria-rowindex'))
      const shown = [...document.querySelectorAll('.line[aria-rowindex]')].sort((a, b) => place(a) - place(b)).slice(1)
      const gap = shown.findIndex((row) => row.classList.contains('gap'))
      for (const row of gap < 0 ? shown : shown.slice(0, gap)) seqs.add(Number(row.dataset.seq))
      if (gap >= 0) break
      const before = viewport.scrollTop
      viewport.scrollTop += viewport.clientHeight / 2
      still = viewport.scrollTop === before ? still + 1 : 0
    }
    return [...seqs].sort((a, b) => b - a).slice(0, most)
  }, most)
}

// What the stream holds in (after, to], asked for by another client.
async function control(after, to) {
  return page.evaluate(
    ({ token, after, to }) =>
      new Promise((resolve, reject) => {
        const seqs = []
        const socket = new WebSocket(new URL('ws', location.href.replace(/^http/, 'ws').replace(/#.*/, '')), ['tgmesh.v1.json', 'bearer', token])
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data)
          if (frame.type === 'welcome') {
            socket.send(JSON.stringify({ type: 'subscribe', id: 'c', filter: {}, resume: { epoch: frame.epoch, after } }))
          }
          if (frame.type === 'gap') reject(new Error(`the control client got a gap ${frame.from}–${frame.to}`))
          if (frame.type === 'detection' && frame.seq <= to) seqs.push(frame.seq)
          if (frame.type === 'detection' && frame.seq >= to) {
            socket.close()
            resolve(seqs)
          }
        }
        setTimeout(() => reject(new Error('the control client got no answer')), 20_000)
      }),
    { token, after, to },
  )
}
