#!/usr/bin/env bash
# install.sh puts moto, an AWS server for tests, into ${CROSSCHECK_SERVERS:-~/.cache/crosscheck}/moto unless
# it is there, and prints that folder.
set -euo pipefail
version=5.2.5
venv=${CROSSCHECK_SERVERS:-$HOME/.cache/crosscheck}/moto
if ! "$venv/bin/python" -c "import waitress, moto, sys; sys.exit(moto.__version__ != '$version')" 2>/dev/null; then
	echo "installing moto $version, once" >&2
	rm -rf "$venv"
	mkdir -p "$(dirname "$venv")"
	python3 -m venv "$venv" || {
		apt-get update -qq
		apt-get install -y -qq python3-venv >/dev/null
		python3 -m venv "$venv"
	}
	"$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$version" boto3==1.44.5 botocore==1.44.5 waitress==3.0.2
fi
echo "$venv"
