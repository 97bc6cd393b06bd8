#!/bin/sh
# Installs, or looks for, what the interop tests drive.
#
#     deps.sh install    installs what is missing (Debian packages as root; npm packages)
#     deps.sh check      only looks
#
# Says loudly what is missing at the end; then "check" fails, and "install" fails if CI is set.

# command package, for each thing needed. gcc is for the race detector. lib:NAME is a library
# that pkg-config knows (opus is to compare with), gst:NAME a plugin of GStreamer, kam:NAME a
# module of Kamailio, py:NAME one of Debian's Python.
needed="
prosody     prosody
ejabberdctl ejabberd
sipp        sip-tester
svmap       sipvicious
kamailio    kamailio
kam:tls     kamailio-tls-modules
kam:rls     kamailio-presence-modules
baresip     baresip-core
chromium    chromium
rtpengine   rtpengine-daemon
turnserver  coturn
tshark      tshark
promtool    prometheus
debootstrap debootstrap
rpm         rpm
systemd-analyze systemd
py:slixmpp  python3-slixmpp
node        nodejs
npm         npm
gcc         gcc,libc6-dev
g++         g++
pkg-config  pkg-config
lib:opus    libopus-dev
lib:qxmpp   libqxmpp-dev
lib:Qt5Xml  qtbase5-dev
lib:gstreamer-1.0 libgstreamer1.0-dev
gst:audiotestsrc  gstreamer1.0-plugins-base
gst:vpx     gstreamer1.0-plugins-good
"
PATH=$PATH:/usr/sbin:/sbin
browser=$(dirname "$0")/../browser

has() {
	case $1 in
	lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
	kam:*) ls /usr/lib/*/kamailio/modules/"${1#kam:}".so >/dev/null 2>&1 ;;
	py:*) /usr/bin/python3 -c "import ${1#py:}" 2>/dev/null ;;
	gst:*) ls /usr/lib/*/gstreamer-1.0/libgst"${1#gst:}".so >/dev/null 2>&1 ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# missing prints column 1 (commands) or 2 (packages) of what is not there.
missing() {
	echo "$needed" | while read -r command package; do
		[ -z "$command" ] || has "$command" || echo "$command $package"
	done | cut -d ' ' -f "$1" | tr , ' ' | tr '\n' ' '
}

packages() {
	wanted=$(missing 2)
	[ -n "$wanted" ] || return 0
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "not Debian or not root, so not installed: $wanted"
		return 0
	fi
	# The daemons must not start; the tests run their own.
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; trap 'rm -f $policy' EXIT; }
	export DEBIAN_FRONTEND=noninteractive
	apt="apt-get -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
	echo "installing $wanted"
	{ $apt update && $apt install -y --no-install-recommends $wanted; } >/tmp/sipxmppgw-apt.log 2>&1 </dev/null ||
		tail -n 20 /tmp/sipxmppgw-apt.log
}

modules() {
	command -v npm >/dev/null || return 0
	installed=$browser/node_modules/.package-lock.json
	[ "$installed" -nt "$browser/package-lock.json" ] && return 0
	echo "installing npm packages"
	(cd "$browser" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node node_modules/esbuild/install.js)
}

if [ "$1" = install ]; then
	packages
	modules
fi

absent=$(missing 1)
"$browser/node_modules/.bin/esbuild" --version >/dev/null 2>&1 || absent="${absent}npm-packages "
[ -n "$absent" ] || exit 0
echo "#################################################################" >&2
echo "# MISSING: $absent" >&2
echo "# The tests with real peers do NOT run. As root: make deps" >&2
echo "#################################################################" >&2
[ "$1" = install ] && [ -z "$CI" ] && exit 0
exit 1
