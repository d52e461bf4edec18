#!/usr/bin/env bash
# install.sh puts a real Elasticsearch 8.19.13 into ${CROSSCHECK_SERVERS:-~/.cache/crosscheck}/elasticsearch unless it
# is there, and prints that folder (127 MB; 921 MB are fetched for it, once). It is the one that SonarQube ships on
# Maven Central, which Maven fetches; Java 17 or later runs it. Modules that no registry carries (data streams' REST
# routes, ILM, transforms, a few field types) are stood in for by Shim.java, which says how far.
set -euo pipefail
version=8.19.13
here=$(cd "$(dirname "$0")" && pwd)
home=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/elasticsearch
sum=$(cat "$here/Shim.java" "$here/pom.xml" "$0" | sha256sum | cut -d' ' -f1)
if [[ $(cat "$home/installed" 2>/dev/null) != "$sum" ]]; then
	for tool in mvn javac jar; do
		command -v $tool >/dev/null || {
			echo "no $tool: Maven and a JDK of 17 or later install Elasticsearch" >&2
			exit 1
		}
	done
	echo "installing Elasticsearch $version, once" >&2
	mkdir -p "$(dirname "$home")"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mvn -q -B -f "$here/pom.xml" -Dwork="$work" package >&2
	new=$work/elasticsearch
	mv "$work"/sq/*/elasticsearch "$new"
	(cd "$new/modules" && rm -rf x-pack-inference x-pack-apm-data x-pack-otel-data x-pack-geoip-enterprise-downloader \
		x-pack-migrate old-lucene-versions rank-vectors ingest-otel streams)
	mkdir -p "$new/modules/shim" "$new/plugins" "$work/shim"
	javac -nowarn -d "$work/shim" -cp "$new/lib/*:$new/modules/x-pack-core/*" "$here/Shim.java" 2> >(grep -v ^Note >&2 || true)
	jar cf "$new/modules/shim/shim.jar" -C "$work/shim" .
	printf '%s\n' description=shim version=$version name=shim java.version=17 elasticsearch.version=$version \
		classname=shim.Shim extended.plugins=x-pack-core >"$new/modules/shim/plugin-descriptor.properties"
	chmod -R a+rX "$new"
	echo "$sum" >"$new/installed"
	rm -rf "$home"
	mv "$new" "$home"
fi
echo "$home"
