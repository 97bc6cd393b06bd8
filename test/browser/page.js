// The XMPP user of the interop tests: stanza.js in a Chromium page.
//
// The page decides nothing that a test could want otherwise: it reports what happens, and
// does what it is told through window.peer. Only two things a person would also not decide
// happen by themselves: a proposal that was answered with "proceed" becomes a session, and
// the session of a proposal that this page proceeded with is accepted.
import * as XMPP from 'stanza'
import { exportToSDP, importFromSDP } from 'stanza/jingle/sdp/Intermediate'
import { convertIntermediateToRequest, convertRequestToIntermediate } from 'stanza/jingle/sdp/Protocol'
import { sip } from './sip.js'

const JMI = 'urn:xmpp:jingle-message:0' // stanza's own constant for it is wrong
const RTP = 'urn:xmpp:jingle:apps:rtp:1'

const stanzas = [] // every stanza as it was sent or received, with its time
const sessions = new Map() // Jingle sessions by sid
const meters = new Map() // what is heard in a session, by sid
const sources = new Map() // where it comes from
const tones = new Map() // digits heard in a session that is watched for them

// keypad is the program of an AudioWorklet that tells of each pair of DTMF's tones: one of
// either group, each far above the others, for two looks at least.
function keypad() {
  const low = [697, 770, 852, 941], high = [1209, 1336, 1477, 1633]
  const keys = ['123A', '456B', '789C', '*0#D']
  const size = 2048, step = 512 // samples looked at, and between two looks
  registerProcessor('keypad', class extends AudioWorkletProcessor {
    heard = new Float32Array(size)
    filled = 0
    last = ''
    now = ''
    quiet = 0

    process([[samples]]) {
      if (!samples) return true
      this.heard.copyWithin(0, samples.length)
      this.heard.set(samples, size - samples.length)
      this.filled += samples.length
      if (this.filled >= step) {
        this.filled -= step
        this.look()
      }
      return true
    }

    // level is that of one frequency, in dB below full scale (Goertzel, with Hann's window).
    level(frequency) {
      const c = 2 * Math.cos(2 * Math.PI * frequency / sampleRate)
      let a = 0, b = 0
      for (let i = 0; i < size; i++) {
        [a, b] = [this.heard[i] * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / size)) + c * a - b, a]
      }
      return 10 * Math.log10((a * a + b * b - c * a * b) * 16 / size / size + 1e-12)
    }

    look() {
      const levels = new Map([...low, ...high].map(f => [f, this.level(f)]))
      const loudest = list => list.reduce((a, b) => levels.get(a) >= levels.get(b) ? a : b)
      const l = loudest(low), h = loudest(high)
      const others = [...levels].filter(([f]) => f !== l && f !== h).map(([, level]) => level)
      const key = Math.min(levels.get(l), levels.get(h)) > Math.max(-60, Math.max(...others) + 12)
        ? keys[low.indexOf(l)][high.indexOf(h)] : ''
      if (key && key === this.last && key !== this.now) this.port.postMessage(this.now = key)
      this.quiet = key ? 0 : this.quiet + 1
      if (this.quiet === 4) this.now = '' // the next may be the same again
      this.last = key
    }
  })
}
const proposed = new Set() // our proposals that wait for "proceed"
const proceeded = new Set() // their proposals that we answered with "proceed"
const audio = new AudioContext()
let client

function report(type, data = {}) {
  window.report({ type, ...data })
}

function xml(text) {
  return new DOMParser().parseFromString(text, 'text/xml').documentElement
}

function send(text) {
  stanzas.push({ time: Date.now(), out: true, text })
  client.transport.socket.send(text)
}

// jmi sends one element of XEP-0353.
function jmi(to, name, sid, inner = '') {
  send(`<message xmlns="jabber:client" to="${to}" type="chat" id="jm-${name}-${sid}">` +
    `<${name} xmlns="${JMI}" id="${sid}">${inner}</${name}><store xmlns="urn:xmpp:hints"/></message>`)
}

function reasonOf(element) {
  const reason = [...element.children].find(c => c.localName === 'reason')
  if (!reason) return {}
  const condition = [...reason.children].find(c => c.localName !== 'text')
  const text = [...reason.children].find(c => c.localName === 'text')
  return { reason: condition?.localName ?? '', text: text?.textContent ?? '' }
}

