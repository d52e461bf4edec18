#!/usr/bin/env bash
# start.sh RUN PORT starts a broker on 127.0.0.1:PORT, and its controller on the next port, with its log in the folder
# RUN, and returns when it answers. stop.sh RUN ends it.
set -euo pipefail
run=$(realpath -m "$1")
port=$2
here=$(cd "$(dirname "$0")" && pwd)
lib=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/kafka
[[ -d $lib ]] || {
	echo "no $lib: run $here/install.sh first" >&2
	exit 1
}
mkdir -p "$run"
cat >"$run/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$run/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
PROPERTIES
[[ -f $run/data/meta.properties ]] ||
	java -cp "$lib/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$run/server.properties" >"$run/format.log"
setsid java -Xmx256m -cp "$lib/*" kafka.Kafka "$run/server.properties" >"$run/kafka.log" 2>&1 </dev/null &
echo $! >"$run/kafka.pid"
for _ in $(seq 240); do
	if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then exit 0; fi
	kill -0 "$(cat "$run/kafka.pid")" 2>/dev/null || break
	sleep 0.25
done
echo "Kafka did not become ready; the end of $run/kafka.log:" >&2
tail -n 20 "$run/kafka.log" >&2
exit 1
