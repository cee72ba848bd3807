// A page in a real Chromium whose wire to the gateway can be cut, and what checks of it share.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { chromium } from 'playwright-core'

import { startProxy } from './proxy.mjs'

// Long, for a machine that is busy with other tests.
export const WAIT_MS = 30_000

/** The address of a running mesh and the token in it, from `TGMESH_URL`; ends the process without one. */
export function givenMesh() {
  // The address, or the whole line that carries it.
  const given = /https?:\/\/\S+$/.exec(process.env.TGMESH_URL?.trim() ?? '')?.[0] ?? ''
  const token = /#token=([\w.-]+)$/.exec(given)?.[1]
  if (!token) {
    console.error('TGMESH_URL has to be the line of a running mesh: http://127.0.0.1:PORT/#token=…')
    process.exit(2)
  }
  return { given, token, url: new URL(given) }
}

/** A further token, from the command in `TGMESH_TOKEN_COMMAND`, a JSON list; undefined without one. */
export function signed(...args) {
  const command = process.env.TGMESH_TOKEN_COMMAND
  if (!command) return undefined
  const [file, ...first] = JSON.parse(command)
  return execFileSync(file, [...first, ...args], { encoding: 'utf8' }).trim()
}

/** Lets the simulator behind the mesh post a message; undefined where its control port is not known. */
export async function post(message) {
  const control = process.env.TGMESH_SIM_CONTROL
  if (!control) return undefined
  const answer = await fetch(`${control}/messages`, { method: 'POST', body: JSON.stringify(message) })
  if (!answer.ok) throw new Error(`the simulator did not post: ${await answer.text()}`)
  return answer.json()
}

/** A chat of the simulator in which people write, and one of them. */
export async function aGroup() {
  const chats = await (await fetch(`${process.env.TGMESH_SIM_CONTROL}/chats`)).json()
  const { id, people } = chats.find(({ kind, people }) => kind === 'supergroup' && people.length > 0)
  return { chat: id, person: people[0] }
}

/** Opens a browser, a proxy before the gateway, and a page. */
export async function openBrowser(url) {
  const port = Number(url.port || 80)
  const proxy = await startProxy(port, url.hostname)
  const browser = await chromium
    .launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        // The browser is told that the gateway's port is the proxy's, so that the page's address and
        // origin stay what they are while the wire can be cut.
        `--host-resolver-rules=MAP ${url.hostname}:${port} 127.0.0.1:${proxy.port}`,
        '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--enable-precise-memory-info', '--js-flags=--expose-gc',
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
  return { browser, page, proxy }
}

export function assert(condition, message) {
  if (!condition) throw new Error(message)
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Waits until a question is answered with yes. */
export async function until(what, condition) {
  const end = performance.now() + WAIT_MS
  while (performance.now() < end) {
    // A row may be gone between two questions about it.
    if (await condition().catch(() => false)) return
    await sleep(50)
  }
  throw new Error(`waited ${WAIT_MS / 1000} s in vain for ${what}`)
}

/** Fails on any accessibility fault that axe finds. */
export async function axe(page) {
  const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source)
  const violations = await page.evaluate(async () => (await window.axe.run()).violations)
  const faults = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')}`)
  assert(faults.length === 0, faults.join('\n      '))
}

/** A picture of the page, where `E2E_SHOTS` names a folder. */
export async function shoot(page, name) {
  const shots = process.env.E2E_SHOTS
  if (!shots) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}.png`) })
}

/** Runs checks one after the other and tells of each; the number that failed. */
export async function runChecks(checks, afterFailure) {
  let failed = 0
  for (const [name, check] of checks) {
    const begun = performance.now()
    try {
      const note = await check()
      console.log(`ok    ${name} (${Math.round(performance.now() - begun)} ms)${note ? `: ${note}` : ''}`)
    } catch (error) {
      failed += 1
      console.log(`FAIL  ${name}\n      ${error.message}`)
      await afterFailure(failed).catch(() => {})
    }
  }
  console.log(`${checks.length - failed} passed, ${failed} failed`)
  return failed
}
