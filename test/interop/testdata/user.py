"""A user on slixmpp, who does what the lines of standard input say, one after the other, and prints
what comes of each in one line:

    register FIELD=VALUE...     fills in the form of XEP-0077, or removes the registration: register remove
    command NODE FIELD=VALUE... carries out a command of XEP-0050
    commands                    the nodes that there are
    form                        the form of XEP-0077 as it is shown
    say TEXT                    writes to the gateway
    write JID TEXT              writes to somebody, who is asked for a receipt (XEP-0184)
    correct JID TEXT            writes it anew (XEP-0308)
    link JID URL                sends where a file is (XEP-0066)
    type JID STATE              says whether one composes (XEP-0085)
    watch JID                   asks to see somebody's presence
    show SHOW STATUS            says how one is
    roster                      the contacts that the server keeps for the user, with names
    dial NUMBER                 calls a number (XEP-0353, XEP-0166), until it has answered
    answer                      takes the next call; prints "waiting", and what came of it
    hangup                      ends it

Calls are signalling alone: no packet of sound is sent.

What the gateway writes is printed as it comes, after "heard "; what contacts there write, say of
themselves and have read, after "heard " and their JID.

    user.py JID PASSWORD PORT GATEWAY
"""
import asyncio
import secrets
import shlex
import sys

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0004 import Form
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

JINGLE = "urn:xmpp:jingle:1"
JMI = "urn:xmpp:jingle-message:0"

# What the user offers, and answers: G.711 over ICE and DTLS-SRTP at a port of nobody's.
CONTENT = """<content xmlns='urn:xmpp:jingle:1' creator='initiator' name='%s' senders='both'>
<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='8' name='PCMA' clockrate='8000'/>
<payload-type id='0' name='PCMU' clockrate='8000'/><payload-type id='101' name='telephone-event' clockrate='8000'/><rtcp-mux/></description>
<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='slix' pwd='slixmppslixmppslixmpp00'>
<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='%s'>""" + ":".join(["AB"] * 32) + """</fingerprint>
<candidate component='1' foundation='1' generation='0' id='c1' ip='127.0.0.1' network='0' port='9' priority='2130706431' protocol='udp' type='host'/>
</transport></content>"""


