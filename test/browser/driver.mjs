// Runs one headless Chromium and lets a test drive pages in it.
//
//     node driver.mjs MICROPHONE.wav
//
// One JSON object a line. In: {id, page, method, args}; page "" speaks to the browser, which
// knows open and close, any other to window.peer of that page. Out: {id, result} or
// {id, error}, and {page, event} for what a page reports. Ends when its input ends.
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { chromium } from 'playwright-core'

const script = buildSync({
  entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))],
  bundle: true,
  write: false,
  define: { global: 'window' },
}).outputFiles[0].contents
const profile = mkdtempSync(join(tmpdir(), 'sipxmppgw-chromium-'))
const pages = new Map()

// What a page reports comes over its console: a function of ours in the page (exposeFunction) is
// lost now and then when many pages open at once.
const reported = 'report '

function write(message) {
  process.stdout.write(JSON.stringify(message) + '\n')
}

// The page must come from 127.0.0.1: only a secure context has a microphone.
const server = http.createServer((request, response) => {
  const isScript = request.url === '/page.js'
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
  response.end(isScript ? script : `<!doctype html><title>peer</title><body><script>
    window.report = event => console.debug('${reported}' + JSON.stringify(event))
  </script><script src="/page.js"></script>`)
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  ignoreDefaultArgs: ['--mute-audio'],
  args: [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    `--use-file-for-fake-audio-capture=${process.argv[2]}`,
    '--autoplay-policy=no-user-gesture-required',
    // Candidates with addresses instead of names, and with the loopback address too, so
    // that calls work on a machine with any network or none; unless a test has networks.
    '--disable-features=WebRtcHideLocalIpsWithMdns',
    ...(process.env.NETWORKS ? [] : ['--allow-loopback-in-peer-connection']),
  ],
})

const control = {
  async open(name) {
    const page = await browser.newPage()
    page.on('pageerror', e => process.stderr.write(`${name}: ${e.stack}\n`))
    page.on('console', m => {
      const text = m.text()
      if (text.startsWith(reported)) write({ page: name, event: JSON.parse(text.slice(reported.length)) })
      else process.stderr.write(`${name}: ${text}\n`)
    })
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    pages.set(name, page)
  },
  async close(name) {
    await pages.get(name).close()
    pages.delete(name)
  },
  version: () => browser.browser()?.version() ?? '',
}

async function run({ page, method, args = [] }) {
  if (!page) return control[method](...args)
  return pages.get(page).evaluate(([method, args]) => window.peer[method](...args), [method, args])
}

write({ page: '', event: { type: 'ready' } })
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  run(request).then(
    result => write({ id: request.id, result: result ?? null }),
    error => write({ id: request.id, error: error.message }),
  )
}
await browser.close()
server.close()
rmSync(profile, { recursive: true, force: true })
