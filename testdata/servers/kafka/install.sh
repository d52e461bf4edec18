#!/usr/bin/env bash
# install.sh puts Apache Kafka, a broker for tests, into ${CROSSCHECK_SERVERS:-~/.cache/crosscheck}/kafka unless it is
# there, and prints that folder. It takes Maven and Java 17.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lib=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/kafka
if ! compgen -G "$lib/kafka_2.13-3.9.1.jar" >/dev/null; then
	echo "installing Kafka 3.9.1, once" >&2
	rm -rf "$lib" "$lib.new"
	mkdir -p "$lib.new"
	mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$lib.new"
	mv "$lib.new" "$lib"
fi
echo "$lib"
