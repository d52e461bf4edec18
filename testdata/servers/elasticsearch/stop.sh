#!/usr/bin/env bash
# stop.sh RUN [SIGNAL] ends what start.sh RUN started, launcher and server; with KILL at once, as a crash would.
set -euo pipefail
file=$1/elasticsearch.pid
signal=${2:-TERM}
[[ -f $file ]] || exit 0
pid=$(cat "$file")
if [[ $signal == KILL ]]; then
	kill -KILL -- "-$pid" 2>/dev/null || true # setsid made it a group of its own
else
	kill -TERM "$pid" 2>/dev/null || echo "Elasticsearch had ended already" >&2
fi
for _ in $(seq 120); do
	kill -0 -- "-$pid" 2>/dev/null || break
	sleep 0.25
done
if kill -KILL -- "-$pid" 2>/dev/null; then echo "Elasticsearch had to be killed" >&2; fi
rm -f "$file"
