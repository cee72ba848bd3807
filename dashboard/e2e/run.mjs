// The page in a real browser against a running mesh; README.md describes the interface.
import { createRequire } from 'node:module'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { chromium } from 'playwright-core'

import { startProxy } from './proxy.mjs'

// Long, for a machine that is busy with other tests.
const WAIT_MS = 30_000
const OUTAGE_MS = 2_500

// The address, or the whole line that carries it.
const given = /https?:\/\/\S+$/.exec(process.env.TGMESH_URL?.trim() ?? '')?.[0] ?? ''
const token = /#token=([\w.-]+)$/.exec(given)?.[1]
if (!token) {
  console.error('TGMESH_URL has to be the line of a running mesh: http://127.0.0.1:PORT/#token=…')
  process.exit(2)
}
const url = new URL(given)
const shots = process.env.E2E_SHOTS
if (shots) mkdirSync(shots, { recursive: true })

// Chromium is told that the gateway's port is the proxy's, so that the page's address and origin stay
// what they are while the wire can be cut.
const port = Number(url.port || 80)
const proxy = await startProxy(port, url.hostname)
const browser = await chromium
  .launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      `--host-resolver-rules=MAP ${url.hostname}:${port} 127.0.0.1:${proxy.port}`,
      '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
  })
  .catch((error) => {
    console.error(`the browser did not start: ${error.message}`)
    process.exit(2)
  })
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB' })
await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url.origin })
const page = await context.newPage()

