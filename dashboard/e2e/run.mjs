// The page in a real browser against a running mesh; README.md describes the interface.
import { readFileSync } from 'node:fs'

import { aGroup, assert, axe, givenMesh, openBrowser, post, runChecks, shoot, signed, sleep, until, WAIT_MS } from './browser.mjs'
import { guestChecks } from './guest.mjs'

const OUTAGE_MS = 10_000

const { given, token, url } = givenMesh()
const { browser, page, proxy } = await openBrowser(url)

const complaints = []
// While the test itself breaks something, the browser is right to report it.
let troubleExpected = false
// What was just seen live may not be archived yet: the page knows that answer, the browser reports it.
const NOT_YET_ARCHIVED = /status of 404 .*\/api\/(addresses|senders)\//
page.on('console', (message) => {
  const text = `${message.text()} ${message.location().url}`
  if (message.type() === 'error' && !troubleExpected && !NOT_YET_ARCHIVED.test(text)) complaints.push(`console: ${text}`)
})
page.on('pageerror', (error) => complaints.push(`exception at ${page.url()}: ${error.stack?.slice(0, 900)}`))
page.on('request', (request) => {
  const target = new URL(request.url())
  const inside = target.host === url.host || target.protocol === 'data:'
  if (!inside) complaints.push(`a request to ${target.origin}`)
  if (request.url().includes(token)) complaints.push(`the token in a URL: ${target.pathname}`)
})
page.on('websocket', (socket) => {
  if (socket.url().includes(token)) complaints.push('the token in the URL of the WebSocket')
})
const shifts = []
await page.exposeFunction('tellShift', (shift) => shifts.push(shift))
await page.addInitScript(() => {
  window.violations = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`)
  })
  // What moves without anybody's doing.
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue
      const moved = entry.sources.map(({ node }) => node?.nodeName + (node?.className ? `.${node.className}` : '')).join(' ')
      window.tellShift({ value: entry.value, moved, at: location.hash })
    }
  }).observe({ type: 'layout-shift', buffered: true })
})

const status = page.locator('[data-phase]')
const rows = page.locator('[role=row][data-id]')
const live = page.locator('[role=row][data-seq]')
const table = page.getByRole('table').first()
// What scrolls: around the table.
const viewport = page.getByRole('region').filter({ has: table })
const topSeq = async () => Number(await live.first().getAttribute('data-seq'))
const button = (name) => page.getByRole('button', { name, exact: true })
const phase = (name) => until(`the state ${name}`, async () => (await status.getAttribute('data-phase')) === name)
const goTo = (hash) => page.evaluate((hash) => (location.hash = hash), hash)
// By keys, as the pages are told in the help.
const press = (key) => page.keyboard.press(key)

// Web Vitals calls up to 0.1 good; a list that people read has no business to move at all.
const MOST_SHIFT = 0.02
// Of what is read out while rows come, in the time that is watched.
const MOST_SAID = 2

// Pages of one address, chat and sender that the mesh knows.
const known = {}

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

  ['has rows on the screen soon after it is opened', async () => {
    await until('a first row', async () => (await rows.count()) > 0)
    // Each time with an empty page: what the browser has kept of the script is part of daily life.
    const times = []
    for (let i = 0; i < 3; i++) {
      await page.goto('about:blank')
      await page.goto(given)
      await rows.first().waitFor({ timeout: WAIT_MS })
      times.push(await page.evaluate(() => Math.round(performance.now())))
    }
    return `first rows after ${times.join(', ')} ms`
  }],

  ['shows rows that arrive by themselves, newest first', async () => {
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

  ['keeps few rows in the page', async () => {
    const laidOut = await rows.count()
    assert(laidOut <= 60, `${laidOut} rows are laid out`)
  }],

  ['does not read every row out', async () => {
    const before = await topSeq()
    const said = await page.evaluate(async () => {
      let changes = 0
      const observer = new MutationObserver((records) => (changes += records.filter(({ target }) => (target.parentElement ?? target).closest?.('[role=status], [role=alert], [aria-live]')).length))
      observer.observe(document.body, { subtree: true, childList: true, characterData: true })
      await new Promise((done) => setTimeout(done, 3_000))
      observer.disconnect()
      return changes
    })
    await until('newer rows meanwhile', async () => (await topSeq()) > before)
    assert(said <= MOST_SAID, `${said} announcements in 3 s`)
  }],

  ['shows where the keyboard is', async () => {
    await page.reload()
    await until('rows', async () => (await rows.count()) > 0)
    const places = []
    for (let i = 0; i < 20; i++) {
      await press('Tab')
      places.push(await page.evaluate(() => {
        const at = document.activeElement
        const { outlineStyle, outlineWidth } = getComputedStyle(at)
        const { bottom, right, width } = at.getBoundingClientRect()
        const isSeen = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 && bottom > 0 && right > 0 && width > 0
        return { what: `${at.tagName} ${(at.getAttribute('aria-label') ?? at.textContent ?? '').trim().slice(0, 40)}`, isSeen }
      }))
    }
    const unseen = places.filter(({ isSeen }) => !isSeen)
    assert(unseen.length === 0, `without a visible focus: ${unseen.map(({ what }) => what).join(', ')}`)
    assert(new Set(places.map(({ what }) => what)).size > 10, `the keyboard only gets to ${places.map(({ what }) => what)}`)
  }],

  ['says that an address is cut, and keeps both its ends', async () => {
    await page.setViewportSize({ width: 390, height: 844 })
    await until('rows', async () => (await rows.count()) > 0)
    const [head, tail] = await rows.first().locator('.address code span').evaluateAll((spans) => spans.map((span) => {
      const { display, textOverflow } = getComputedStyle(span)
      return { display, textOverflow, isCut: span.scrollWidth > span.clientWidth }
    }))
    assert(head.isCut && head.display === 'block' && head.textOverflow === 'ellipsis' && !tail.isCut, JSON.stringify([head, tail]))
    await page.setViewportSize({ width: 1440, height: 900 })
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

  ['pauses and counts what waits, and follows again', async () => {
    await press('p')
    await button('Follow').waitFor()
    const held = await topSeq()
    await page.getByRole('button', { name: /newer$/ }).waitFor({ timeout: WAIT_MS })
    assert((await shownSeqs()).includes(held), 'the row that was read has gone')
    await press('p')
    await until('the newest row on top', async () => (await topSeq()) > held && (await page.getByRole('button', { name: /newer$/ }).count()) === 0)
  }],

  ['goes by keys alone: next, copy, address page, back', async () => {
    await viewport.focus()
    await press('j')
    await press('j')
    const details = page.getByRole('complementary', { name: 'Details of the detection' })
    await details.waitFor()
    const address = await details.locator('.address code').textContent()
    assert((await page.locator('[aria-current=true] code').first().textContent()) === address, 'row and details differ')
    await details.getByText('Why').waitFor()
    await press('c')
    await until('the clipboard', async () => (await page.evaluate(() => navigator.clipboard.readText())) === address)
    known.chat = await page.locator('[aria-current=true] a.name').getAttribute('href')
    await shoot(page, 'details')
    await press('o')
    await page.getByRole('heading', { name: address }).waitFor({ timeout: WAIT_MS })
    await until('its first mention', async () => (await page.locator('.cards').count()) > 0 && (await rows.count()) > 0)
    known.address = `#/address/${address}`
    await page.goBack()
    await until('the list again', async () => (await live.count()) > 0)
    await press('?')
    await page.getByRole('dialog').waitFor()
    await press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' }).catch(() => {})
    await press('/')
    assert(await page.evaluate(() => document.activeElement?.getAttribute('type') === 'search'), '/ did not go to the search field')
    await press('Escape')
  }],

  ['shows more rows where someone wants them dense, and keeps to that', async () => {
    const height = async () => (await rows.first().boundingBox()).height
    const roomy = await height()
    await press('d')
    await until('dense rows', async () => (await height()) < 40)
    const [text, row] = await Promise.all([rows.first().locator('.find').boundingBox(), rows.first().boundingBox()])
    assert(text.height <= row.height, `${text.height} px in a row of ${row.height}`)
    await page.reload()
    await until('dense rows after a reload', async () => (await rows.count()) > 0 && (await height()) < 40)
    await shoot(page, 'dense')
    await axe(page)
    await press('d')
    await until('roomy rows', async () => (await height()) === roomy)
  }],

  ['filters by family, on the server, and keeps it in the address', async () => {
    // The most frequent one in sight: the next of it is not far off.
    const families = await rows.evaluateAll((all) => all.map((row) => row.dataset.family))
    const count = (family) => families.filter((other) => other === family).length
    const family = families.reduce((best, one) => (count(one) > count(best) ? one : best))
    const others = page.locator(`[role=row][data-family]:not([data-family="${family}"])`)
    const all = Number(await table.getAttribute('aria-rowcount'))
    const toggle = page.locator(`button.${family}[aria-pressed]`)
    await toggle.click()
    await until(`only ${family}`, async () => (await others.count()) === 0 && (await rows.count()) > 0)
    assert(page.url().endsWith(`#/?families=${family}`), `the address is ${page.url()}`)
    const before = await topSeq()
    await until('a newer row through the filter', async () => (await topSeq()) > before)
    assert((await others.count()) === 0, 'another family came through')
    await page.reload()
    await until(`only ${family} after a reload`, async () => (await rows.count()) > 0 && (await others.count()) === 0)
    assert((await toggle.getAttribute('aria-pressed')) === 'true', 'the filter is not shown after a reload')
    await toggle.click()
    await until('all families again', async () => Number(await table.getAttribute('aria-rowcount')) >= Math.min(all, 20))
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

  ['comes back after 10 s without network, and misses and repeats nothing', async () => {
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
    return `${sent.length} rows`
  }],

  ['keeps its place while someone reads further down', async () => {
    await until('more rows than fit', async () => Number(await table.getAttribute('aria-rowcount')) > 25)
    await viewport.evaluate((element) => (element.scrollTop = 400))
    await sleep(100)
    const middle = await inSight()
    await page.getByRole('button', { name: /newer/ }).waitFor({ timeout: WAIT_MS })
    assert((await inSight()) === middle, 'what was read has moved away')
    await page.getByRole('button', { name: /newer/ }).click()
    await until('the top', async () => (await viewport.evaluate((element) => element.scrollTop)) === 0)
  }],

  ...guestChecks({ page, given, url }),

  ['alerts by a rule that was made here, once for each address', async () => {
    await goTo('#/alerts')
    await page.getByLabel('Name').fill('everything')
    await page.getByLabel('Sound').uncheck()
    await button('Add').click()
    const fired = page.locator('tbody tr')
    await until('two alerts', async () => (await fired.count()) >= 2)
    const addresses = await fired.locator('code').allTextContents()
    assert(new Set(addresses).size === addresses.length, `one address alerted twice: ${addresses}`)
    await page.reload()
    await page.getByText('everything').first().waitFor({ timeout: WAIT_MS })
    await page.getByRole('button', { name: 'Remove everything' }).click()
    await page.getByText('None yet').waitFor()
  }],

  ['shows what a watch rule or a link left without an address', async () => {
    if (!process.env.TGMESH_SIM_CONTROL) return 'left out: no TGMESH_SIM_CONTROL'
    const { chat, person } = await aGroup()
    await goTo(`#/?chats=${chat}&matches=1`)
    const matches = page.locator('[role=row][data-match]')
    await until('the filter', async () => (await page.getByText('with matches').count()) > 0 && (await status.getAttribute('data-phase')) === 'live')
    const letters = `7xkxtg2cw87d97txjsdpbd5jbkhetqa83tz${Date.now().toString(36).slice(-4).replaceAll(/[^a-z]/g, 'x')}sgasu`
    await until('a match', async () => {
      await post({ chat_id: chat, from: person, text: `chart https://dexscreener.com/solana/${letters}` })
      await sleep(300)
      return (await matches.count()) > 0
    })
    await matches.first().locator('button').first().click()
    await page.getByRole('complementary', { name: 'Details of the match' }).getByText('dexscreener.com').first().waitFor()
    await press('Escape')
    await goTo('#/')
  }],

  ['saves the events of a filter as files', async () => {
    await goTo('#/search')
    await until('past rows', async () => (await rows.count()) > 0)
    const saved = async (name) => {
      const [download] = await Promise.all([page.waitForEvent('download', { timeout: WAIT_MS }), button(name).click()])
      assert(/^tgmesh-search-[\d-]+\.(csv|ndjson)$/.test(download.suggestedFilename()), `the file is called ${download.suggestedFilename()}`)
      return readFileSync(await download.path(), 'utf8')
    }
    const table = await saved('CSV')
    const lines = (await saved('NDJSON')).trimEnd().split('\n').map((line) => JSON.parse(line))
    assert(/(^|,)address(,|$)/m.test(table.split('\r\n')[0]), `the head of the table is ${table.slice(0, 200)}`)
    assert(lines.length > 0 && table.includes(lines.at(-1).id), 'the files tell of different events')
    return `${lines.length} events`
  }],

  ['tells who was first, and how the mesh does', async () => {
    await goTo('#/leaders')
    await until('a leader', async () => (await page.locator('tbody tr').count()) > 0)
    await goTo('#/pipeline')
    await until('figures on each hop', async () => (await page.locator('li.hop b').allTextContents()).filter((text) => /\d/.test(text)).length >= 3)
    await page.locator('canvas').first().waitFor({ timeout: WAIT_MS })
    await goTo('#/audit')
    await until('the audit log', async () => (await page.getByRole('button', { name: 'gateway.login' }).count()) > 0)
    await page.getByRole('button', { name: 'gateway.login' }).first().click()
    await until('logins alone', async () => {
      const events = await page.locator('tbody td:nth-child(2)').allTextContents()
      return events.length > 0 && events.every((event) => event.trim() === 'gateway.login')
    })
    await goTo('#/pipeline')
    await until('instances', async () => (await page.getByText('listener', { exact: true }).count()) > 0)
  }],

  ['searches the past, and opens a chat and a sender', async () => {
    await goTo('#/search')
    await until('past rows', async () => (await rows.count()) > 0)
    await until('a sender', async () => (known.sender = await page.locator('a.sender').first().getAttribute('href')) !== null)
    // Of one that is new there may be events and no figures yet: a 404, which the page takes.
    troubleExpected = true
    await goTo(known.chat)
    await until('rows of the chat', async () => (await rows.count()) > 0)
    await until('how far it is ahead', async () => /\d/.test((await page.locator('dl div').filter({ has: page.getByText('First', { exact: true }) }).locator('dd').first().textContent()) ?? ''))
    await goTo(known.sender)
    await until('rows of the sender', async () => (await rows.count()) > 0)
    const names = await page.locator('a.sender').evaluateAll((all) => [...new Set(all.map((link) => link.getAttribute('href')))])
    assert(JSON.stringify(names) === JSON.stringify([known.sender]), `the sender's page shows ${names}`)
    troubleExpected = false
  }],

  ...['live', 'address', 'chat', 'sender', 'leaders', 'search', 'pipeline', 'audit', 'alerts', 'token', 'nowhere'].map((name) => [
    `has no accessibility fault: ${name}, light, dark and on a phone`,
    async () => {
      await goTo(known[name] ?? (name === 'live' ? '#/' : `#/${name}`))
      if (name in known || name === 'live' || name === 'search') await until('rows', async () => (await rows.count()) > 0)
      if (name === 'leaders') await until('leaders', async () => (await page.locator('tbody tr').count()) > 0)
      if (name === 'pipeline') await page.locator('canvas').first().waitFor({ timeout: WAIT_MS })
      for (const [scheme, width, height] of [['light', 1440, 900], ['dark', 1440, 900], ['dark', 390, 844]]) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
        await page.setViewportSize({ width, height })
        await sleep(150)
        await shoot(page, `${name}-${scheme}-${width}`)
        await axe(page)
        const moving = await page.evaluate(() => document.getAnimations().filter((one) => one.playState === 'running').length)
        assert(moving === 0, `${moving} animations run where someone wants none`)
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        assert(sideways <= 0, `the page is ${sideways} px wider than a screen of ${width}`)
      }
      await page.setViewportSize({ width: 1440, height: 900 })
      await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'no-preference' })
    },
  ]),

  ['renews a token before it ends, on the same connection', async () => {
    const token = (ttl) => signed('--sub', 'ending', '--role', 'analyst', '--chats', '*', '--ttl', ttl)
    const first = token('90s')
    if (!first) return 'left out: no TGMESH_TOKEN_COMMAND'
    const sockets = []
    page.on('websocket', (socket) => sockets.push(socket))
    await goTo(`#token=${first}`)
    await until('the rows of the token', async () => (await page.locator('.who').textContent())?.includes('ending') && (await live.count()) > 0)
    const opened = sockets.length
    await page.getByRole('link', { name: /^token ends in/ }).click()
    await page.getByLabel('New token, or the link that carries it').fill(token('30m'))
    await button('Use it').click()
    await page.getByText('The token was renewed').waitFor()
    await until('no more warning', async () => (await page.getByRole('link', { name: /^token ends in/ }).count()) === 0)
    await goTo('#/')
    const before = await topSeq()
    await until('rows with the new token', async () => (await topSeq()) > before)
    assert(sockets.length === opened && !sockets.at(-1).isClosed(), 'the connection was made anew')
    await page.reload()
    await until('the new token after a reload', async () => (await live.count()) > 0 && (await page.getByRole('link', { name: /^token ends in/ }).count()) === 0)
  }],

  ['keeps the list when the token ends, and goes on with a new one', async () => {
    const short = signed('--sub', 'short', '--role', 'analyst', '--chats', '*', '--ttl', '6s')
    if (!short) return 'left out: no TGMESH_TOKEN_COMMAND'
    troubleExpected = true
    await goTo(`#token=${short}`)
    await until('the rows of the new token', async () => (await page.locator('.who').textContent())?.includes('short') && (await rows.count()) > 0)
    await phase('expired')
    await page.getByText('The token ended or was taken back').waitFor()
    assert((await rows.count()) > 0, 'the rows have gone with the token')
    await axe(page)
    const last = await topSeq()
    await page.getByLabel('New token, or the link that carries it').fill(signed('--sub', 'short', '--role', 'analyst', '--chats', '*', '--ttl', '10m'))
    await button('Use it').click()
    await phase('live')
    troubleExpected = false
    await until('rows after the renewal', async () => (await topSeq()) > last)
    await button('Pause').click()
    const seen = (await allSeqs(last)).filter((seq) => seq > last)
    const sent = await control(last, seen[0])
    assert(JSON.stringify(seen) === JSON.stringify(sent.reverse()), `the page has ${seen}, the stream ${sent}`)
    await button('Follow').click()
  }],

  ['shows a viewer what a viewer may see, and says what is not', async () => {
    const viewer = signed('--sub', 'eye', '--role', 'viewer', '--chats', '*', '--ttl', '10m')
    if (!viewer) return 'left out: no TGMESH_TOKEN_COMMAND'
    troubleExpected = true
    await goTo(`#token=${viewer}`)
    await until('rows', async () => (await page.locator('.who').textContent())?.includes('eye') && (await rows.count()) > 0)
    assert((await page.locator('a.sender').count()) === 0, 'a viewer sees senders')
    assert((await page.getByText('first', { exact: true }).count()) === 0, 'a sighting is called the first to someone who is not told')
    await goTo(known.sender)
    await page.getByText('Not for this token').first().waitFor({ timeout: WAIT_MS })
    await axe(page)
    await shoot(page, 'forbidden')
    await goTo('#/audit')
    await page.getByText('Not for this token').first().waitFor({ timeout: WAIT_MS })
    await goTo('#/search')
    await until('past rows', async () => (await rows.count()) > 0)
    assert((await button('CSV').count()) === 0, 'a viewer is offered files, which the gateway refuses')
    await goTo('#/pipeline')
    await page.getByText('are for operators').waitFor({ timeout: WAIT_MS })
    const none = signed('--sub', 'blind', '--role', 'viewer', '--ttl', '10m')
    await goTo(`#token=${none}`)
    await page.getByText('Nothing here for this token').waitFor({ timeout: WAIT_MS })
    troubleExpected = false
  }],

  ['stays signed in over a reload, and forgets the token on signing out', async () => {
    await page.goto(given)
    await phase('live')
    await page.reload()
    await phase('live')
    await button('Sign out').first().click()
    await page.getByLabel('Access token').waitFor()
    assert((await page.evaluate(() => sessionStorage.length)) === 0, 'the token is still in the tab')
    await shoot(page, 'sign-in')
    await axe(page)
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

  ['stood still: nothing moved that nobody had moved', async () => {
    // What fires goes on top of the table of what has fired.
    const others = shifts.filter(({ at, moved }) => !(at === '#/alerts' && /^(T[RHD]\S* ?)+$/.test(moved)))
    const worst = others.toSorted((a, b) => b.value - a.value).slice(0, 12).map(({ value, moved, at }) => `${value.toFixed(4)} ${at} ${moved}`)
    assert(others.every(({ value }) => value <= MOST_SHIFT), worst.join('\n      '))
    return `${others.length} shifts, the most ${worst[0] ?? 'none'}`
  }],

  ['made no complaint', async () => {
    complaints.push(...(await page.evaluate(() => window.violations)).map((text) => `CSP: ${text}`))
    assert(complaints.length === 0, complaints.join('\n'))
  }],
]

const failed = await runChecks(checks, async (number) => {
  troubleExpected = false
  proxy.heal()
  await shoot(page, `failed-${number}`)
  await page.setViewportSize({ width: 1440, height: 900 })
  // The next check begins where it would have.
  await page.goto('about:blank')
  await page.goto(given)
  await rows.first().waitFor({ timeout: WAIT_MS })
})
await browser.close()
proxy.close()
process.exit(failed ? 1 : 0)

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
  const seqs = new Set()
  await viewport.evaluate((element) => (element.scrollTop = 0))
  for (;;) {
    await sleep(60)
    for (const seq of await shownSeqs()) {
      seqs.add(seq)
      if (seq <= after) return [...seqs]
    }
    const moved = await viewport.evaluate((element) => {
      const from = element.scrollTop
      element.scrollTop += element.clientHeight / 2
      return element.scrollTop > from
    })
    if (!moved) return [...seqs]
  }
}

// What the stream holds in (after, to], asked for by another client with the operator's token.
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

async function inSight() {
  const box = await viewport.boundingBox()
  return page.evaluate(
    ([x, y]) => document.elementFromPoint(x, y)?.closest('[data-seq]')?.getAttribute('data-seq'),
    [box.x + 40, box.y + box.height / 2],
  )
}
