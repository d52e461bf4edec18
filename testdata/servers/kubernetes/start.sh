#!/usr/bin/env bash
# start.sh RUN PORT starts etcd on PORT+1 (peers on PORT+2) and kube-apiserver on PORT, loopback only, with
# all they write in the folder RUN, and returns when the server is ready. RUN/kubeconfig has the contexts
# admin (system:masters), auditor (reads everything) and newcomer (workloads only), with made-up tokens.
# stop.sh RUN ends both.
set -euo pipefail
run=$(realpath -m "$1")
port=$2
here=$(cd "$(dirname "$0")" && pwd)
bin=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/kubernetes
[[ -x $bin/kube-apiserver ]] || {
	echo "no $bin/kube-apiserver: run $here/install.sh first" >&2
	exit 1
}
mkdir -p "$run"
cd "$run"

start() {
	local name=$1
	shift
	setsid "$@" >"$name.log" 2>&1 </dev/null &
	echo $! >"$name.pid"
}

await() {
	local name=$1
	shift
	for _ in $(seq 240); do
		if "$@" >/dev/null 2>&1; then return; fi
		kill -0 "$(cat "$name.pid")" 2>/dev/null || break
		sleep 0.25
	done
	echo "$name did not become ready; the end of $run/$name.log:" >&2
	tail -n 20 "$name.log" >&2
	"$here/stop.sh" "$run"
	exit 1
}

openssl genrsa -out accounts.key 2048 2>/dev/null
openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
cat >tokens.csv <<EOF
FAKE-admin-token,admin,admin,"system:masters"
FAKE-auditor-token,auditor,auditor,"crosscheck:auditors"
FAKE-newcomer-token,newcomer,newcomer,"crosscheck:newcomers"
EOF

start etcd "$bin/etcd" --data-dir "$run/etcd" --unsafe-no-fsync \
	--listen-client-urls "http://127.0.0.1:$((port + 1))" --advertise-client-urls "http://127.0.0.1:$((port + 1))" \
	--listen-peer-urls "http://127.0.0.1:$((port + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((port + 2))" \
	--initial-cluster "default=http://127.0.0.1:$((port + 2))"
await etcd curl -sf "http://127.0.0.1:$((port + 1))/health"
start kube-apiserver "$bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$((port + 1))" \
	--bind-address 127.0.0.1 --secure-port "$port" --cert-dir "$run/certs" --service-cluster-ip-range 10.100.0.0/16 \
	--service-account-key-file accounts.pub --service-account-signing-key-file accounts.key \
	--service-account-issuer https://kubernetes.default.svc --authorization-mode RBAC --token-auth-file tokens.csv \
	--disable-admission-plugins ServiceAccount --allow-privileged --advertise-address 127.0.0.1 --endpoint-reconciler-type none

{
	printf 'apiVersion: v1\nkind: Config\ncurrent-context: admin\nclusters:\n'
	printf -- '- name: test\n  cluster: {server: "https://127.0.0.1:%s", certificate-authority: certs/apiserver.crt}\n' "$port"
	printf 'contexts:\n'
	for who in admin auditor newcomer; do printf -- '- name: %s\n  context: {cluster: test, user: %s}\n' $who $who; done
	printf 'users:\n'
	for who in admin auditor newcomer; do printf -- '- name: %s\n  user: {token: FAKE-%s-token}\n' $who $who; done
} >kubeconfig
chmod 600 kubeconfig
kubectl=("$bin/kubectl" --kubeconfig "$run/kubeconfig" --context admin)
await kube-apiserver "${kubectl[@]}" get --raw /readyz
await kube-apiserver "${kubectl[@]}" get namespace default
"${kubectl[@]}" apply -f "$here/access.yaml" >/dev/null
