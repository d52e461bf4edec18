#!/usr/bin/env bash
# install.sh puts kube-apiserver, kubectl and etcd into ${CROSSCHECK_SERVERS:-~/.cache/crosscheck}/kubernetes
# unless they are there, and prints that folder. The first two are built from the Go module proxy
# (4 to 10 minutes on two cores), etcd is Debian's.
set -euo pipefail
version=v1.36.3
staging=v0.36.3
bin=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/kubernetes
mkdir -p "$bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
	echo "building kube-apiserver and kubectl $version, once; this takes minutes" >&2
	cd "$work"
	local mod pkg=k8s.io/component-base/version
	mod=$(GOWORK=off go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
	{
		printf 'module servers\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes %s\n' "$version"
		grep -o '^\s*k8s.io/[a-z0-9-]* => ./staging/[^ ]*' "$mod" | awk -v v=$staging '{print "replace " $1 " => " $1 " " v}'
	} >go.mod
	printf 'package servers\n\nimport (\n\t_ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n\t_ "k8s.io/kubectl/pkg/cmd"\n)\n' >servers.go
	# Some tests of dependencies cannot be resolved; what is built below can.
	GOWORK=off GOFLAGS=-mod=mod go mod tidy -e >/dev/null 2>&1 || echo "go mod tidy left something unresolved" >&2
	local flags="-X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=36"
	for cmd in kube-apiserver kubectl; do
		GOWORK=off GOFLAGS=-mod=mod go build -ldflags "$flags" -o "$work/$cmd" "k8s.io/kubernetes/cmd/$cmd"
		mv "$work/$cmd" "$bin/$cmd"
	done
}

fetch() {
	local have
	if have=$(command -v etcd); then
		cp "$have" "$bin/etcd.new"
	else
		# Unpacked, not installed: the package would start a service of its own.
		cd "$work"
		apt-get update -qq
		apt-get download -qq etcd-server
		dpkg-deb -x etcd-server_*.deb unpacked
		cp unpacked/usr/bin/etcd "$bin/etcd.new"
	fi
	mv "$bin/etcd.new" "$bin/etcd"
}

[[ -x $bin/kube-apiserver && -x $bin/kubectl ]] || build
[[ -x $bin/etcd ]] || fetch
echo "$bin"
