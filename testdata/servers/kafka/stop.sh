#!/usr/bin/env bash
# stop.sh RUN ends what start.sh RUN started.
set -euo pipefail
file=$1/kafka.pid
if [[ -f $file ]]; then
	kill "$(cat "$file")" 2>/dev/null || echo "kafka had ended already" >&2
	rm -f "$file"
fi
