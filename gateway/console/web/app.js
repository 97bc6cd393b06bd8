// The console. What it shows comes from /api; nothing from elsewhere, and no text of a peer's
// ever becomes markup: elements are made by h, and text stays text.

const svgNS = 'http://www.w3.org/2000/svg'
const main = document.getElementById('main')
let may = { in: false, token: false, orders: false }
let moment = null // the last that the gateway told
let stream = null
let leave = () => {} // what the page that is shown wants undone
let hear = () => {} // what it does with a moment

// h makes an element: h('p', {class: 'soft'}, 'text', other).
function h(tag, attrs = {}, ...children) {
  const svg = ['svg', 'path', 'rect', 'line', 'text', 'g'].includes(tag)
  const e = svg ? document.createElementNS(svgNS, tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attrs)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value)
    else e.setAttribute(name, value === true ? '' : value)
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false))
  return e
}

function set(e, text) {
  if (e.textContent !== text) e.textContent = text
}

class Refused extends Error {
  constructor(status, text) {
    super(text)
    this.status = status
  }
}

// ask fetches what is at a path below /api; method POST is an order.
async function ask(path, { method = 'GET', body, as = 'json' } = {}) {
  let res
  try {
    res = await fetch('/api' + path, { method, body: body && JSON.stringify(body), headers: body && { 'Content-Type': 'application/json' } })
  } catch {
    throw new Refused(0, 'The gateway does not answer.')
  }
  if (!res.ok) {
    let text = res.statusText
    try { text = (await res.json()).error } catch { /* it is no JSON */ }
    if (res.status === 401 && may.in) {
      may = { ...may, in: false, orders: false }
      start()
    }
    throw new Refused(res.status, text)
  }
  return as === 'json' ? res.json() : res.text()
}

function toast(text) {
  const t = document.getElementById('toast')
  t.textContent = text
  t.hidden = false
  clearTimeout(toast.timer)
  toast.timer = setTimeout(() => { t.hidden = true }, 6000)
}

// sure asks before an order is given.
function sure(text, yes) {
  const d = document.getElementById('ask')
  d.querySelector('#ask-text').textContent = text
  d.querySelector('[value=yes]').textContent = yes
  d.returnValue = 'no'
  d.showModal()
  return new Promise(done => d.addEventListener('close', () => done(d.returnValue === 'yes'), { once: true }))
}

async function order(path, text, yes, said) {
  if (!await sure(text, yes)) return null
  try {
    const answer = await ask(path, { method: 'POST' })
    toast(typeof said === 'function' ? said(answer) : said)
    return answer
  } catch (e) {
    toast(e.message)
    return null
  }
}

