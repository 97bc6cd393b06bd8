// A Jingle client on QXmpp's QXmppCall, for the interop tests: it sends a tone and a test
// picture, and writes down what it hears.
//
//     qxmpp JID PASSWORD PORT TONE FOLDER
//
// Commands come as lines on standard input (appear JID, call JID, accept, video, hangup) and
// events go as lines to standard output: online, incoming JID, there JID, ringing, connected,
// added KIND, hears FILE, frames N, finished. What is heard is in WAV files in the folder.

#include <QCoreApplication>
#include <QSocketNotifier>
#include <QTimer>
#include <QXmppCall.h>
#include <QXmppCallManager.h>
#include <QXmppCallStream.h>
#include <QXmppClient.h>
#include <QXmppConfiguration.h>
#include <QXmppLogger.h>
#include <atomic>
#include <cstdio>
#include <QXmppPresence.h>
#include <gst/gst.h>
#include <iostream>
#include <string>

static std::atomic<int> frames{0}, files{0};

static void say(const QString &event)
{
    std::printf("%s\n", qPrintable(event));
    std::fflush(stdout);
}

static GstElement *part(QXmppCall *call, const QString &description)
{
    GstElement *bin = gst_parse_bin_from_description(description.toUtf8(), true, nullptr);
    gst_bin_add(GST_BIN(call->pipeline()), bin);
    return bin;
}

static void join(GstPad *from, GstPad *to, GstElement *bin)
{
    gst_pad_link(from, to);
    gst_element_sync_state_with_parent(bin);
}

static GstPadProbeReturn count(GstPad *, GstPadProbeInfo *, gpointer)
{
    if (++frames % 10 == 1)
        say(QString("frames %1").arg(frames.load()));
    return GST_PAD_PROBE_OK;
}

// feed gives a stream something to send, and a place for what it receives.
static void feed(QXmppCall *call, QXmppCallStream *stream, const QString &tone, const QString &folder)
{
    const bool audio = stream->media() == QLatin1String("audio");
    say("added " + stream->media());
    stream->setSendPadCallback([=](GstPad *pad) {
        GstElement *bin = part(call, audio
                ? "audiotestsrc is-live=true volume=0.355 samplesperbuffer=160 freq=" + tone + " ! audioconvert ! audioresample ! queue"
                : QString("videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert ! queue"));
        join(gst_element_get_static_pad(bin, "src"), pad, bin);
    });
    stream->setReceivePadCallback([=](GstPad *pad) {
        const QString file = folder + QString("/heard-%1.wav").arg(++files, 3, 10, QChar('0'));
        if (audio)
            say("hears " + file);
        GstElement *bin = part(call, audio
                ? "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=8000,channels=1 ! wavenc ! filesink buffer-mode=2 async=false sync=false location=" + file
                : QString("fakesink async=false sync=false"));
        GstPad *sink = gst_element_get_static_pad(bin, "sink");
        if (!audio)
            gst_pad_add_probe(sink, GST_PAD_PROBE_TYPE_BUFFER, count, nullptr, nullptr);
        join(pad, sink, bin);
    });
}

int main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    QCoreApplication app(argc, argv);
    const QStringList args = app.arguments();
    const QString tone = args.value(4), folder = args.value(5);

    QXmppClient client;
    auto *calls = new QXmppCallManager;
    client.addExtension(calls);
    QXmppLogger::getLogger()->setLoggingType(QXmppLogger::FileLogging);
    QXmppLogger::getLogger()->setLogFilePath(folder + "/stanzas.log");
    client.setLogger(QXmppLogger::getLogger());

    QXmppCall *current = nullptr;
    auto take = [&](QXmppCall *call) {
        current = call;
        auto hook = [=](QXmppCallStream *stream) { feed(call, stream, tone, folder); };
        QObject::connect(call, &QXmppCall::ringing, [] { say("ringing"); });
        QObject::connect(call, &QXmppCall::connected, [] { say("connected"); });
        QObject::connect(call, &QXmppCall::finished, [&] {
            current = nullptr;
            say("finished");
        });
        for (QXmppCallStream *stream : {call->audioStream(), call->videoStream()})
            if (stream)
                hook(stream);
        QObject::connect(call, &QXmppCall::streamCreated, hook);
    };
    QObject::connect(calls, &QXmppCallManager::callReceived, [&](QXmppCall *call) {
        take(call);
        say("incoming " + call->jid());
    });
    QObject::connect(&client, &QXmppClient::connected, [] { say("online"); });
    QObject::connect(&client, &QXmppClient::presenceReceived, [](const QXmppPresence &p) { say("there " + p.from()); });
    QObject::connect(&client, &QXmppClient::error, [](QXmppClient::Error e) { say(QString("error %1").arg(int(e))); });

    QSocketNotifier input(0, QSocketNotifier::Read);
    auto obey = [&](const QString &line) {
        const QString command = line.section(' ', 0, 0), jid = line.section(' ', 1);
        if (command == "appear") {
            QXmppPresence here = client.clientPresence(); // with capabilities
            here.setTo(jid);
            client.sendPacket(here);
        } else if (command == "call") {
            if (QXmppCall *call = calls->call(jid))
                take(call);
        } else if (current && command == "accept") {
            current->accept();
        } else if (current && command == "video") {
            current->addVideo();
        } else if (current && command == "hangup") {
            current->hangup();
        }
    };
    QObject::connect(&input, &QSocketNotifier::activated, [&] {
        do {
            std::string line;
            if (!std::getline(std::cin, line)) {
                QCoreApplication::quit();
                return;
            }
            obey(QString::fromStdString(line));
        } while (std::cin.rdbuf()->in_avail() > 0);
    });

    QXmppConfiguration c;
    c.setJid(args.value(1));
    c.setPassword(args.value(2));
    c.setHost(args.value(6, "127.0.0.1"));
    c.setPort(args.value(3).toInt());
    c.setResource("qxmpp");
    c.setStreamSecurityMode(QXmppConfiguration::TLSDisabled);
    c.setSaslAuthMechanism("PLAIN");
    client.connectToServer(c);
    return app.exec();
}
