#!/bin/sh
# dpkg says "remove" or "upgrade", rpm 0 for the last that goes and 1 for an upgrade.
set -e
case $1 in
remove | 0) [ -d /run/systemd/system ] && systemctl --no-reload disable --now sipxmppgw.service || true ;;
esac
