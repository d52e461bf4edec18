#!/usr/bin/env bash
# start.sh RUN PORT starts moto on 127.0.0.1:PORT with its log in the folder RUN, and returns when it answers.
# stop.sh RUN ends it.
set -euo pipefail
run=$(realpath -m "$1")
port=$2
here=$(cd "$(dirname "$0")" && pwd)
venv=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/moto
[[ -x $venv/bin/python ]] || {
	echo "no $venv: run $here/install.sh first" >&2
	exit 1
}
mkdir -p "$run"
setsid "$venv/bin/python" "$here/serve.py" 127.0.0.1 "$port" >"$run/moto.log" 2>&1 </dev/null &
echo $! >"$run/moto.pid"
for _ in $(seq 240); do
	if curl -sf "http://127.0.0.1:$port/x/calls" >/dev/null; then exit 0; fi
	kill -0 "$(cat "$run/moto.pid")" 2>/dev/null || break
	sleep 0.25
done
echo "moto did not become ready; the end of $run/moto.log:" >&2
tail -n 20 "$run/moto.log" >&2
exit 1