// received reports what stanza.js does not: JMI, message errors, reasons with their text.
function received(text) {
  const stanza = xml(text)
  const from = stanza.getAttribute('from') ?? ''
  if (stanza.localName === 'message' && stanza.getAttribute('type') === 'error') {
    // What bounced need not come with it; the id tells.
    const error = [...stanza.children].find(c => c.localName === 'error')
    const sid = (stanza.getAttribute('id') ?? '').replace(/^jm-[a-z]+-/, '')
    report('bounced', { sid, from, reason: error?.firstElementChild?.localName ?? '' })
    return
  }
  for (const child of stanza.children) {
    const sid = child.getAttribute('id') ?? child.getAttribute('sid') ?? ''
    if (child.namespaceURI === JMI) {
      report(child.localName, { sid, from, ...reasonOf(child) })
      if (child.localName === 'proceed' && proposed.delete(sid)) peer.initiate(from, sid)
    } else if (child.localName === 'jingle' && child.getAttribute('action') === 'session-terminate') {
      report('terminate', { sid, from, ...reasonOf(child) })
    } else if (child.localName === 'jingle' && child.getAttribute('action') === 'session-info') {
      report('info', { sid, from, name: child.firstElementChild?.localName ?? '' })
    } else if (child.localName === 'jingle' && child.getAttribute('action') === 'transport-info') {
      sessions.get(sid)?.moving?.([...child.getElementsByTagName('transport')].find(t => t.getAttribute('pwd')))
    } else if (child.localName === 'jingle' && child.getAttribute('action') === 'content-modify') {
      report('modify', { sid, from, name: child.firstElementChild?.getAttribute('senders') ?? 'both' })
    }
  }
  if (stanza.localName === 'presence') {
    const caps = [...stanza.children].find(c => c.namespaceURI === 'http://jabber.org/protocol/caps')
    report('presence', { from, presence: stanza.getAttribute('type') ?? 'available', caps: caps?.getAttribute('ver') ?? '' })
  }
}

function microphone(video = false) {
  // Whatever cleans up speech takes a pure tone away.
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }
  return navigator.mediaDevices.getUserMedia({ audio: raw, video: video && camera })
}

const camera = { width: 320, height: 240, frameRate: 15 }

// watch plays pictures, so that they are decoded.
function watch(track) {
  const element = document.createElement('video')
  element.srcObject = new MediaStream([track])
  element.autoplay = true
  element.muted = true
  document.body.append(element)
}

// What a peer adds or takes in the middle of a call is not for stanza.js: the page does what
// a client of WebRTC would.

// heardAs returns what the peer has described so far, as an offer or an answer to ours.
function heardAs(session, type) {
  const all = importFromSDP(session.pc.remoteDescription.sdp)
  for (const m of all.media) {
    if (session.gone?.has(m.mid)) { // its line stays, with port 0
      m.iceParameters = m.dtlsParameters = m.setup = m.streams = m.rtpEncodingParameters = undefined
    }
    if (!m.setup) continue
    m.setup = type === 'offer' ? 'actpass' : session.passive ? 'active' : 'passive'
  }
  return all
}

// roleOf notes once who begins DTLS: it stays so.
function roleOf(session) {
  session.passive ??= /a=setup:passive/.test(session.pc.localDescription.sdp) ||
    /a=setup:active/.test(session.pc.remoteDescription.sdp)
}

async function hear(session, type, changes) {
  roleOf(session)
  const all = heardAs(session, type)
  for (const m of convertRequestToIntermediate(changes, session.peerRole).media) {
    m.setup &&= all.media[0].setup
    m.streams ??= [{ stream: 'legacy', track: m.kind }]
    const place = all.media.findIndex(x => x.mid === m.mid)
    if (place < 0) all.media.push(m)
    else all.media[place] = m
  }
  all.groups = [{ semantics: 'BUNDLE', mids: all.media.map(m => m.mid).filter(mid => !session.gone?.has(mid)) }]
  await session.pc.setRemoteDescription({ type, sdp: exportToSDP(all) })
}

// sayOf sends one content of what we describe now.
function sayOf(session, action, mid, creator) {
  const all = convertIntermediateToRequest(importFromSDP(session.pc.localDescription.sdp), session.role, session.transportType)
  const content = all.contents.find(c => c.name === mid)
  content.creator = creator
  session.send(action, { contents: [content], groups: all.groups })
}

