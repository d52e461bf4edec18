#!/usr/bin/env bash
# install.sh builds promtool, which tests configs/prometheus, into ${CROSSCHECK_SERVERS:-~/.cache/crosscheck}/bin
# unless it is there, and prints its path. The module has replacements, so that `go install` refuses it; the
# build takes some minutes of two processors.
set -euo pipefail
version=v0.312.0
bin=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/bin
if ! "$bin/promtool" --version >/dev/null 2>&1; then
	echo "building promtool $version, once" >&2
	work=$(mktemp -d)
	trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
	dir=$(cd "$work" && GOWORK=off go mod download -json "github.com/prometheus/prometheus@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
	cp -r "$dir" "$work/prometheus"
	chmod -R u+w "$work/prometheus"
	mkdir -p "$bin"
	(cd "$work/prometheus" && GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=mod go build -o "$bin/promtool" ./cmd/promtool)
fi
echo "$bin/promtool"
