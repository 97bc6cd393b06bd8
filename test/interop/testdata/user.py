"""A user on slixmpp, who does what the lines of standard input say, one after the other, and prints
what comes of each in one line:

    register FIELD=VALUE...     fills in the form of XEP-0077, or removes the registration: register remove
    command NODE FIELD=VALUE... carries out a command of XEP-0050
    commands                    the nodes that there are
    form                        the form of XEP-0077 as it is shown
    say TEXT                    writes to the gateway
    roster                      the contacts that the server keeps for the user, with names

What the gateway writes is printed as it comes, after "heard ".

    user.py JID PASSWORD PORT GATEWAY
"""
import asyncio
import shlex
import sys

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0004 import Form


class User(slixmpp.ClientXMPP):
    def __init__(self, jid, password, gateway):
        super().__init__(jid, password)
        self.gateway = gateway
        self.commands = asyncio.Queue()
        for plugin in ("xep_0004", "xep_0030", "xep_0050", "xep_0077"):
            self.register_plugin(plugin)
        self["xep_0077"].create_account = False
        self["feature_mechanisms"].unencrypted_plain = True
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.heard)
        self.add_event_handler("failed_auth", lambda _: say("failed_auth"))

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

    async def do_say(self, text):
        self.send_message(mto=self.gateway, mbody=text, mtype="chat")
        return "said"

    async def do_roster(self):
        iq = await self.get_roster()
        return " ".join(sorted("%s=%s:%s" % (jid, item["name"], item["subscription"]) for jid, item in iq["roster"]["items"].items()))


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