function follows(session) {
  session.onContentAdd = async (changes, cb) => {
    cb()
    const { name, creator } = changes.contents[0]
    report('content-add', { sid: session.sid })
    if (session.refuses) {
      session.send('content-reject', { contents: [{ name, creator }], reason: { condition: 'decline' } })
      return
    }
    await hear(session, 'offer', changes)
    const [track] = (await navigator.mediaDevices.getUserMedia({ video: camera })).getTracks()
    session.pc.addTrack(track)
    await session.pc.setLocalDescription(await session.pc.createAnswer())
    sayOf(session, 'content-accept', name, creator)
  }
  session.onContentAccept = async (changes, cb) => {
    cb()
    try {
      await hear(session, 'answer', changes)
    } catch (e) {
      report('broken', { sid: session.sid, text: e.message })
      throw e
    }
    report('content-accept', { sid: session.sid })
  }
  session.onContentReject = async (changes, cb) => {
    cb()
    await session.pc.setLocalDescription({ type: 'rollback' })
    report('content-reject', { sid: session.sid, reason: changes.reason?.condition ?? '' })
  }
  session.onContentModify = (_, cb) => cb() // received tells of it
  session.onContentRemove = (changes, cb) => {
    cb()
    report('content-remove', { sid: session.sid })
  }
}

// listen makes what comes in measurable. Chromium feeds a remote track to WebAudio only
// while a media element plays it.
function listen(sid, track) {
  const stream = new MediaStream([track])
  const element = document.createElement('audio')
  element.srcObject = stream
  element.autoplay = true
  document.body.append(element)
  const meter = audio.createAnalyser()
  meter.fftSize = 8192
  meter.smoothingTimeConstant = 0
  sources.set(sid, audio.createMediaStreamSource(stream))
  sources.get(sid).connect(meter)
  meters.set(sid, meter)
  audio.resume()
}

function follow(session) {
  if (sessions.has(session.sid)) return
  sessions.set(session.sid, session)
  follows(session)
  session.pc.addEventListener('track', e => e.track.kind === 'audio' ? listen(session.sid, e.track) : watch(e.track))
  session.pc.addEventListener('connectionstatechange', () =>
    report('connection', { sid: session.sid, state: session.pc.connectionState }))
}

// speakOnly lets all sessions offer and take no audio codecs but these, and events.
function speakOnly(names) {
  const wanted = c => [...names, 'telephone-event'].some(n => c.mimeType.toLowerCase() === `audio/${n}`.toLowerCase())
  for (const method of ['createOffer', 'createAnswer']) {
    const create = RTCPeerConnection.prototype[method]
    RTCPeerConnection.prototype[method] = function (...args) {
      for (const t of this.getTransceivers()) {
        if (t.receiver.track.kind === 'audio') t.setCodecPreferences(RTCRtpReceiver.getCapabilities('audio').codecs.filter(wanted))
      }
      return create.apply(this, args)
    }
  }
}

