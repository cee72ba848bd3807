import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build, type Rollup } from 'vite'
import { expect, test, vi } from 'vitest'

// On a slow line this is the time until there is anything to look at.
const MOST_BYTES = 100_000

test('all of the JavaScript is below 100 kB as it is sent, and nothing is inline', async () => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  // What people are sent, not what tests run.
  vi.stubEnv('NODE_ENV', 'production')
  // Built here, not taken from dist/, which may be of another day.
  const { output } = (await build({ root, mode: 'production', logLevel: 'error', build: { write: false } })) as Rollup.RollupOutput
  vi.unstubAllEnvs()
  const scripts = output.filter((file) => file.type === 'chunk')
  const bytes = scripts.reduce((sum, { code }) => sum + gzipSync(code, { level: 6 }).length, 0)
  console.log(`${scripts.length} scripts, ${bytes} bytes gzipped`)
  expect(scripts.length).toBeGreaterThan(0)
  expect(bytes).toBeLessThan(MOST_BYTES)
  const page = output.find((file) => file.fileName === 'index.html')
  expect(page?.type === 'asset' && String(page.source)).toMatch(/<script type="module" crossorigin src="\.\/assets\//)
  expect(readFileSync(`${root}/index.html`, 'utf8')).not.toMatch(/https?:|<style|<script>/)
}, 120_000)
