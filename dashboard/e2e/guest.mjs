// Checks in a tab of their own, with messages that the test itself has posted: text that means harm, and
// alerts. Titles and names, which no message can set, and the mark of the past are put into real frames on
// their way to the page.
import { aGroup, assert, axe, post, sleep, until, WAIT_MS } from './browser.mjs'

// Turns what stands behind it, hides, stacks, breaks out, fills the row.
const HARM = `\u202Egnp.exe \u2066x\u2069 a\u200Bb \u001B[31m z${'\u0300'.repeat(300)} <img src=x onerror="window.harmed=1"><script>window.harmed=1</script> javascript:harm ${'W'.repeat(400)}`
const HIDDEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u00AD\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/
const QUIET_MS = 3_000

export function guestChecks({ page, given, url }) {
  let guest
  let group
  let subscribed = 0

  const open = async () => {
    guest = await page.context().newPage()
    group = await aGroup()
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write', 'notifications'], { origin: url.origin })
    await guest.addInitScript(() => {
      window.told = []
      window.tones = 0
      const Native = window.Notification
      window.Notification = class {
        static get permission() {
          return Native.permission
        }
        static requestPermission() {
          return Native.requestPermission()
        }
        constructor(title, options) {
          window.told.push({ title, ...options })
        }
      }
      const start = OscillatorNode.prototype.start
      OscillatorNode.prototype.start = function (...given) {
        window.tones += 1
        return start.apply(this, given)
      }
    })
    await guest.routeWebSocket(/\/ws$/, (socket) => {
      const server = socket.connectToServer()
      server.onMessage((message) => {
        if (String(message).startsWith('{"type":"subscribed"')) subscribed += 1
        socket.send(changed(message))
      })
    })
    await guest.goto(given)
    await guest.locator('[data-phase=live]').waitFor({ timeout: WAIT_MS })
  }
  const say = (text, more = {}) => post({ chat_id: group.chat, from: group.person, text, ...more })
  // The text of everything in the page, tooltips and names for those who hear it included.
  const everything = () =>
    guest.evaluate(() =>
      [document.title, document.body.innerText, ...[...document.querySelectorAll('[title], [aria-label]')].flatMap((one) => [one.title, one.ariaLabel ?? ''])].join('\n'))
  const assertHarmless = async (where) => {
    const text = await everything()
    const at = text.search(HIDDEN)
    assert(at < 0, `${where}: U+${text.charCodeAt(at).toString(16)} reached the page in “${text.slice(Math.max(0, at - 30), at + 30)}”`)
    assert(!/\u0300{5}/.test(text), `${where}: a pile of marks reached the page`)
    assert((await guest.evaluate(() => window.harmed)) === undefined, `${where}: a script of the message ran`)
    assert((await guest.locator('main img, main script').count()) === 0, `${where}: markup of the message became elements`)
    const links = await guest.locator('main a[href]').evaluateAll((all) => all.map((link) => link.href))
    assert(links.every((link) => /^https?:/.test(link)), `${where}: links to ${links.filter((link) => !/^https?:/.test(link))}`)
    const sideways = await guest.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert(sideways <= 0, `${where}: the page is ${sideways} px wider than the screen`)
  }
  const goTo = (hash) => guest.evaluate((hash) => (location.hash = hash), hash)
  // Until the gateway has agreed, what is posted may be too early.
  const watched = async (act) => {
    const before = subscribed
    await act()
    await until('the rule to be watched', async () => subscribed > before)
  }
  const skipped = () => (process.env.TGMESH_SIM_CONTROL ? undefined : 'left out: no TGMESH_SIM_CONTROL')

  return [
    ['shows text that means harm harmlessly: message, chat, sender, forward', async () => {
      if (skipped()) return skipped()
      await open()
      const address = fresh()
      await goTo(`#/?chats=${group.chat}`)
      await say(`HARM ${HARM} CA ${address} end`, { forward: { from_name: `from ${HARM}` } })
      const row = guest.locator('[role=row][data-seq]').filter({ hasText: address.slice(0, 12) }).first()
      await row.waitFor({ timeout: WAIT_MS })
      assert((await row.textContent()).includes('U+202E'), 'an override is not shown for what it is')
      assert((await row.boundingBox()).height === 54, 'a row is higher than the others')
      assert(/chat .*U\+202E/.test(await row.locator('.name').textContent()), 'the title was not put in')
      await assertHarmless('the list')
      await row.locator('button').first().click()
      const details = guest.getByRole('complementary', { name: 'Details of the detection' })
      await details.waitFor()
      assert((await details.textContent()).includes('forwarded from'), 'the forward is not told')
      await assertHarmless('the details')
      await axe(guest)
      await guest.setViewportSize({ width: 390, height: 844 })
      await sleep(150)
      await assertHarmless('the details on a phone')
      await guest.setViewportSize({ width: 1440, height: 900 })
      await goTo(`#/chat/${group.chat}`)
      const kept = guest.locator('[role=row][data-id]')
      await until('the message in the history', async () => (await kept.filter({ hasText: address.slice(0, 12) }).count()) > 0 || (await retry(guest)))
      await assertHarmless('the page of the chat')
      await goTo(`#/address/${address}`)
      await until('the page of the address', async () => (await kept.count()) > 0 || (await retry(guest)))
      await assertHarmless('the page of the address')
    }],

    ['alerts by notification and sound where a rule says so, and never for the past', async () => {
      if (skipped()) return skipped()
      await goTo('#/alerts')
      const word = `launch${Date.now().toString(36)}`
      await guest.getByLabel('Name').fill('watch')
      await guest.getByLabel('Text has').fill(word)
      await guest.getByLabel('Notification').check()
      assert(await guest.getByLabel('Sound').isChecked(), 'sound is not the default')
      await watched(() => guest.getByRole('button', { name: 'Add', exact: true }).click())
      await guest.getByText(`text has “${word}”`).waitFor()
      const state = () => guest.evaluate(() => ({ told: window.told, tones: window.tones, permission: Notification.permission }))
      assert((await state()).permission === 'granted', 'the browser did not grant notifications')
      const before = (await state()).tones
      await say(`${word} PAST ${fresh()}`)
      await say(`not for this rule ${fresh()}`)
      const address = fresh()
      await say(`${word} ${address}`)
      await until('a notification', async () => (await state()).told.length > 0)
      await sleep(QUIET_MS)
      const { told, tones } = await state()
      assert(told.length === 1, `${told.length} notifications: ${JSON.stringify(told)}`)
      assert(told[0].title.startsWith('watch') && told[0].body.toLowerCase().includes(address), `it says ${JSON.stringify(told[0])}`)
      assert(tones - before === 2, `${tones - before} tones`)
      assert((await guest.locator('tbody tr').count()) === 1, 'another alert fired')
      // Without them it stays a line of the page.
      await guest.getByRole('button', { name: 'Change watch' }).click()
      await guest.getByLabel('Sound').uncheck()
      await guest.getByLabel('Notification').uncheck()
      await watched(() => guest.getByRole('button', { name: 'Save', exact: true }).click())
      await say(`${word} ${fresh()}`)
      await until('a second line', async () => (await guest.locator('tbody tr').count()) === 2)
      const after = await state()
      assert(after.told.length === 1 && after.tones === tones, 'a rule without sound and notification makes some')
      await guest.getByRole('button', { name: 'Remove watch' }).click()
      await guest.close()
    }],
  ]
}

// A frame as the gateway would send it, had someone chosen such a title and name, or had it been fetched from the past.
function changed(message) {
  if (typeof message !== 'string' || !message.startsWith('{"type":"detection"')) return message
  const isHarm = message.includes('HARM ')
  const isPast = message.includes(' PAST ')
  if (!isHarm && !isPast) return message
  const frame = JSON.parse(message)
  if (isHarm) {
    frame.data.chat.title = `chat ${HARM}`
    frame.data.sender.name = `sender ${HARM}`
    frame.data.rules = [`rule ${HARM}`]
    frame.data.evidence = [...frame.data.evidence, `word:${HARM}`]
  }
  if (isPast) frame.data.listener.backfill = true
  return JSON.stringify(frame)
}

// An EVM address that nobody has had; all in lower case it has no checksum to fail.
function fresh() {
  return `0x${[...crypto.getRandomValues(new Uint8Array(20))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

// What is not kept yet is there when one comes again.
async function retry(guest) {
  await sleep(300)
  await guest.reload()
  await guest.locator('[data-phase=live]').waitFor({ timeout: WAIT_MS })
  await sleep(700)
  return false
}
