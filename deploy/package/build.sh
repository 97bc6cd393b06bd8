#!/bin/sh
# Makes the deb and the rpm in .build from ./sipxmppgw, for make package. From one commit come the
# same files, whoever makes them.
set -e
cd "$(dirname "$0")/../.."
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
PACKAGE_ARCH=$(go env GOARCH)
# Before the first release: 0 and the commit.
PACKAGE_VERSION=$(git describe --tags --match 'v*' 2>/dev/null | sed 's/^v//; s/-/+/' | grep . || echo "0+g$(git rev-parse --short HEAD)")
export SOURCE_DATE_EPOCH PACKAGE_ARCH PACKAGE_VERSION

rm -rf .build
mkdir .build
cp sipxmppgw .build/
gzip -9nc CHANGELOG.md >.build/changelog.gz
printf 'sipxmppgw (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- The sipxmppgw authors <sipxmppgw@users.noreply.github.com>  %s\n' \
	"$PACKAGE_VERSION" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9nc >.build/changelog.Debian.gz
{
	printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2026 The sipxmppgw authors\nLicense: MIT\n'
	sed '1,4d; s/^$/./; s/^/ /' LICENSE
} >.build/copyright
for shell in bash zsh fish; do
	./sipxmppgw completion $shell >.build/completion.$shell
done
./sipxmppgw man | gzip -9n >.build/sipxmppgw.8.gz
for kind in deb rpm; do
	go tool -modfile=test/ship/nfpm.mod nfpm package -f deploy/package/nfpm.yaml -p $kind -t .build/
done
