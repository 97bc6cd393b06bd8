#!/bin/sh
# What the gateway has stored, and its configuration, stay until dpkg is told to purge.
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload || true
case $1 in
purge) rm -rf /var/lib/private/sipxmppgw /var/lib/sipxmppgw ;;
esac
