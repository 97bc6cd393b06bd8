// Looks at the operator's console in a headless Chromium, as a person with a keyboard, on a
// desk and on a telephone, by day and by night.
//
//     node console.mjs URL TOKEN FOLDER
//
// There must be a live call. Prints a line for every step; the first that fails ends it with
// exit code 1. Pictures are written to FOLDER.
import { join } from 'node:path'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { chromium } from 'playwright-core'

const [url, token, folder] = process.argv.slice(2)
const profile = mkdtempSync(join(tmpdir(), 'sipxmppgw-console-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const page = await browser.newPage()
page.setDefaultTimeout(10000)
const complaints = [] // of the browser: what the policy forbids, what fails
const foreign = [] // requests to elsewhere
page.on('pageerror', e => complaints.push(e.message))
page.on('console', m => { if (['error', 'warning'].includes(m.type()) && !/status of 40[01]/.test(m.text())) complaints.push(m.text()) })
page.on('request', r => { if (!r.url().startsWith(url)) foreign.push(r.url()) })

async function picture(name) {
  await page.screenshot({ path: join(folder, name + '.png'), fullPage: true })
  const said = await page.locator('main').innerText()
  must(!/undefined|NaN|null/.test(said), name + ' says what it should not: ' + said)
}

async function step(name, f) {
  try {
    await f()
    console.log('ok', name)
  } catch (e) {
    await picture('failed').catch(() => {})
    console.log('FAILED', name + ':', e.message)
    await browser.close()
    rmSync(profile, { recursive: true, force: true })
    process.exit(1)
  }
}

function must(what, text) {
  if (!what) throw new Error(text)
}

// wide says whether something sticks out of the page to the right.
const wide = () => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)
const text = selector => page.locator(selector).innerText()

// contrast is the least ratio of text to what is behind it (WCAG 2), and where.
const contrast = () => page.evaluate(() => {
  const parse = c => c.match(/[\d.]+/g).map(Number)
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0)
  let least = 21, where = ''
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest('.hide,.skip,svg,dialog:not([open]),noscript,:disabled')) continue
    let back = null
    for (let p = e; p && !back; p = p.parentElement) {
      const c = parse(getComputedStyle(p).backgroundColor)
      if (c.length < 4 || c[3] === 1) back = c
    }
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(back ?? [255, 255, 255])].sort((x, y) => y - x)
    const ratio = (a + .05) / (b + .05)
    if (ratio < least) { least = ratio; where = e.textContent.trim().slice(0, 40) }
  }
  return { least, where }
})
async function readable() {
  const { least, where } = await contrast()
  must(least >= 4.5, `contrast ${least.toFixed(2)} of ${where}`)
}