const clock = t => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = t => {
  const d = new Date(t)
  return d.toDateString() === new Date().toDateString() ? clock(t) : d.toLocaleDateString([], { day: '2-digit', month: 'short' }) + ' ' + clock(t)
}
function long(ms) {
  const s = Math.floor(ms / 1000)
  const two = n => String(n).padStart(2, '0')
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`
}
const classOf = mos => mos >= 4.03 ? 'good' : mos >= 3.6 ? 'fair' : 'bad'
const wordOf = mos => ({ good: 'good', fair: 'fair', bad: 'poor' })[classOf(mos)]
const plain = s => (s || '').replaceAll('_', ' ').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
const callPath = id => '#/call/' + encodeURIComponent(id)
const light = state => h('span', { class: 'light ' + (state || 'unknown'), 'aria-hidden': 'true' })

// who says who is at both ends, the caller first.
function who(l) {
  const other = l.sip_to && l.direction === 'xmpp_to_sip' ? l.sip_to : l.direction === 'sip_to_xmpp' ? l.sip_from : l.xmpp_peer || l.sip_to
  const ends = l.direction === 'sip_to_xmpp' ? [l.sip_from, l.xmpp_user] : [l.xmpp_user, other]
  return ends.map(address)
}
const address = a => (a || '').replace(/^sips?:/, '').replace(/;.*$/, '') || 'unknown'

// legsOf are the legs of a call with what they are called.
function legsOf(l) {
  return [['XMPP', l.xmpp], ['SIP', l.sip], ['Caller', l.caller], ['Callee', l.callee]].filter(([, leg]) => leg)
}

// keyed makes a list's items once and updates them after that, so that focus and reading
// stay where they are.
function keyed(list, items, key, make) {
  const old = new Map([...list.children].map(e => [e.dataset.key, e]))
  let after = null
  for (const item of items) {
    const k = key(item)
    let e = old.get(k)
    old.delete(k)
    if (!e) {
      const made = make(item)
      e = made.element
      e.dataset.key = k
      e.update = made.update
    }
    e.update(item)
    const next = after ? after.nextSibling : list.firstChild
    if (next !== e) list.insertBefore(e, next)
    after = e
  }
  for (const e of old.values()) e.remove()
}

// ---- charts

// chart draws series over time. kind is line, area or bars (one upon the other). It is read
// with the pointer or the arrow keys; the text below says what is there.
function chart(title, kind, series, format) {
  const H = 150, left = 40, bottom = 18, top = 8
  let W = 600 // as wide as it is shown, so that its text is not stretched
  const svg = h('svg', { class: 'chart', preserveAspectRatio: 'none', role: 'img', tabindex: 0, 'aria-label': title })
  const reading = h('p', { class: 'reading', 'aria-live': 'polite' })
  const keys = series.length > 1 ? series.map(s => h('span', { class: 'key c-' + s.colour }, h('i'), s.name)) : []
  const element = h('figure', {}, h('figcaption', {}, title, keys), svg, reading)
  let points = [], x = () => 0, at = -1, step = 300, cursor
  const say = i => {
    at = Math.max(0, Math.min(points.length - 1, i))
    const p = points[at]
    if (!p) return
    const values = series.map(s => p[s.field] === undefined ? null : (series.length > 1 ? s.name + ' ' : '') + format(p[s.field])).filter(Boolean)
    reading.textContent = new Date((p.t - step) * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) + ': ' + (values.join(', ') || 'nothing')
    cursor?.remove()
    cursor = h('line', { class: 'cursor', x1: x(p.t), x2: x(p.t), y1: top, y2: H - bottom })
    svg.append(cursor)
  }
  svg.addEventListener('keydown', e => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -1e6, End: 1e6 }
    if (!(e.key in moves) || !points.length) return
    e.preventDefault()
    say((at < 0 ? points.length : at) + moves[e.key])
  })
  svg.addEventListener('pointermove', e => {
    const box = svg.getBoundingClientRect()
    const px = (e.clientX - box.left) / box.width * W
    let best = 0
    points.forEach((p, i) => { if (Math.abs(x(p.t) - px) < Math.abs(x(points[best].t) - px)) best = i })
    if (points.length) say(best)
  })
  function update(data, hours) {
    points = data.points
    W = svg.clientWidth || W
    svg.setAttribute('viewBox', `0 0 ${W} ${H}`)
    step = data.step
    const now = Math.ceil(Date.now() / 1000 / step) * step, from = now - hours * 3600
    x = t => left + (t - from) / (now - from) * (W - left - 4)
    const sums = points.map(p => kind === 'bars' ? series.reduce((n, s) => n + (p[s.field] || 0), 0) : Math.max(...series.map(s => p[s.field] ?? 0)))
    let high = Math.max(...sums, 0), low = 0
    if (series[0].range) [low, high] = series[0].range
    else high = kind === 'line' ? high * 1.1 || 1 : Math.max(4, Math.ceil(high / 2) * 2)
    const y = v => top + (1 - (v - low) / (high - low)) * (H - bottom - top)
    const parts = []
    for (const v of [low, (low + high) / 2, high]) {
      parts.push(h('line', { class: 'grid', x1: left, x2: W, y1: y(v), y2: y(v), 'vector-effect': 'non-scaling-stroke' }))
      parts.push(h('text', { x: left - 4, y: y(v) + 4, 'text-anchor': 'end' }, format(v, true)))
    }
    const marks = W < 420 ? 2 : 4
    for (let i = 0; i <= marks; i++) {
      const t = from + (now - from) * i / marks
      parts.push(h('text', { x: x(t), y: H - 3, 'text-anchor': i === 0 ? 'start' : i === marks ? 'end' : 'middle' }, new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })))
    }
    const wide = Math.max(1.5, (W - left) * step / (now - from) - .6)
    if (kind === 'bars') {
      for (const p of points) {
        let base = 0
        for (const s of series) {
          const v = p[s.field] || 0
          if (v > 0) parts.push(h('rect', { class: 'c-' + s.colour, x: x(p.t) - wide, width: wide, y: y(base + v), height: y(base) - y(base + v) }))
          base += v
        }
      }
    } else {
      for (const s of series) {
        let d = '', last = null, area = '', begin = null, run = []
        const dots = []
        for (const p of points) {
          if (p[s.field] === undefined) { if (kind === 'area') last = null; continue }
          const gap = last !== null && p.t - last > step * (kind === 'line' ? 6 : 1.5)
          if (last === null || gap) {
            if (begin !== null) area += `H${x(last).toFixed(1)}V${y(low).toFixed(1)}H${begin}Z`
            begin = x(p.t).toFixed(1)
            area += `M${begin} ${y(low).toFixed(1)}V${y(p[s.field]).toFixed(1)}`
            d += `M${begin} ${y(p[s.field]).toFixed(1)}h.1`
            if (run.length === 1) dots.push(run[0])
            run = [d.slice(d.lastIndexOf('M'))]
          } else {
            const to = `L${x(p.t).toFixed(1)} ${y(p[s.field]).toFixed(1)}`
            d += to
            area += to
            run.push(to)
          }
          last = p.t
        }
        if (run.length === 1) dots.push(run[0])
        if (begin !== null) area += `L${x(last).toFixed(1)} ${y(low).toFixed(1)}H${begin}Z`
        if (kind === 'area' && area) parts.push(h('path', { class: 'area c-' + s.colour, d: area }))
        if (d) parts.push(h('path', { class: 'c-' + s.colour, d, 'stroke-linecap': 'round' }))
        if (dots.length) parts.push(h('path', { class: 'dot c-' + s.colour, d: dots.join(''), 'stroke-linecap': 'round' })) // what is alone makes no line
      }
    }
    svg.replaceChildren(...parts)
    cursor = null
    if (at >= 0) say(at)
  }
  return { element, update }
}

// sparks remembers the quality of live legs for as long as the page is open.
const sparks = new Map()
function remember(m) {
  const live = new Set()
  for (const l of m.calls) {
    for (const [name, leg] of legsOf(l)) {
      const k = l.call + name
      live.add(k)
      if (!leg.mos_rx) continue
      const all = sparks.get(k) || []
      all.push(leg.mos_rx)
      if (all.length > 120) all.shift()
      sparks.set(k, all)
    }
  }
  for (const k of sparks.keys()) if (!live.has(k)) sparks.delete(k)
}

// legView shows how a leg is heard: a figure, a word, and its course.
function legView(name) {
  const mos = h('span', { class: 'mos' }), more = h('span', { class: 'small soft' })
  const path = h('path', { d: '' })
  const svg = h('svg', { class: 'spark', viewBox: '0 0 120 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, path)
  const element = h('div', { class: 'leg' }, h('span', {}, name), svg, mos, more)
  return {
    element,
    update(call, leg) {
      const v = leg.mos_rx
      set(mos, v ? v.toFixed(1) + ' ' + wordOf(v) : '–')
      mos.className = 'mos ' + (v ? classOf(v) : 'soft')
      mos.title = 'mean opinion score of what this side sends, 1 to 4.5'
      const parts = [leg.codec, leg.srtp && leg.srtp !== 'none' ? 'SRTP' : leg.codec ? 'clear' : '', leg.jitter_ms ? `jitter ${leg.jitter_ms.toFixed(0)} ms` : '', leg.lost > 0 ? `${leg.lost} lost` : '', leg.rtt_ms ? `round trip ${leg.rtt_ms.toFixed(0)} ms` : '']
      set(more, parts.filter(Boolean).join(' · ') || 'no media yet')
      const all = sparks.get(call + name) || []
      path.setAttribute('d', all.map((m, i) => `${i ? 'L' : 'M'}${120 - (all.length - i)} ${(24 - (m - 1) / 3.5 * 22 - 1).toFixed(1)}`).join(''))
      path.setAttribute('class', 'c-' + (v ? classOf(v) : 'none'))
    },
  }
}

// liveCall is an item of the list of live calls.
function liveCall(first) {
  const link = h('a', { href: callPath(first.call) }), state = h('span', { class: 'small soft' })
  const legs = legsOf(first).map(([name]) => [name, legView(name)])
  const end = h('button', { class: 'danger', type: 'button', disabled: !may.orders, title: may.orders ? null : 'Orders want a token', onclick: () => hangup(first.call) }, 'Hang up')
  const element = h('li', {}, h('div', { class: 'who' }, link, h('br'), state), legs.map(([, v]) => v.element), h('div', { class: 'buttons' }, end))
  return {
    element,
    update(l) {
      const [a, b] = who(l)
      set(link, `${a} → ${b}`)
      end.setAttribute('aria-label', `Hang up ${a} to ${b}`)
      set(state, [plain(l.state), l.answer ? long(l.duration_ms) : 'since ' + clock(l.attempt), l.trunk && 'trunk ' + l.trunk].filter(Boolean).join(' · '))
      const now = new Map(legsOf(l))
      for (const [name, v] of legs) if (now.has(name)) v.update(l.call, now.get(name))
    },
  }
}

const hangup = id => order(`/calls/${encodeURIComponent(id)}/hangup`, 'End this call? Both sides are hung up on.', 'Hang up', 'The call was ended.')

// ---- pages

function lightItem(item) {
  const l = light(item.state), count = h('span', { class: 'small soft' })
  const text = h('span', { class: 'small wide soft' }), problem = h('span', { class: 'small wide problem' })
  const element = h('li', {}, l, h('span', { class: 'top' }, h('span', { class: 'name' }, item.domain && !item.name ? item.domain : item.name), count), text, problem)
  const words = { up: 'up', down: 'down', unknown: 'not asked whether it is there' }
  return {
    element,
    update(i) {
      l.className = 'light ' + i.state
      set(count, `${i.calls}${i.max_calls ? ' of ' + i.max_calls : ''} call${i.calls === 1 && !i.max_calls ? '' : 's'}`)
      set(text, [words[i.state], i.name ? 'trunk at ' + (i.address || 'wherever it connects from') + (i.transport ? ' ' + i.transport : '') : 'component of ' + i.server, i.registration && 'registration ' + plain(i.registration)].filter(Boolean).join(' · '))
      set(problem, i.problem || '')
      problem.hidden = !i.problem
    },
  }
}

const pages = {
  overview() {
    const lights = h('ul', { class: 'lights' }), calls = h('ul', { class: 'calls' })
    const head = h('h2', {}, 'Calls now'), none = h('p', { class: 'soft' }, 'There is no call.')
    let first = true
    const hours = h('select', { class: 'short', 'aria-label': 'How far back', onchange: () => figures() }, [[1, 'last hour'], [6, 'last 6 hours'], [24, 'last 24 hours']].map(([v, t]) => h('option', { value: v, selected: v === 24 }, t)))
    const one = v => Number.isInteger(v) ? String(v) : v.toFixed(v < 10 ? 1 : 0)
    const all = [
      chart('Calls at once', 'area', [{ field: 'calls', name: 'calls', colour: 'a' }], one),
      chart('What became of calls', 'bars', [
        { field: 'answered', name: 'answered', colour: 'good' }, { field: 'unanswered', name: 'not answered', colour: 'none' },
        { field: 'failed', name: 'failed', colour: 'bad' }, { field: 'refused', name: 'refused', colour: 'fair' },
      ], one),
      chart('Quality (mean opinion score)', 'line', [{ field: 'mos_xmpp', name: 'XMPP', colour: 'xmpp', range: [1, 4.5] }, { field: 'mos_sip', name: 'SIP', colour: 'sip' }], v => v.toFixed(1)),
      chart('Time until it rings', 'line', [{ field: 'setup_s', name: 'seconds', colour: 'a' }], v => v < 1 ? (v * 1000).toFixed(0) + ' ms' : v.toFixed(v < 10 ? 1 : 0) + ' s'),
    ]
    main.replaceChildren(
      h('h1', { class: 'hide' }, 'Overview'),
      h('section', { 'aria-label': 'Component and trunks' }, lights),
      h('section', {}, head, none, calls),
      h('section', {}, h('div', { class: 'buttons head' }, h('h2', {}, 'How it was'), hours), h('div', { class: 'charts' }, all.map(c => c.element))),
    )
    async function figures() {
      const of = Number(hours.value)
      try {
        const data = await ask(`/figures?hours=${of}&step=${of * 3600 / 144}`)
        for (const c of all) c.update(data, of)
      } catch { /* the state says it */ }
    }
    figures()
    const timer = setInterval(figures, 30000)
    leave = () => clearInterval(timer)
    hear = m => {
      const { components, trunks } = m.status
      if (first && new Date() - new Date(m.status.since) < 7200e3) { // of one that is young, there is no day to see
        hours.value = 1
        figures()
      }
      first = false
      keyed(lights, [...components, ...trunks], i => (i.name ? 't' + i.name : 'c' + i.domain), lightItem)
      keyed(calls, m.calls, l => l.call, liveCall)
      none.hidden = m.calls.length > 0
      set(head, m.status.calls > m.calls.length ? `Calls now: the newest ${m.calls.length} of ${m.status.calls}` : `Calls now: ${m.status.calls}`)
    }
  },

  calls(which) {
    const body = h('div', { class: 'scroll' })
    const search = h('input', { type: 'search', placeholder: 'number, address, trunk, outcome…', 'aria-label': 'Search', oninput: () => draw() })
    main.replaceChildren(h('section', {},
      h('h1', {}, 'Calls'),
      h('div', { class: 'tabs' }, h('a', { href: '#/calls', 'aria-current': which ? null : 'true' }, 'Ended'), h('a', { href: '#/calls/refused', 'aria-current': which ? 'true' : null }, 'Not begun')),
      search, body))
    let lines = null, mark = null
    const row = which ? refusedRow : endedRow
    const heads = which ? ['Time', 'Caller', 'Callee', 'From', 'Why'] : ['Time', 'Who', 'Trunk', 'Outcome', 'Talked', 'Quality']
    function draw() {
      if (!lines) return
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
      const shown = lines.filter(l => { const text = JSON.stringify(l).toLowerCase(); return words.every(w => text.includes(w)) }).slice(-200).reverse()
      body.replaceChildren(shown.length ? h('table', { class: 'stack' }, h('thead', {}, h('tr', {}, heads.map(t => h('th', { scope: 'col' }, t)))), h('tbody', {}, shown.map(row))) : h('p', { class: 'soft' }, words.length ? 'None is like that.' : which ? 'No call was turned away.' : 'No call has ended yet.'))
    }
    hear = async m => {
      if (m.ended === mark) return
      mark = m.ended
      try {
        lines = await ask(which ? '/refused' : '/calls?ended=1&limit=500')
        draw()
      } catch (e) { toast(e.message) }
    }
  },

  call(id) {
    const title = h('h1', {}, 'Call'), sub = h('p', { class: 'soft' }), why = h('div'), legs = h('div', { class: 'two' }), facts = h('dl', { class: 'facts' })
    const mask = h('input', { type: 'checkbox', onchange: () => ladder() })
    const end = h('button', { class: 'danger', type: 'button', hidden: true, disabled: !may.orders, onclick: () => hangup(id) }, 'Hang up')
    const picture = h('div', { class: 'ladder', role: 'region', 'aria-label': 'Ladder of messages', tabindex: 0 }), raw = h('pre', { hidden: true, tabindex: 0, 'aria-live': 'polite', 'aria-label': 'The message' })
    const text = h('pre', { tabindex: 0 }), details = h('details', {}, h('summary', {}, 'The ladder as text'), text)
    const pcap = h('a', { class: 'button', download: `${id}.pcapng` }, 'For Wireshark')
    const json = h('a', { class: 'button', download: `${id}.json` }, 'As JSON')
    main.replaceChildren(
      h('p', {}, h('a', { href: '#/calls' }, '← Calls')),
      h('section', {}, title, sub, why, h('div', { class: 'buttons' }, end)),
      h('section', {}, h('h2', {}, 'Both sides'), legs),
      h('section', {}, h('h2', {}, 'The call'), facts),
      h('section', {}, h('h2', {}, 'Ladder'), h('div', { class: 'buttons' }, h('label', { class: 'check' }, mask, 'Hide persons, numbers and addresses'), pcap, json), h('p', { class: 'small soft' }, 'Choose a message to read it whole.'), picture, raw, details),
    )
    const path = `/calls/${encodeURIComponent(id)}`
    let done = false
    async function look() {
      let l
      try { l = await ask(path) } catch (e) {
        set(title, 'This call is not known')
        set(sub, e.message)
        done = true
        return
      }
      const [a, b] = who(l)
      set(title, `${a} → ${b}`)
      set(sub, [l.end ? plain(l.outcome) : plain(l.state), day(l.attempt), l.answer && 'talked ' + long(l.duration_ms)].filter(Boolean).join(' · '))
      end.hidden = Boolean(l.end)
      legs.replaceChildren(...legsOf(l).map(([name, leg]) => h('div', { class: 'card' }, h('h2', {}, name), legFacts(leg))))
      facts.replaceChildren(...pairs({
        Call: h('span', { class: 'mono' }, l.call), Trunk: l.trunk, Rule: l.rule, Attempt: day(l.attempt), 'Rang after': l.pdd_ms >= 0 ? `${(l.pdd_ms / 1000).toFixed(2)} s` : '',
        'SIP from': l.sip_from, 'SIP to': l.sip_to, 'XMPP user': l.xmpp_user, 'XMPP peer': l.xmpp_peer, 'Ended by': l.ended_by, 'SIP status': l.sip_code, 'Q.850': l.q850, 'Jingle reason': l.jingle_reason,
      }))
      for (const t of l.transfers || []) facts.append(...pairs({ [t.done ? 'Transferred' : 'Transfer failed']: `${day(t.time)} to ${address(t.to)}${t.cause ? ': ' + plain(t.cause) : ''}` }))
      if (l.end && !done) {
        done = true
        const w = await ask(`${path}/why?lang=${encodeURIComponent(navigator.language)}`)
        why.replaceChildren(h('div', { class: 'say', lang: w.language }, h('p', {}, w.explain), w.advice && h('p', { class: 'soft' }, w.advice)))
        ladder()
      }
    }
    async function ladder() {
      const q = mask.checked ? '&mask=1' : ''
      pcap.href = `/api${path}/pcap?${q.slice(1)}`
      json.href = `/api${path}/ladder?format=json${q}`
      try {
        const [svg, words] = await Promise.all([ask(`${path}/ladder?format=svg${q}`, { as: 'text' }), ask(`${path}/ladder?format=text${q}`, { as: 'text' })])
        drawLadder(picture, raw, svg)
        set(text, words)
      } catch (e) { picture.replaceChildren(h('p', { class: 'soft' }, e.message)) }
    }
    look().then(ladder)
    let state = ''
    hear = m => {
      const l = m.calls.find(c => c.call === id)
      if (done) return
      const now = l ? l.state : 'gone'
      look()
      if (now !== state) ladder()
      state = now
    }
  },

  route() {
    const number = h('input', { name: 'number', required: true, autocomplete: 'off', placeholder: '+49 30 123456' }), as = h('input', { name: 'as', required: true, autocomplete: 'off', placeholder: 'romeo@example.org' })
    const trunk = h('select', { name: 'trunk', onchange: hint }, h('option', { value: '' }, 'an XMPP user')), domain = h('select', { name: 'domain' }, h('option', { value: '' }, 'the first that fits'))
    const result = h('div', { 'aria-live': 'polite' }), asLabel = h('span', {}, 'Who calls (JID)')
    function hint() {
      set(asLabel, trunk.value ? 'Who calls (number or SIP address)' : 'Who calls (JID)')
      as.placeholder = trunk.value ? '+33142685300' : 'romeo@example.org'
    }
    main.replaceChildren(h('section', {},
      h('h1', {}, 'Where would a call go?'), h('p', { class: 'soft' }, 'Nobody is called. The answer is that of the gateway as it is now, rule by rule.'),
      h('form', { class: 'fields', onsubmit: go }, h('label', {}, 'Number or address', number), h('label', {}, 'The call comes from', trunk), h('label', {}, asLabel, as), h('label', {}, 'Component', domain), h('button', { class: 'main' }, 'Try')), result))
    number.focus()
    hear = m => {
      if (trunk.options.length === 1) trunk.append(...m.status.trunks.map(t => h('option', { value: t.name }, 'trunk ' + t.name)))
      if (domain.options.length === 1) domain.append(...m.status.components.map(c => h('option', {}, c.domain)))
      domain.parentElement.hidden = m.status.components.length < 2
    }
    async function go(e) {
      e.preventDefault()
      try {
        const r = await ask('/route?' + new URLSearchParams({ number: number.value, as: as.value, trunk: trunk.value, domain: domain.value }))
        const place = o => (o.trunk ? `trunk ${o.trunk}, ` : '') + o.target
        result.replaceChildren(h('div', {}, h('div', { class: 'say' },
          h('p', {}, light(r.allowed ? 'up' : 'down'), ' ', r.allowed ? (r.trunk ? `It goes to trunk ${r.trunk}.` : `It rings at ${r.target}.`) : 'It is refused.'),
          r.allowed && h('dl', { class: 'facts' }, pairs({ 'What is sent': h('span', { class: 'mono' }, (r.trunk ? 'INVITE ' : '') + r.target), From: h('span', { class: 'mono' }, r.from), Announcements: r.early_media && 'the caller is answered first, to hear them' }))),
        h('h2', {}, 'Why'), h('ol', { class: 'steps' }, (r.why || []).map(w => h('li', {}, w))),
        r.others && h('div', {}, h('h2', {}, 'After that'), h('ul', { class: 'steps' }, r.others.map(o => h('li', {}, place(o) + (o.after ? `, after ${o.after}` : o.telephone ? '' : ', if the one before fails'))))),
        r.unanswered && h('p', {}, `Unanswered for ${r.patience}, it goes to ${r.unanswered.map(place).join(' and ')}.`)))
      } catch (err) { result.replaceChildren(h('p', { class: 'problem' }, err.message)) }
    }
  },

  system() {
    const facts = h('dl', { class: 'facts' }), causes = h('ul', { class: 'causes' }), fine = h('p', { class: 'soft' }, 'Nothing is wrong.')
    const changed = h('ul', { class: 'steps' }), news = h('section', { hidden: true, 'aria-live': 'polite' }, h('h2', {}, 'What has changed'), changed)
    const orders = !may.orders
    async function reload() {
      const r = await order('/reload', 'Read the configuration again? No call is touched.', 'Reload', a => a.changes.length ? 'The configuration is read again.' : 'Nothing has changed.')
      if (!r) return
      const value = v => v || 'nothing'
      changed.replaceChildren(...r.changes.map(c => h('li', {}, h('span', { class: 'mono' }, c.path), c.restart ? h('strong', { class: 'fair' }, ' needs a restart: not applied') : `: ${value(c.old)} → ${value(c.new)}`)))
      news.hidden = !r.changes.length
    }
    main.replaceChildren(
      h('section', {}, h('h1', {}, 'System'), facts),
      h('section', {}, h('h2', {}, 'What does not work'), fine, causes),
      h('section', {}, h('h2', {}, 'Orders'), orders && h('p', { class: 'soft' }, may.token ? 'Orders want you to sign in.' : 'This console only shows. With console.token_file set, it takes orders from who knows the token.'),
        h('div', { class: 'buttons' },
          h('button', { type: 'button', disabled: orders, onclick: reload }, 'Reload configuration'),
          h('button', { type: 'button', class: 'danger', disabled: orders, onclick: () => order('/drain', 'Refuse new calls, and stop the gateway when the last has ended?', 'Drain and stop', a => `New calls are refused; ${a.calls} to end.`) }, 'Drain and stop'),
          may.token && h('button', { type: 'button', onclick: async () => { may = await ask('/session/end', { method: 'POST' }); start() } }, 'Sign out'))),
      news,
    )
    hear = m => {
      const s = m.status
      facts.replaceChildren(...pairs({ Version: s.version, State: s.state, 'Up since': day(s.since), Calls: String(s.calls), 'SIP sockets': (s.sockets || []).join(', ') }))
      causes.replaceChildren(...(s.causes || []).map(c => h('li', {}, c)))
      fine.hidden = (s.causes || []).length > 0
    }
  },
}

function pairs(of) {
  return Object.entries(of).filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false).flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, typeof v === 'number' ? String(v) : v)])
}

function legFacts(l) {
  const score = v => v ? h('span', { class: 'mos ' + classOf(v) }, `${v.toFixed(1)} ${wordOf(v)}`) : ''
  return h('dl', { class: 'facts' }, pairs({
    'Quality in': score(l.mos_rx), 'Quality out': score(l.mos_tx), Codec: l.codec, Protection: l.srtp, Ours: l.local, Theirs: l.remote,
    Received: `${l.rx_packets} packets`, Sent: `${l.tx_packets} packets`, Lost: l.lost > 0 ? `${l.lost} packets` : '', Jitter: l.jitter_ms ? `${l.jitter_ms} ms` : '', 'Round trip': l.rtt_ms ? `${l.rtt_ms} ms` : '',
    'First packet': l.first_packet_ms ? `after ${(l.first_packet_ms / 1000).toFixed(2)} s` : '', Heard: l.one_way ? h('span', { class: 'bad' }, 'no packet ever came from there') : '',
  }))
}

function endedRow(l) {
  const [a, b] = who(l), scores = legsOf(l).map(([, leg]) => leg.mos_rx).filter(Boolean), worst = Math.min(...scores)
  return h('tr', {}, h('td', { class: 'num' }, day(l.attempt)), h('td', { class: 'wide' }, h('a', { href: callPath(l.call) }, `${a} → ${b}`)), h('td', {}, l.trunk || ''), h('td', { title: l.explain || null }, plain(l.outcome)), h('td', { class: 'num', 'data-head': 'talked' }, l.answer ? long(l.duration_ms) : ''), h('td', { class: 'num ' + (scores.length ? classOf(worst) : '') }, scores.length ? `${worst.toFixed(1)} ${wordOf(worst)}` : ''))
}

function refusedRow(r) {
  const time = r.call ? h('a', { href: callPath(r.call) }, day(r.time)) : day(r.time)
  return h('tr', {}, h('td', { class: 'num' }, time), h('td', {}, address(r.caller)), h('td', { class: 'wide' }, address(r.callee)), h('td', {}, r.trunk || r.from), h('td', { class: 'wide' }, [plain(r.outcome), r.text, r.rules].filter(Boolean).join(' – ')))
}

// drawLadder shows the gateway's own drawing. It is parsed as a picture, and nothing but shapes
// and text is taken from it.
function drawLadder(place, raw, text) {
  const doc = new DOMParser().parseFromString(text, 'image/svg+xml')
  const svg = doc.documentElement
  if (svg.nodeName !== 'svg' || doc.querySelector('script,foreignObject,a,image,use,style')) {
    place.replaceChildren(h('p', { class: 'soft' }, 'There is no drawing.'))
    return
  }
  raw.hidden = true
  const shown = document.importNode(svg, true)
  shown.removeAttribute('height')
  for (const g of shown.querySelectorAll('g')) {
    const whole = g.querySelector('title')?.textContent
    if (!whole) continue
    g.setAttribute('tabindex', 0)
    g.setAttribute('role', 'button')
    g.setAttribute('aria-label', g.querySelector('text')?.textContent)
    const show = () => {
      for (const other of shown.querySelectorAll('[aria-pressed]')) other.removeAttribute('aria-pressed')
      g.setAttribute('aria-pressed', 'true')
      set(raw, whole)
      raw.hidden = false
      raw.scrollTop = 0
    }
    g.addEventListener('click', show)
    g.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); show() } })
  }
  place.replaceChildren(shown)
}

// ---- the whole

function login() {
  document.querySelector('nav').hidden = true
  const token = h('input', { type: 'password', autocomplete: 'current-password', required: true }), wrong = h('p', { class: 'problem', role: 'alert' })
  main.replaceChildren(h('section', {}, h('h1', {}, 'Sign in'), h('p', { class: 'soft' }, 'The token is in the file that console.token_file names.'),
    h('form', { class: 'fields', onsubmit: async e => {
      e.preventDefault()
      try {
        may = await ask('/session', { method: 'POST', body: { token: token.value } })
        start()
      } catch (err) { set(wrong, err.message) }
    } }, h('label', {}, 'Token', token), h('button', { class: 'main' }, 'Sign in')), wrong))
  token.focus()
}

function state(text, kind) {
  const p = document.getElementById('state')
  p.firstElementChild.className = 'light ' + kind
  set(p.lastElementChild, text)
}

function show() {
  if (!may.in) return
  leave()
  leave = hear = () => {}
  document.querySelector('nav').hidden = false
  const [page, arg] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent)
  const name = page in pages ? page : 'overview'
  for (const a of document.querySelectorAll('nav a')) {
    if (a.dataset.page === (name === 'call' ? 'calls' : name)) a.setAttribute('aria-current', 'page')
    else a.removeAttribute('aria-current')
  }
  pages[name](arg)
  document.title = (name === 'overview' ? '' : name[0].toUpperCase() + name.slice(1) + ' – ') + 'sipxmppgw'
  if (moment) hear(moment)
}

function listen() {
  stream?.close()
  stream = new EventSource('/api/events')
  stream.addEventListener('now', e => {
    moment = JSON.parse(e.data)
    const s = moment.status
    remember(moment)
    const words = { up: 'all is well', degraded: s.causes[0], down: s.causes[0] || 'down', draining: 'draining' }
    state(`${words[s.state] ?? s.state} · ${s.calls} call${s.calls === 1 ? '' : 's'}`, s.state)
    hear(moment)
  })
  stream.addEventListener('error', async () => {
    state('the gateway does not answer', 'unknown')
    if (stream.readyState === EventSource.CLOSED) { // it was refused: find out why, and try again
      try { may = await ask('/session') } catch { /* it is away */ }
      setTimeout(may.in ? listen : start, 3000)
    }
  })
}

async function start() {
  stream?.close()
  try { may = await ask('/session') } catch {
    state('the gateway does not answer', 'unknown')
    setTimeout(start, 3000)
    return
  }
  if (!may.in) {
    state('signed out', 'unknown')
    login()
    return
  }
  listen()
  show()
}

addEventListener('hashchange', () => {
  if (location.hash === '#main') return
  show()
  scrollTo(0, 0)
})
start()
