// How the page does under load, against a running mesh that tells about 1,000 detections a second:
// frames, time from the socket to the screen, heap; and a long scroll through the history. Figures are
// printed; what fails is function: rows lost, rows left in the page, a heap without bounds.
import { assert, givenMesh, openBrowser, runChecks, sleep, until, WAIT_MS } from './browser.mjs'

const SOAK = process.env.TGMESH_SOAK === '1'
const RUN_MS = Number(process.env.E2E_LOAD_SECONDS ?? (SOAK ? 300 : 30)) * 1000
const HISTORY_ROWS = Number(process.env.E2E_HISTORY_ROWS ?? (SOAK ? 100_000 : 5_000))
// 10,000 rows with everything that is known of each, and room for what is not collected yet.
const MOST_HEAP_MIB = 400
const MOST_ROWS_IN_PAGE = 80

const { given, token, url } = givenMesh()
const { browser, page, proxy } = await openBrowser(url)
const complaints = []
page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))

// Notes when each detection came off the socket, and in which frame it was first in the page.
await page.addInitScript(() => {
  const received = new Map()
  const probe = { frames: [], painted: [], received: 0, gaps: 0, on: false }
  window.probe = probe
  const Native = window.WebSocket
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given)
      this.addEventListener('message', ({ data }) => {
        // Only what is needed, and cheaply: this is not the page's work.
        if (data.startsWith('{"type":"gap"')) probe.gaps += 1
        if (!data.startsWith('{"type":"detection"')) return
        const seq = Number(/"seq":(\d+)/.exec(data.slice(0, 80))?.[1] ?? /"seq":(\d+)/.exec(data)?.[1])
        probe.received += 1
        received.set(seq, performance.now())
        if (received.size > 20_000) received.delete(received.keys().next().value)
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
const heapMiB = () =>
  page.evaluate(() => {
    window.gc?.()
    return performance.memory.usedJSHeapSize / 2 ** 20
  })

const failed = await runChecks([
  ['paints what comes, and stays within bounds', async () => {
    await page.goto(given)
    await rows.first().waitFor({ timeout: WAIT_MS })
    await sleep(3_000)
    const heaps = []
    const begun = await page.evaluate(() => {
      window.probe.on = true
      return { received: window.probe.received, atMs: performance.now() }
    })
    for (let part = 0; part < 6; part++) {
      await sleep(RUN_MS / 6)
      heaps.push(await heapMiB())
      const laidOut = await rows.count()
      assert(laidOut <= MOST_ROWS_IN_PAGE, `${laidOut} rows are laid out`)
    }
    const { frames, painted, received, gaps, atMs } = await page.evaluate(() => {
      window.probe.on = false
      return { ...window.probe, atMs: performance.now() }
    })
    const rate = ((received - begun.received) * 1000) / (atMs - begun.atMs)
    assert(painted.length > 0, 'nothing was painted')
    assert(Math.max(...heaps) < MOST_HEAP_MIB, `the heap grew to ${heaps.map(Math.round)} MiB`)
    return [
      `${Math.round(rate)} events/s over ${Math.round((atMs - begun.atMs) / 1000)} s`,
      `frames p50 ${quantile(frames, 0.5)} p99 ${quantile(frames, 0.99)} longest ${quantile(frames, 1)} ms (${frames.length})`,
      `receive→paint p50 ${quantile(painted, 0.5)} p99 ${quantile(painted, 0.99)} ms (${painted.length} rows that were in sight)`,
      `${gaps} gaps`,
      `heap ${heaps.map((mib) => mib.toFixed(0)).join(', ')} MiB`,
    ].join('; ')
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
    const result = await page.evaluate(async (most) => {
      const viewport = document.querySelector('[role=region]')
      const table = document.querySelector('[role=table]')
      const length = () => Number(table.getAttribute('aria-rowcount')) - 1
      const frames = []
      let last = performance.now()
      let still = 0
      // A page of the list with each frame, as a held key does; where the history has to be read on, it waits.
      while (length() < most && still < 600) {
        await new Promise(requestAnimationFrame)
        const now = performance.now()
        const before = viewport.scrollTop
        viewport.scrollTop += viewport.clientHeight * 0.8
        if (viewport.scrollTop === before) still += 1
        else {
          still = 0
          frames.push(now - last)
        }
        last = now
      }
      return { frames, rows: length(), laidOut: document.querySelectorAll('[role=row][data-id]').length }
    }, HISTORY_ROWS)
    assert(result.laidOut > 0 && result.laidOut <= MOST_ROWS_IN_PAGE, `${result.laidOut} rows are laid out`)
    assert(result.rows > 1_000, `only ${result.rows} rows could be read`)
    return `${result.rows} rows, frames p50 ${quantile(result.frames, 0.5)} p99 ${quantile(result.frames, 0.99)} ms, heap ${Math.round(await heapMiB())} MiB`
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
