// Shows what a user's feed says. It is an example: EventSource cannot send a token in a header,
// so the stream is read with fetch.

const $ = id => document.getElementById(id)
let now = { devices: [], contacts: [], calls: [] }
let reading // AbortController of the stream

function row(list, cls, title, ...what) {
  const li = document.createElement('li')
  li.className = cls
  const strong = document.createElement('strong')
  strong.textContent = title
  const span = document.createElement('span')
  span.className = 'what'
  span.textContent = ' ' + what.filter(Boolean).join(' · ')
  li.append(strong, span)
  list.append(li)
}

const words = d => [d.show, d.activity && d.activity.replaceAll('-', ' '), d.text].filter(Boolean).join(', ')

function show() {
  for (const id of ['devices', 'contacts', 'calls']) $(id).replaceChildren()
  for (const d of now.devices) row($('devices'), 'open', d.name || 'a device', words(d))
  for (const c of now.contacts) {
    row($('contacts'), c.open ? 'open' : 'closed', c.address, c.open ? 'can be called' : 'not there', c.wish === 'pending' && 'asked', c.wish === 'denied' && 'refused', ...c.devices.map(words))
  }
  for (const c of now.calls.toReversed()) {
    row($('calls'), c.state, c.name || c.address || 'somebody', c.incoming ? 'in' : 'out', c.state, c.outcome, new Date(c.began).toLocaleTimeString())
  }
}

const put = (list, one, key) => {
  const i = list.findIndex(o => o[key] === one[key])
  if (i < 0) list.push(one)
  else list[i] = one
}

const take = {
  now: v => { now = v },
  devices: v => { now.devices = v },
  contact: v => {
    now.contacts = now.contacts.filter(c => c.jid !== v.jid)
    if (!v.over) now.contacts.push(v)
    now.contacts.sort((a, b) => a.jid < b.jid ? -1 : 1)
  },
  call: v => put(now.calls, v, 'call'),
}

// read takes one stream to its end.
async function read(user, token, signal) {
  const answer = await fetch('/users/' + encodeURIComponent(user) + '/events', { headers: { Authorization: 'Bearer ' + token }, signal })
  if (answer.status === 401) return 'That is not the token of this user.'
  if (!answer.ok) throw new Error((await answer.json()).error)
  $('state').textContent = 'Following ' + user + '.'
  const text = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await text.read()
    if (done) throw new Error('the stream has ended')
    const events = (rest + value).split('\n\n')
    rest = events.pop()
    for (const e of events) {
      const m = /^event: (\w+)\ndata: (.*)$/s.exec(e)
      if (m && take[m[1]]) take[m[1]](JSON.parse(m[2]))
    }
    show()
  }
}

$('who').addEventListener('submit', async e => {
  e.preventDefault()
  reading?.abort()
  const mine = reading = new AbortController()
  const { user, token } = Object.fromEntries(new FormData(e.target))
  for (let wait = 1; !mine.signal.aborted; wait = Math.min(2 * wait, 30)) {
    try {
      const refused = await read(user, token, mine.signal)
      $('state').textContent = refused
      return
    } catch (error) {
      if (mine.signal.aborted) return
      $('state').textContent = 'Not connected (' + error.message + '). Trying again.'
    }
    await new Promise(done => setTimeout(done, wait * 1000))
  }
})
