// Reads a user's feed in a headless Chromium, by the example page.
//
//     node feed.mjs URL USER TOKEN WORD...
//
// Prints a line when the page follows the user, and for each WORD when the page says it; a |
// separates what it has to say at once. The first that does not come ends it with exit code 1.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [url, user, token, ...words] = process.argv.slice(2)
const profile = mkdtempSync(join(tmpdir(), 'sipxmppgw-feed-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const complaints = []
let code = 0
try {
  const page = await browser.newPage()
  page.setDefaultTimeout(30000)
  page.on('pageerror', e => complaints.push(e.message))
  page.on('console', m => { if (m.type() === 'error' && !m.text().includes('401')) complaints.push(m.text()) })
  const says = (...all) => page.waitForFunction(all => all.every(w => document.querySelector('main').innerText.includes(w)), all)
  await page.goto(url)
  const follow = async t => {
    await page.getByLabel('User').fill(user)
    await page.getByLabel('Token').fill(t)
    await page.getByRole('button').click()
  }
  await follow('not-the-token-of-anybody')
  await says('That is not the token')
  await follow(token)
  await says('Following ' + user)
  console.log('following')
  for (const w of words) {
    await says(...w.split('|'))
    console.log('says', w)
  }
  if (complaints.length) throw new Error(complaints.join('\n'))
  if (process.env.SIPXMPPGW_PICTURES) await page.screenshot({ path: join(process.env.SIPXMPPGW_PICTURES, 'feed.png'), fullPage: true })
} catch (e) {
  console.log('FAILED', e.message)
  code = 1
}
await browser.close()
rmSync(profile, { recursive: true, force: true })
process.exit(code)
