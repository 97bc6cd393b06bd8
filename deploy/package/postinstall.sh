#!/bin/sh
# Nothing starts by itself: without a configuration there is nothing to start, and one that is
# there was changed by nobody. A gateway that runs goes on with the old program until it is told
# to restart, so that an upgrade ends no call.
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload || true