const complaints = []
// While the test itself breaks something, the browser is right to report it.
let troubleExpected = false
page.on('console', (message) => {
  if (message.type() === 'error' && !troubleExpected) complaints.push(`console: ${message.text()}`)
})
page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))
page.on('request', (request) => {
  const target = new URL(request.url())
  const inside = target.host === url.host || target.protocol === 'data:'
  if (!inside) complaints.push(`a request to ${target.origin}`)
  if (request.url().includes(token)) complaints.push(`the token in a URL: ${target.pathname}`)
})
page.on('websocket', (socket) => {
  if (socket.url().includes(token)) complaints.push('the token in the URL of the WebSocket')
})
await page.addInitScript(() => {
  window.violations = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`)
  })
})

const status = page.locator('[data-phase]')
const rows = page.locator('[role=row][data-seq]')
const topSeq = async () => Number(await rows.first().getAttribute('data-seq'))
const button = (name) => page.getByRole('button', { name, exact: true })
const phase = (name) => until(`the state ${name}`, async () => (await status.getAttribute('data-phase')) === name)

const checks = [
  ['signs in by the address and takes the token out of it', async () => {
    const response = await page.goto(given)
    const policy = response?.headers()['content-security-policy'] ?? ''
    assert(policy.includes("default-src 'none'") && !policy.includes('unsafe'), `the policy is: ${policy}`)
    await phase('live')
    assert(page.url() === `${url.origin}${url.pathname}`, `the address bar says ${page.url()}`)
    await page.goBack().catch(() => {})
    assert(!page.url().includes('token'), 'the token is in the history')
    await page.goto(`${url.origin}${url.pathname}`)
    await phase('live')
  }],

  ['shows rows that arrive by themselves, newest first', async () => {
    await until('a first row', async () => (await rows.count()) > 0)
    const before = await topSeq()
    await until('a newer row', async () => (await topSeq()) > before)
    const seqs = await shownSeqs()
    assert(seqs.every((seq, i) => i === 0 || seq < seqs[i - 1]), `the order is ${seqs}`)
    await until('a latency', async () => (await page.locator('[role=cell].latency').allTextContents()).some((text) => /^-?[\d.]+ m?s$/.test(text)))
  }],

  ['shows the totals of the mesh', async () => {
    const figure = page.locator('dl div').filter({ has: page.getByText('messages', { exact: true }) }).locator('dd')
    await until('a count of messages', async () => /\d/.test((await figure.textContent()) ?? ''))
  }],

  ['copies a whole address', async () => {
    await button('Pause').click()
    // By its sequence: which row is the first changes with each that arrives.
    const row = page.locator(`[data-seq="${await topSeq()}"]`)
    await row.getByRole('button', { name: /^Copy address/ }).click()
    const shown = await row.locator('code').textContent()
    await until('the clipboard', async () => (await page.evaluate(() => navigator.clipboard.readText())) === shown)
    await button('Follow').click()
  }],

  ['keeps few rows in the page', async () => {
    const laidOut = await rows.count()
    assert(laidOut <= 60, `${laidOut} rows are laid out`)
  }],

  ['filters by family, on the server', async () => {
    // The most frequent one in sight: the next of it is not far off.
    const families = await rows.evaluateAll((all) => all.map((row) => row.dataset.family))
    const count = (family) => families.filter((other) => other === family).length
    const family = families.reduce((best, one) => (count(one) > count(best) ? one : best))
    const others = page.locator(`[role=row][data-family]:not([data-family="${family}"])`)
    const all = Number(await page.getByRole('table').getAttribute('aria-rowcount'))
    const toggle = page.locator(`button.${family}[aria-pressed]`)
    await toggle.click()
    await until(`only ${family}`, async () => (await others.count()) === 0 && (await rows.count()) > 0)
    const before = await topSeq()
    await until('a newer row through the filter', async () => (await topSeq()) > before)
    assert((await others.count()) === 0, 'another family came through')
    await toggle.click()
    await until('all families again', async () => Number(await page.getByRole('table').getAttribute('aria-rowcount')) >= Math.min(all, 20))
  }],

  ['says when the server does not take a pattern, and goes on', async () => {
    const box = page.getByRole('searchbox')
    await box.fill('(')
    await page.locator('#filter-error').waitFor({ timeout: WAIT_MS })
    const before = await topSeq()
    await until('rows of the old filter', async () => (await topSeq()) > before)
    await box.fill('')
    await page.locator('#filter-error').waitFor({ state: 'detached', timeout: WAIT_MS })
  }],

  ['comes back after the connection was cut, and misses and repeats nothing', async () => {
    await until('rows', async () => (await rows.count()) > 2)
    const before = await topSeq()
    troubleExpected = true
    proxy.cut()
    await until('the state reconnecting', async () => /reconnecting/.test((await status.textContent()) ?? ''))
    await sleep(OUTAGE_MS)
    proxy.heal()
    await phase('live')
    await page.getByText('you missed nothing').waitFor({ timeout: WAIT_MS })
    troubleExpected = false
    const healed = await topSeq()
    await until('rows after the outage', async () => (await topSeq()) > healed)
    await button('Pause').click()
    const seen = (await allSeqs(before)).filter((seq) => seq > before)
    const sent = await control(before, seen[0])
    assert(sent.length > 0, 'nothing was sent during the outage: the mesh is too quiet for this test')
    assert(JSON.stringify(seen) === JSON.stringify(sent.reverse()), `the page has ${seen}, the stream ${sent}`)
    await button('Follow').click()
  }],

  ['keeps its place while someone reads further down', async () => {
    await until('more rows than fit', async () => Number(await page.getByRole('table').getAttribute('aria-rowcount')) > 25)
    const table = page.getByRole('table')
    await table.evaluate((element) => (element.scrollTop = 400))
    await sleep(100)
    const middle = await inSight(table)
    await page.getByRole('button', { name: /newer/ }).waitFor({ timeout: WAIT_MS })
    assert((await inSight(table)) === middle, 'what was read has moved away')
    await page.getByRole('button', { name: /newer/ }).click()
    await until('the top', async () => (await table.evaluate((element) => element.scrollTop)) === 0)
  }],

  ...['light', 'dark'].flatMap((scheme) => [[1440, 900], [390, 844]].map(([width, height]) => [
    `has no accessibility fault, ${scheme}, ${width} px wide`,
    async () => {
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height })
      await until('rows', async () => (await rows.count()) > 0)
      await sleep(150)
      await shoot(`${scheme}-${width}`)
      await axe()
    },
  ])),

  ['stays signed in over a reload, and forgets the token on signing out', async () => {
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.reload()
    await phase('live')
    await button('Sign out').click()
    await page.getByLabel('Access token').waitFor()
    assert((await page.evaluate(() => sessionStorage.length)) === 0, 'the token is still in the tab')
    await shoot('sign-in')
    await axe()
  }],

  ['says that a token was not accepted, and does not try it again', async () => {
    troubleExpected = true
    const sockets = []
    page.on('websocket', (socket) => sockets.push(socket))
    await page.getByLabel('Access token').fill('e30.e30.e30')
    await button('Sign in').click()
    await page.getByRole('alert').waitFor({ timeout: WAIT_MS })
    await sleep(2_000)
    assert(sockets.length === 1, `${sockets.length} connections were made`)
    await page.getByLabel('Access token').fill(given)
    await button('Sign in').click()
    await phase('live')
    troubleExpected = false
  }],

  ['made no complaint', async () => {
    complaints.push(...(await page.evaluate(() => window.violations)).map((text) => `CSP: ${text}`))
    assert(complaints.length === 0, complaints.join('\n'))
  }],
]

let failed = 0
for (const [name, check] of checks) {
  const begun = performance.now()
  try {
    await check()
    console.log(`ok    ${name} (${Math.round(performance.now() - begun)} ms)`)
  } catch (error) {
    failed += 1
    troubleExpected = false
    proxy.heal()
    if (await button('Follow').isVisible().catch(() => false)) await button('Follow').click()
    console.log(`FAIL  ${name}\n      ${error.message}`)
    await shoot(`failed-${failed}`).catch(() => {})
  }
}
await browser.close()
proxy.close()
console.log(`${checks.length - failed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)

function assert(condition, message) {
  if (!condition) throw new Error(message)
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function until(what, condition) {
  const end = performance.now() + WAIT_MS
  while (performance.now() < end) {
    // A row may be gone between two questions about it.
    if (await condition().catch(() => false)) return
    await sleep(50)
  }
  throw new Error(`waited ${WAIT_MS / 1000} s in vain for ${what}`)
}

async function shownSeqs() {
  return page.evaluate(() =>
    [...document.querySelectorAll('[role=row][data-seq]')]
      .map((row) => [Number(row.getAttribute('aria-rowindex')), Number(row.dataset.seq)])
      .sort((a, b) => a[0] - b[0])
      .map(([, seq]) => seq),
  )
}

// The list is virtual: reads it by scrolling, from the newest down to `after`.
async function allSeqs(after) {
  const table = page.getByRole('table')
  const seqs = new Set()
  await table.evaluate((element) => (element.scrollTop = 0))
  for (;;) {
    await sleep(60)
    for (const seq of await shownSeqs()) {
      seqs.add(seq)
      if (seq <= after) return [...seqs]
    }
    const moved = await table.evaluate((element) => {
      const from = element.scrollTop
      element.scrollTop += element.clientHeight / 2
      return element.scrollTop > from
    })
    if (!moved) return [...seqs]
  }
}

// What the stream holds in (after, to], asked for by another client with the same token.
async function control(after, to) {
  return page.evaluate(
    ({ token, after, to }) =>
      new Promise((resolve, reject) => {
        const seqs = []
        const socket = new WebSocket(new URL('ws', location.href.replace(/^http/, 'ws')), ['tgmesh.v1.json', 'bearer', token])
        const done = () => (socket.close(), resolve(seqs))
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data)
          if (frame.type === 'welcome') {
            socket.send(JSON.stringify({ type: 'subscribe', id: 'c', filter: {}, resume: { epoch: frame.epoch, after } }))
          }
          if (frame.type === 'detection' && frame.seq <= to) seqs.push(frame.seq)
          if (frame.type === 'detection' && frame.seq >= to) done()
        }
        setTimeout(() => reject(new Error('the control client got no answer')), 15_000)
      }),
    { token, after, to },
  )
}

async function inSight(table) {
  const box = await table.boundingBox()
  return page.evaluate(
    ([x, y]) => document.elementFromPoint(x, y)?.closest('[data-seq]')?.getAttribute('data-seq'),
    [box.x + 40, box.y + box.height / 2],
  )
}

async function axe() {
  const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  await page.evaluate(source)
  const violations = await page.evaluate(async () => (await window.axe.run()).violations)
  const faults = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)
  assert(faults.length === 0, faults.join('\n      '))
}

async function shoot(name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) })
}