class User(slixmpp.ClientXMPP):
    def __init__(self, jid, password, gateway):
        super().__init__(jid, password)
        self.gateway = gateway
        self.commands = asyncio.Queue()
        self.proposals, self.answers, self.presences = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        self.peer = self.sid = self.written = None
        for plugin in ("xep_0004", "xep_0030", "xep_0050", "xep_0066", "xep_0077", "xep_0085", "xep_0184", "xep_0203", "xep_0308"):
            self.register_plugin(plugin)
        self["xep_0077"].create_account = False
        self["feature_mechanisms"].unencrypted_plain = True
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.heard)
        self.add_event_handler("message_error", lambda m: self.told(m, "error %s %s" % (m["error"]["condition"], m["id"])))
        self.add_event_handler("receipt_received", lambda m: self.told(m, "receipt" if m["receipt"] == self.written else "receipt of another"))
        for state in ("active", "composing", "paused", "inactive", "gone"):
            self.add_event_handler("chatstate_" + state, self.composes)
        for kind in ("available", "unavailable", "subscribed"):
            self.add_event_handler("presence_" + kind, self.seen)
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))
        for name in ("propose", "proceed", "reject"):
            self.register_handler(Callback(name, MatchXPath("{jabber:client}message/{%s}%s" % (JMI, name)), self.word))
        self.register_handler(Callback("jingle", MatchXPath("{jabber:client}iq/{%s}jingle" % JINGLE), self.jingle))

    async def start(self, _):
        self.send_presence()
        await self.get_roster()
        say("ready")
        while True:
            words = shlex.split(await self.commands.get())
            try:
                say(await getattr(self, "do_" + words[0])(*words[1:]))
            except IqError as e:
                say("error %s %s %s" % (e.condition, e.etype, e.text or "-"))
            except IqTimeout:
                say("timeout")
            except Exception as e:  # the test reads it
                say("failed %r" % e)

    def heard(self, m):
        if m["body"] and m["from"].bare == self.gateway:
            say("heard " + m["body"])
        elif m["body"]:
            self.told(m, "says " + m["body"])

    def told(self, stanza, what):
        if stanza["from"].domain == self.gateway:
            say("heard %s %s" % (stanza["from"].bare, what))

    def composes(self, m):
        if not m["body"]:
            self.told(m, "is " + m["chat_state"])

    def seen(self, p):
        if p["from"] == self.gateway:
            self.presences.put_nowait(p)
        self.told(p, ("is %s %s" % (p["type"], p["status"])).strip())

    def word(self, message):
        proposed = message.xml.find("{%s}propose" % JMI) is not None
        (self.proposals if proposed else self.answers).put_nowait(message)

    def jingle(self, iq):
        if iq["type"] == "set":
            iq.reply().send()
            self.answers.put_nowait(iq)

    async def comes(self, queue, name):
        """waits for a word of a call, whatever else comes"""
        while True:
            stanza = await asyncio.wait_for(queue.get(), 30)
            for child in stanza.xml:
                if name != "propose" and self.sid not in (child.get("id"), child.get("sid")):
                    continue  # of another call
                if child.tag.rpartition("}")[2] == name or child.get("action") == name:
                    return stanza, child
                if name == "proceed" and child.tag.endswith("}reject"):
                    raise RuntimeError("rejected")

    def message(self, to, text):
        self.send_raw("<message xmlns='jabber:client' type='chat' id='%s' to='%s'>%s</message>" % (secrets.token_hex(8), to, text))

    async def session(self, action, content=""):
        iq = self.make_iq_set(ito=self.peer)
        role = "initiator" if action == "session-initiate" else "responder"
        iq.xml.append(slixmpp.xmlstream.ET.fromstring(
            "<jingle xmlns='%s' action='%s' sid='%s' %s='%s'>%s</jingle>" % (JINGLE, action, self.sid, role, self.boundjid.full, content)))
        await iq.send(timeout=20)

    def form(self, fields):
        form = Form()
        form["type"] = "submit"
        for field in fields:
            name, value = field.split("=", 1)
            form.add_field(var=name, value=value)
        return form

    async def do_register(self, *fields):
        iq = self.make_iq_set(ito=self.gateway)
        if fields == ("remove",):
            iq["register"]["remove"] = True
        else:
            iq["register"].append(self.form(fields))
        await iq.send(timeout=40)
        return "done"

    async def do_form(self):
        iq = await self["xep_0077"].get_registration(jid=self.gateway, timeout=40)
        registered = "registered " if iq["register"]["registered"] else ""
        return registered + str(iq)

    async def do_commands(self):
        items = await self["xep_0050"].get_commands(self.gateway, timeout=40)
        return " ".join(sorted(node for _, node, _ in items["disco_items"]["items"]))

    async def do_command(self, node, *fields):
        payload = self.form(fields) if fields else None
        iq = await self["xep_0050"].send_command(self.gateway, node, payload=payload, timeout=40)
        notes = [kind + ": " + text for kind, text in iq["command"]["notes"]]
        return " ".join([iq["command"]["status"]] + notes)

    async def do_result(self, node, *fields):
        iq = await self["xep_0050"].send_command(self.gateway, node, payload=self.form(fields) if fields else None, timeout=40)
        values = iq.xml.findall(".//{jabber:x:data}field[@var='text']/{jabber:x:data}value")
        return "\n".join([iq["command"]["status"]] + [v.text or "" for v in values])

    async def do_subscribe(self):
        self.send_presence_subscription(pto=self.gateway)
        return "done"

    async def do_presence(self, *types):
        """waits until the gateway's own presence is of one of the types"""
        while True:
            p = await asyncio.wait_for(self.presences.get(), 40)
            if p["type"] in types:
                return "%s %s" % (p["type"], p["status"])

    async def do_say(self, text):
        self.send_message(mto=self.gateway, mbody=text, mtype="chat")
        return "said"

    async def writes(self, to, text, **more):
        m = self.make_message(mto=to, mbody=text, mtype="chat")
        m["id"] = secrets.token_hex(8)
        m["chat_state"] = "active"
        m["request_receipt"] = True
        for name, value in more.items():
            m[name]["id" if name == "replace" else "url"] = value
        if "replace" not in more:
            self.written = m["id"]
        m.send()
        return "written"

    async def do_write(self, to, text):
        return await self.writes(to, text)

    async def do_correct(self, to, text):
        return await self.writes(to, text, replace=self.written)

    async def do_link(self, to, url):
        return await self.writes(to, url, oob=url)

    async def do_type(self, to, state):
        m = self.make_message(mto=to, mtype="chat")
        m["chat_state"] = state
        m.send()
        return "typed"

    async def do_watch(self, jid):
        self.send_presence_subscription(jid)
        return "asked"

    async def do_show(self, show, status):
        self.send_presence(pshow=show, pstatus=status)
        return "shown"

    async def do_roster(self):
        iq = await self.get_roster()
        return " ".join(sorted("%s=%s:%s" % (jid, item["name"], item["subscription"]) for jid, item in iq["roster"]["items"].items()))


    async def do_dial(self, number):
        self.sid = secrets.token_hex(8)
        self.message(number + "@" + self.gateway, "<propose xmlns='%s' id='%s'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>" % (JMI, self.sid))
        proceed, _ = await self.comes(self.answers, "proceed")
        self.peer = proceed["from"].full
        await self.session("session-initiate", CONTENT % ("audio", "actpass"))
        await self.comes(self.answers, "session-accept")
        return "active"

    async def do_answer(self):
        self.proposals = asyncio.Queue()  # what is in the old one another device has had
        say("waiting")
        propose, word = await self.comes(self.proposals, "propose")
        self.peer, self.sid = propose["from"].full, word.get("id")
        self.message(self.peer, "<proceed xmlns='%s' id='%s'/>" % (JMI, self.sid))
        _, offer = await self.comes(self.answers, "session-initiate")
        name = offer.find("{%s}content" % JINGLE).get("name")
        await self.session("session-accept", CONTENT % (name, "active"))
        return "active"

    async def do_hangup(self):
        await self.session("session-terminate", "<reason><success/></reason>")
        return "done"


def say(text):
    print(str(text).replace("\n", "\\n"), flush=True)


async def main():
    jid, password, port, gateway = sys.argv[1:]
    user = User(jid, password, gateway)
    user.connect(("127.0.0.1", int(port)), disable_starttls=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await user.commands.put(line.decode().strip())
    await user.disconnect()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
