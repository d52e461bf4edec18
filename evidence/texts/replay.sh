#!/bin/sh
# Verifies this pack and performs a sample of its decisions again: sha256sum, openssl 3, opa >= 1.22 (OPA=path).
cd "$(dirname "$0")/.." || exit 1; opa=${OPA:-opa}; n=0; die() { echo "FAILED: $*"; exit 1; }
command -v "$opa" >/dev/null || die "opa not found: set OPA=/path/to/opa (1.22 or later)"; command -v openssl >/dev/null || die "openssl not found: version 3 is needed"
t=$(mktemp -d) || exit 1; trap 'rm -rf "$t"' EXIT; sum() { sha256sum <"$1" | cut -c1-64; }; get() { sed -n "s/^{[^[{]*\"$2\":\"\([^\"]*\)\".*/\1/p" "$1"; }
sed -n 's/.*"path":"\([^"]*\)","sha256":"\([0-9a-f]*\)".*/\2  \1/p' manifest.json >"$t/sums"
sha256sum -c --strict --quiet "$t/sums" || die "a file is not what manifest.json says"
[ "$(find . ! -type d | wc -l)" -eq "$(($(wc -l <"$t/sums") + 2))" ] || die "there are files that manifest.json does not list"
type=$(get manifest.dsse.json payloadType); printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(wc -c <manifest.json)" | cat - manifest.json >"$t/pae"
sed -n 's/.*"sig":"\([^"]*\)".*/\1/p' manifest.dsse.json | openssl base64 -d -A >"$t/sig"
openssl pkeyutl -verify -pubin -inkey signer.pub.pem -rawin -in "$t/pae" -sigfile "$t/sig" >/dev/null || die "manifest.dsse.json: bad signature"
for d in replay/[0-9]*/; do
  [ -d "$d" ] || continue; id=$(sum "$d/id.json"); outcome=$(get "$d/expected.json" outcome); p=$(get "$d/expected.json" package | grep -Ex 'controls(\.[a-z0-9_]+)+') || die "$d: no package"
  c=$(get "$d/expected.json" control | grep -Ex '[A-Z]+-[0-9]+'); grep -q "\"id\":\"$c\".*\"package\":\"$p\"" "controls/$c.json" || die "$d: $p is not the rule of $c"
  grep -Eq "\"id\":\"$id\",\"input_digest\":\"[0-9a-f]*\",\"name\":\"([^\"\\\\]|\\\\.)*\",\"origin\":\"([^\"\\\\]|\\\\.)*\",\"outcome\":\"$outcome\"" decisions.ndjson || die "$d: decisions.ndjson has no $outcome $id"
  if [ -f "$d/slice.json" ]; then h=$(sum "$d/slice.json"); cp "$d/slice.json" "$t/s.json"; else h=; echo '{"lookups":[]}' >"$t/s.json"; fi
  same="data.id[4] == \"$(sum "$d/document.json")\"; data.id[5] == \"$h\"; data.id[6] == data.run.as_of; data.id[1] == data.expected.control
    every l in data.slice.lookups { object.get(data.estate, [l.source, l.kind, l.key], null) == l.hits }"
  case $outcome in not_evaluated) q=true;; excluded) q="data.$p.applies == false";; *) q="data.$p.violation; count([1 | data.$p.applies == false]) == 0
    {x | some v in json.unmarshal(json.marshal(data.$p.violation)); x := json.filter(v, [\"message\", \"observed\", \"expected\", \"path\"])} == {v | some v in data.expected.violations}
    (\"$outcome\" == \"fail\") == (count(data.expected.violations) > 0)";; esac
  "$opa" eval --fail --strict-builtin-errors -b library.tar.gz -d "$d/data.json" -d "id:$d/id.json" -d "slice:$t/s.json" -d "expected:$d/expected.json" -i "$d/document.json" "$same
    $q" >/dev/null || die "$d: $outcome of $id not confirmed"; n=$((n + 1)); [ "$outcome" != not_evaluated ] || echo "$d: not_evaluated, tied to its document only: see its reasons and gaps"
done; echo "OK. Checked: every file against manifest.json, its signature by key $(openssl pkey -pubin -in signer.pub.pem -outform DER | sha256sum | cut -c1-64)"; echo "(compare this fingerprint with one obtained another way); $n decisions tied to document, slice and time, pass, fail and excluded ones performed again."
echo "NOT checked here, only by crosscheck evidence verify: the other decisions, control digests, slices against the snapshots, populations, counts, envelope form."