await step('nothing without the token', async () => {
  await page.goto(url)
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await page.keyboard.type('not the token')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'not the token' }).waitFor()
})
await step('signed in by keyboard', async () => {
  await page.getByLabel('Token').fill('')
  await page.keyboard.type(token)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: /^Calls now/ }).waitFor()
  must(!(await page.context().cookies()).some(c => !c.httpOnly || c.sameSite !== 'Strict'), 'the session can be read or taken elsewhere')
})
await step('lights, and a live call with the quality of both sides', async () => {
  await page.locator('.lights li').nth(1).waitFor()
  must((await page.locator('.lights .light.up').count()) >= 1, 'no light is up')
  await page.locator('.calls > li').waitFor()
  await page.waitForFunction(() => [...document.querySelectorAll('.calls .mos')].filter(e => /^[1-4][.]\d (good|fair|poor)$/.test(e.textContent)).length === 2)
  await page.waitForFunction(() => document.querySelector('.calls .spark path').getAttribute('d').split('L').length > 3)
  await readable()
  await picture('overview-light')
})
await step('by night', async () => {
  await page.emulateMedia({ colorScheme: 'dark' })
  await readable()
  await picture('overview-dark')
})
await step('a chart is read with the arrow keys', async () => {
  const chart = page.getByRole('img', { name: 'Calls at once' })
  await chart.focus()
  await page.keyboard.press('End')
  const said = await text('figure >> nth=0 >> .reading')
  must(/: 1$/.test(said), 'it says ' + said)
})
await step('calls that have ended, and why one did', async () => {
  await page.getByRole('link', { name: 'Calls', exact: true }).click()
  await page.locator('tbody tr').first().waitFor()
  await picture('calls-dark')
  await page.getByLabel('Search').fill('busy')
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1)
  await page.locator('tbody a').focus()
  await page.keyboard.press('Enter')
  await page.locator('.say p').first().waitFor()
  must(/in another call/.test(await text('.say')), 'it says ' + await text('.say'))
})
await step('its ladder, and a message of it by keyboard', async () => {
  await page.locator('.ladder svg').waitFor()
  await readable()
  const message = page.locator('.ladder g[tabindex]').first()
  await message.focus()
  await page.keyboard.press('Enter')
  must(/^\S+:\d+\s+INVITE sip:/.test(await text('pre >> nth=0')), 'the message is ' + (await text('pre >> nth=0')).slice(0, 80))
  await picture('call-dark')
  const whole = await page.locator('.ladder').innerHTML()
  await page.getByLabel('Hide persons').check()
  await page.waitForFunction(was => document.querySelector('.ladder').innerHTML !== was, whole)
  await page.emulateMedia({ colorScheme: 'light' })
  await readable()
  await picture('call-light')
})
await step('what was not begun', async () => {
  await page.goto(url + '/#/calls/refused')
  await page.locator('tbody tr').first().waitFor()
  await picture('refused-light')
})
await step('where a call would go', async () => {
  await page.getByRole('link', { name: 'Route' }).click()
  await page.getByLabel('Number or address').fill('+49 30 555123')
  await page.getByLabel(/^Who calls/).fill('juliet@demo.example')
  await page.keyboard.press('Enter')
  await page.locator('.steps li').first().waitFor()
  must(/It goes to trunk office/.test(await text('.say')), 'it says ' + await text('.say'))
  await picture('route-light')
})
await step('a live call with its ladder', async () => {
  await page.goto(url + '/#/')
  await page.locator('.calls > li a').focus()
  await page.keyboard.press('Enter')
  await page.locator('.ladder svg').waitFor()
  await page.getByText('Quality in').first().waitFor()
  must(await page.getByRole('button', { name: 'Hang up' }).isVisible(), 'it cannot be hung up')
  await readable()
  await picture('live-light')
})
await step('an order is refused, and the page says why', async () => {
  await page.goto(url + '/#/system')
  await page.getByRole('button', { name: 'Reload configuration' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
  await page.getByRole('alert').filter({ hasText: 'there is no file to read again' }).waitFor()
  await picture('system-light')
})
await step('on a telephone', async () => {
  await page.setViewportSize({ width: 360, height: 740 })
  for (const name of ['', 'calls', 'route', 'system']) {
    await page.goto(`${url}/#/${name}`)
    await page.waitForFunction(n => document.querySelector('nav [aria-current]').hash === '#/' + n, name)
    if (name === '') await page.locator('.calls > li .mos').first().waitFor()
    must(!await wide(), `${name || 'overview'} is wider than the screen`)
    const over = await page.evaluate(() => [...document.querySelectorAll('.leg, .lights li, td, dd')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent))
    must(over.length === 0, 'does not fit: ' + over.join(', '))
    const small = await page.evaluate(() => [...document.querySelectorAll('button, nav a, select, input:not([type=checkbox])')].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 38).map(e => e.textContent || e.name))
    must(small.length === 0, 'too small for a finger: ' + small.join(', '))
    await picture(`phone-${name || 'overview'}`)
  }
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.goto(url + '/#/')
  await page.locator('.calls > li a').click()
  await page.locator('.ladder svg').waitFor()
  must(!await wide(), 'a call is wider than the screen')
  await readable()
  await picture('phone-call')
  await page.emulateMedia({ colorScheme: 'light' })
})
await step('the live call is hung up, after a question', async () => {
  await page.setViewportSize({ width: 1280, height: 900 })
  await page.goto(url + '/#/')
  await page.getByRole('button', { name: /^Hang up/ }).click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  must(await page.locator('.calls > li').count() === 1, 'the call is gone though nobody said so')
  await page.getByRole('button', { name: /^Hang up/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Hang up' }).click()
  await page.waitForFunction(() => document.querySelectorAll('.calls > li').length === 0)
})
await step('signed out', async () => {
  await page.goto(url + '/#/system')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
})
await step('nothing from elsewhere, and nothing that the policy forbids', () => {
  must(foreign.length === 0, foreign.join(' '))
  must(complaints.length === 0, complaints.join('\n'))
})
await browser.close()
rmSync(profile, { recursive: true, force: true })