const peer = window.peer = {
  // connect logs in and returns the full JID. With callable false the client says that it
  // knows no JMI, so that a caller has to come with session-initiate. With codecs it knows
  // no others. With a relay, that TURN server is the only way to it.
  async connect({ jid, password, url, resource, messages = true, codecs, relay }) {
    if (codecs) speakOnly(codecs)
    client = XMPP.createClient({
      jid, password, resource,
      transports: { websocket: url, bosh: false },
      useStreamManagement: false,
      jingle: relay ? { iceServers: [relay], iceTransportPolicy: 'relay' } : { iceServers: [] },
    })
    if (messages) client.disco.addFeature(JMI)
    client.on('raw', (direction, text) => {
      const out = direction === 'outgoing'
      stanzas.push({ time: Date.now(), out, text })
      if (!out) received(text)
    })
    client.on('jingle:created', s => s.pc && follow(s))
    client.on('jingle:incoming', s => {
      follow(s)
      report('initiate', { sid: s.sid, from: s.peerID })
      if (proceeded.delete(s.sid)) peer.accept(s.sid)
    })
    client.on('jingle:accepted', s => report('accepted', { sid: s.sid }))
    client.on('jingle:ringing', s => report('ringing-info', { sid: s.sid }))
    client.on('disconnected', () => report('disconnected'))
    await new Promise((resolve, reject) => {
      client.once('session:started', resolve)
      client.once('auth:failed', () => reject(new Error('wrong user or password')))
      client.connect()
    })
    await client.getRoster()
    client.updateCaps()
    // The server shows a client its own presence when others can reach it, and no sooner.
    const present = new Promise(resolve => {
      const see = p => {
        if (p.from !== client.jid) return
        client.off('presence', see)
        resolve()
      }
      client.on('presence', see)
    })
    client.sendPresence({ legacyCapabilities: client.disco.getCaps() })
    await present
    return client.jid
  },
  disconnect() { client.disconnect() },

  // The caller's part.
  propose(to) {
    const sid = crypto.randomUUID()
    proposed.add(sid)
    jmi(to, 'propose', sid, `<description xmlns="${RTP}" media="audio"/>`)
    return sid
  },
  retract(to, sid) {
    proposed.delete(sid)
    jmi(to, 'retract', sid, '<reason xmlns="urn:xmpp:jingle:1"><cancel/></reason>')
  },
  async initiate(to, sid = crypto.randomUUID(), video = false) {
    const session = client.jingle.createMediaSession(to, sid, await microphone(video))
    follow(session)
    await session.start({ offerToReceiveAudio: true, offerToReceiveVideo: video })
    return sid
  },

  // The callee's part.
  ring(from, sid) { jmi(from, 'ringing', sid) },
  proceed(from, sid) {
    proceeded.add(sid)
    jmi(from, 'proceed', sid)
  },
  reject(from, sid, reason = '') {
    jmi(from, 'reject', sid, reason && `<reason xmlns="urn:xmpp:jingle:1"><${reason}/></reason>`)
  },
  ringSession(sid) { return sessions.get(sid).ring() },
  async accept(sid) {
    const session = sessions.get(sid)
    const stream = await microphone(session.includesVideo)
    for (const track of stream.getTracks()) session.addTrack(track, stream)
    await session.accept()
  },

  // move begins a new ICE session (RFC 8445 section 2.4, XEP-0176 section 5.11), as a client does
  // whose network has changed, and waits for the peer's.
  async move(sid) {
    const session = sessions.get(sid)
    roleOf(session)
    const gathered = new Promise(resolve => session.pc.addEventListener('icegatheringstatechange', () =>
      session.pc.iceGatheringState === 'complete' && resolve()))
    await session.pc.setLocalDescription(await session.pc.createOffer({ iceRestart: true }))
    await gathered
    const theirs = new Promise(resolve => session.moving = t => t && resolve(t))
    const all = convertIntermediateToRequest(importFromSDP(session.pc.localDescription.sdp), session.role, session.transportType)
    const [{ name, creator, transport }] = all.contents
    session.send('transport-info', { contents: [{ name, creator, transport: { ...transport, fingerprints: [] } }] })
    const transportOf = await theirs
    session.moving = undefined
    const answer = heardAs(session, 'answer')
    for (const m of answer.media) {
      m.iceParameters = { usernameFragment: transportOf.getAttribute('ufrag'), password: transportOf.getAttribute('pwd') }
      m.candidates = []
    }
    await session.pc.setRemoteDescription({ type: 'answer', sdp: exportToSDP(answer) })
    for (const c of transportOf.getElementsByTagName('candidate')) {
      const [foundation, component, protocol, priority, ip, port, type] =
        ['foundation', 'component', 'protocol', 'priority', 'ip', 'port', 'type'].map(n => c.getAttribute(n))
      const candidate = `candidate:${foundation} ${component} ${protocol} ${priority} ${ip} ${port} typ ${type}`
      await session.pc.addIceCandidate({ sdpMid: answer.media[0].mid, candidate })
    }
  },

  // addVideo and removeVideo are the camera's button in a call.
  async addVideo(sid) {
    const session = sessions.get(sid)
    roleOf(session)
    const [track] = (await navigator.mediaDevices.getUserMedia({ video: camera })).getTracks()
    session.pc.addTrack(track)
    await session.pc.setLocalDescription(await session.pc.createOffer())
    sayOf(session, 'content-add', session.pc.getTransceivers().at(-1).mid, session.role)
  },
  removeVideo(sid) {
    const session = sessions.get(sid)
    const all = convertIntermediateToRequest(importFromSDP(session.pc.localDescription.sdp), session.role, session.transportType)
    const { name } = all.contents.findLast(c => c.application.media === 'video')
    session.gone ??= new Set()
    session.gone.add(name)
    session.pc.getTransceivers().find(t => t.mid === name).stop()
    session.send('content-remove', { contents: [{ name, creator: session.role }], reason: { condition: 'success' } })
  },
  // refuseVideo has the page reject what the peer adds.
  refuseVideo(sid) { sessions.get(sid).refuses = true },
  // sees counts the pictures of a session.
  async sees(sid) {
    const seen = { decoded: 0, keyDecoded: 0, lost: 0, width: 0, encoded: 0, keyEncoded: 0, plis: 0, firs: 0, asked: 0, codec: '' }
    const stats = await sessions.get(sid).pc.getStats()
    for (const s of stats.values()) {
      if (s.kind !== 'video') continue
      if (s.type === 'inbound-rtp') {
        seen.decoded += s.framesDecoded ?? 0
        seen.keyDecoded += s.keyFramesDecoded ?? 0
        seen.lost += s.packetsLost ?? 0
        seen.asked += (s.pliCount ?? 0) + (s.firCount ?? 0)
        seen.width = s.frameWidth ?? seen.width
        seen.codec = stats.get(s.codecId)?.mimeType ?? seen.codec
      } else if (s.type === 'outbound-rtp') {
        seen.encoded += s.framesEncoded ?? 0
        seen.keyEncoded += s.keyFramesEncoded ?? 0
        seen.plis += s.pliCount ?? 0
        seen.firs += s.firCount ?? 0
      }
    }
    return seen
  },
  // transfer sends the other party of a session on (XEP-0251).
  transfer(sid, to) {
    send(`<iq xmlns="jabber:client" type="set" id="tf-${sid}" to="${sessions.get(sid).peerID}">` +
      `<jingle xmlns="urn:xmpp:jingle:1" action="session-info" sid="${sid}">` +
      `<transfer xmlns="urn:xmpp:jingle:transfer:0" to="${to}"/></jingle></iq>`)
  },

  end(sid, reason = 'success') { sessions.get(sid).end(reason) },
  mute(sid, muted) {
    for (const sender of sessions.get(sid).pc.getSenders()) if (sender.track) sender.track.enabled = !muted
  },

  // hold and resume say so by session-info, and stop or start what is sent.
  hold(sid) { return sessions.get(sid).hold() },
  resume(sid) { return sessions.get(sid).resume() },
  // press sends digits as telephone-event (RFC 4733), one after the other.
  press(sid, digits, duration) {
    const sender = sessions.get(sid).pc.getSenders().find(s => s.dtmf)
    sender.dtmf.insertDTMF(digits, duration, 100)
  },
  // watchTones notes, until the session ends, what pairs of tones are heard. It listens where
  // the sound is rendered: what a busy page looks at now and then would miss short ones.
  async watchTones(sid) {
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([`(${keypad})()`], { type: 'text/javascript' })))
    const meter = new AudioWorkletNode(audio, 'keypad', { numberOfOutputs: 0 })
    const keysHeard = []
    tones.set(sid, keysHeard)
    meter.port.onmessage = event => keysHeard.push(event.data)
    sources.get(sid).connect(meter)
  },
  toned(sid) { return tones.get(sid).join('') },

  // hears measures what arrives: the loudest frequency in hertz, the level of the whole in
  // dB below full scale (RMS), what WebRTC counted, and how it is protected.
  async hears(sid) {
    const heard = { frequency: 0, level: -100, received: 0, sent: 0, lost: 0, codec: '', pair: '', way: '', far: '', tls: '', srtp: '' }
    const meter = meters.get(sid)
    if (meter) {
      const bins = new Float32Array(meter.frequencyBinCount)
      const samples = new Float32Array(meter.fftSize)
      meter.getFloatFrequencyData(bins)
      meter.getFloatTimeDomainData(samples)
      const power = samples.reduce((sum, v) => sum + v * v, 0) / samples.length
      heard.level = Math.max(-100, 10 * Math.log10(power))
      heard.frequency = bins.indexOf(Math.max(...bins)) * audio.sampleRate / meter.fftSize
    }
    const stats = await sessions.get(sid).pc.getStats()
    const candidate = id => `${stats.get(id)?.address}:${stats.get(id)?.port}`
    for (const s of stats.values()) {
      if (s.type.endsWith('bound-rtp') && s.kind !== 'audio') continue
      if (s.type === 'inbound-rtp') {
        heard.received = s.packetsReceived
        heard.lost = s.packetsLost
        heard.codec = stats.get(s.codecId)?.mimeType ?? ''
      } else if (s.type === 'outbound-rtp') {
        heard.sent = s.packetsSent
      } else if (s.type === 'transport') {
        heard.tls = s.tlsVersion ?? ''
        heard.srtp = s.srtpCipher ?? ''
        const pair = stats.get(s.selectedCandidatePairId) // of several that are nominated, the one in use
        if (!pair) continue
        heard.way = stats.get(pair.localCandidateId)?.candidateType ?? ''
        heard.far = stats.get(pair.remoteCandidateId)?.candidateType ?? ''
        heard.pair = `${candidate(pair.localCandidateId)} ${candidate(pair.remoteCandidateId)}`
      }
    }
    return heard
  },

  // What a client asks before it shows a call button.
  async features(jid) {
    const info = await client.getDiscoInfo(jid)
    return {
      identities: info.identities.map(i => `${i.category}/${i.type}`),
      features: info.features,
    }
  },
  subscribe(jid) { client.subscribe(jid) },
  // appear shows one address that this client is there, and what it can do.
  appear(jid) { client.sendPresence({ to: jid, legacyCapabilities: client.disco.getCaps() }) },

  stanzas() { return stanzas },

  ...sip,
}
