#!/usr/bin/env bash
# stop.sh RUN ends what start.sh RUN started.
set -euo pipefail
file=$1/moto.pid
if [[ -f $file ]]; then
	kill "$(cat "$file")" 2>/dev/null || echo "moto had ended already" >&2
	rm -f "$file"
fi
