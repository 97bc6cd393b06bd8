#!/bin/sh
# systemctl for a namespace without systemd: it starts and stops what a unit says, as whom it says.
set -e
[ "$1" != daemon-reload ] || exit 0
for unit; do :; done
unit=${unit%.service}
file=/etc/systemd/system/$unit.service
[ -e "$file" ] || file=/usr/lib/systemd/system/$unit.service
get() { sed -n "s/^$1=//p" "$file"; }

user=$(get User)
[ "$(get DynamicUser)" != yes ] || user=nobody # who owns nothing, as a dynamic user does
as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups --no-new-privs"
[ "$(get Group)" = "" ] || as="setpriv --reuid=$user --regid=$(get Group) --clear-groups --no-new-privs"

# stop
if [ -e "/run/$unit.pid" ]; then
	kill "$(cat "/run/$unit.pid")" && while kill -0 "$(cat "/run/$unit.pid")" 2>/dev/null; do sleep 0.05; done
	rm "/run/$unit.pid"
fi
[ "$1" != stop ] || exit 0

# start
for name in $(get RuntimeDirectory); do install -d -o "$user" "/run/$name"; done
for name in $(get StateDirectory); do install -d -o "$user" -m 700 "/var/lib/$name"; done
for credential in $(get LoadCredential); do
	install -d "/run/credentials/$unit"
	install -o "$user" -m 400 "${credential#*:}" "/run/credentials/$unit/${credential%%:*}"
	export CREDENTIALS_DIRECTORY="/run/credentials/$unit"
done
get ExecStartPre | while read -r line; do $as $line; done
$as $(get ExecStart) >"/run/$unit.log" 2>&1 </dev/null &
echo $! >"/run/$unit.pid"
