#!/usr/bin/env bash
# start.sh RUN PORT starts Elasticsearch on 127.0.0.1:PORT (its transport on PORT+1), with all it writes in the folder
# RUN, and returns when the cluster is ready (10 to 20 s, 540 MB). It finds its data again when started again on the same
# folder. No security: whoever reaches the port may do anything. stop.sh RUN ends it.
set -euo pipefail
run=$(realpath -m "$1")
port=$2
here=$(cd "$(dirname "$0")" && pwd)
home=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/elasticsearch
java=${ES_JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
[[ -f $home/installed ]] || {
	echo "no $home: run $here/install.sh first" >&2
	exit 1
}
mkdir -p "$run"/{config,data,logs,tmp,repo}
cp -n "$home"/config/{jvm.options,log4j2.properties,roles.yml,role_mapping.yml,users,users_roles} "$run/config/" 2>/dev/null || true
cat >"$run/config/elasticsearch.yml" <<EOF
cluster.name: test
node.name: test
path: {data: $run/data, logs: $run/logs, repo: [$run/repo]}
network.host: 127.0.0.1
http.port: $port
transport.port: $((port + 1))
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: false
xpack.security.autoconfiguration.enabled: false
EOF
as=()
if [[ $(id -u) == 0 ]]; then
	# Elasticsearch refuses root. In a user namespace it is nobody, and yet may read and write what is root's.
	# Where there are none it really becomes nobody, and needs folders that anybody reaches.
	as=(unshare --user --map-user=65534 --map-group=65534 --)
	if ! "${as[@]}" true 2>/dev/null; then
		chown -R nobody "$run"
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
	fi
fi
cd "$home"
setsid env -i PATH="$PATH" HOME="$run" HOSTNAME=localhost ES_TMPDIR="$run/tmp" \
	ES_JAVA_OPTS="${ES_JAVA_OPTS:--Xms384m -Xmx384m -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch}" \
	"${as[@]}" "$java/bin/java" -Xms4m -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
	-Dcli.name=server -Dcli.script="$home/bin/elasticsearch" -Dcli.libs=lib/tools/server-cli \
	-Des.path.home="$home" -Des.path.conf="$run/config" -Des.distribution.type=zip -Des.java.type=ES_JAVA_HOME \
	-cp "$home/lib/*:$home/lib/cli-launcher/*" org.elasticsearch.launcher.CliToolLauncher >"$run/elasticsearch.log" 2>&1 </dev/null &
echo $! >"$run/elasticsearch.pid"
for _ in $(seq 480); do
	if curl -sf "http://127.0.0.1:$port/_cluster/health?wait_for_status=yellow&timeout=1s" >/dev/null; then exit 0; fi
	kill -0 "$(cat "$run/elasticsearch.pid")" 2>/dev/null || break
	sleep 0.25
done
echo "Elasticsearch did not become ready; the end of $run/elasticsearch.log:" >&2
tail -n 20 "$run/elasticsearch.log" >&2
"$here/stop.sh" "$run"
exit 1
