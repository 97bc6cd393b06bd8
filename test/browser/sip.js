// A SIP phone in the same page: JsSIP over a WebSocket (RFC 7118), registered if it has a password.
import JsSIP from 'jssip'

// The microphone as it is: its tone is measured at the other end.
const microphone = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false }
const calls = new Map() // by Call-ID
let phone

function report(type, data = {}) {
  window.report({ type, ...data })
}

// watch reports what becomes of a call.
function watch(session) {
  const sid = session.request?.call_id ?? session._request.call_id
  calls.set(sid, session)
  const from = session.remote_identity.uri.toString()
  session.on('progress', () => report('sip-progress', { sid, from }))
  session.on('failed', e => report('sip-failed', { sid, from, reason: e.cause, state: String(e.message?.status_code ?? '') }))
  session.on('confirmed', () => report('sip-confirmed', { sid, from }))
  session.on('ended', e => report('sip-ended', { sid, from, reason: e.cause }))
  return { sid, from }
}

export const sip = {
  connectSIP: ({ url, uri, password }) => new Promise((resolve, reject) => {
    phone = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)], uri, password, register: password !== undefined, session_timers: false,
    })
    if (password === undefined) phone.on('connected', () => resolve(true))
    phone.on('registered', () => resolve(true))
    phone.on('registrationFailed', e => reject(new Error('not registered: ' + e.cause)))
    phone.on('disconnected', () => reject(new Error('no connection to ' + url)))
    phone.on('newRTCSession', ({ originator, session }) => {
      if (originator === 'remote') report('sip-incoming', watch(session))
    })
    phone.start()
  }),
  closeSIP() { phone.stop() },

  // options asks what is there, and returns the status.
  options: target => new Promise(resolve => {
    const done = e => resolve(e.response?.status_code ?? 0)
    phone.sendOptions(target, '', { eventHandlers: { succeeded: done, failed: done } })
  }),
  callSIP(target) {
    return watch(phone.call(target, { mediaConstraints: microphone })).sid
  },
  refuseSIP(sid, status) { calls.get(sid).terminate({ status_code: status }) },
  async answerSIP(sid) { calls.get(sid).answer({ mediaConstraints: microphone }) },
  // heardSIP counts the packets that arrived.
  async heardSIP(sid) {
    let packets = 0
    for (const s of (await calls.get(sid).connection.getStats()).values()) if (s.type === 'inbound-rtp') packets += s.packetsReceived
    return packets
  },
  endSIP(sid) { calls.get(sid).terminate() },
}
