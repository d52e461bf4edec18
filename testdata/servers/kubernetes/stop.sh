#!/usr/bin/env bash
# stop.sh RUN ends what start.sh RUN started.
set -euo pipefail
for name in kube-apiserver etcd; do
	file=$1/$name.pid
	[[ -f $file ]] || continue
	pid=$(cat "$file")
	if kill "$pid" 2>/dev/null; then
		for _ in $(seq 40); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.25
		done
		if kill -9 "$pid" 2>/dev/null; then echo "$name had to be killed" >&2; fi
	fi
	rm -f "$file"
done
