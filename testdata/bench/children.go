package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// childReady loads and checks a library and decides one document of each type.
func childReady(ctx context.Context, library string) error {
	lib, err := policies.Load(os.DirFS(library), nil)
	if err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 1})
	if err != nil {
		return err
	}
	if err := e.Check(ctx); err != nil {
		return err
	}
	data := newMemory()
	seen := map[string]bool{}
	byOrigin := map[string]*bytes.Buffer{}
	for _, c := range lib.Catalog.Controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			if seen[want] {
				continue
			}
			seen[want] = true
			origin := source + "/bench"
			line, err := audit.Resource{Source: source, Origin: origin, Type: typ, ID: audit.ResourceID(origin, typ, "x"), Data: map[string]any{}}.Line()
			if err != nil {
				return err
			}
			if byOrigin[origin] == nil {
				byOrigin[origin] = &bytes.Buffer{}
			}
			byOrigin[origin].Write(append(line, '\n'))
		}
	}
	for origin, buf := range byOrigin {
		if err := data.add(audit.Snapshot{Origin: origin}, buf.Bytes()); err != nil {
			return err
		}
	}
	decided := 0
	err = e.Decide(ctx, audit.Judgement{AsOf: moment, Snapshots: data.snapshots, Vault: data}, func(audit.Verdict) error {
		decided++
		return nil
	})
	if err == nil && decided != len(seen) {
		err = fmt.Errorf("%d of %d types were decided", decided, len(seen))
	}
	return err
}

// indexed is a library whose adapter declares three keys of every host, and
// whose control looks them up.
var indexed = library{
	"lib/estate/bench.rego": `package lib.estate.bench

estate contains {"kind": "host", "key": lower(input.data.name), "value": {"state": input.data.state}} if {
	input.source == "kubernetes"
	input.type == "bench/v1/Host"
}

estate contains {"kind": "serial", "key": input.data.serial, "value": {"state": input.data.state}} if {
	input.source == "kubernetes"
	input.type == "bench/v1/Host"
}

estate contains {"kind": "host_address", "key": input.data.address, "value": {"host": input.data.name, "state": input.data.state}} if {
	input.source == "kubernetes"
	input.type == "bench/v1/Host"
}
`,
	"lib/bench/seeker.rego": `package lib.bench.seeker

missing := [want | some want in input.data.wants; not _found(want)] if {
	input.source == "kubernetes"
	input.type == "bench/v1/Seeker"
}

_found(want) if {
	count(data.estate.kubernetes.host[want.name]) == 1
	count(data.estate.kubernetes.serial[want.serial]) == 1
	count(data.estate.kubernetes.host_address[want.address]) == 1
}
`,
	"controls/bench/seeks.rego": `# METADATA
# title: Every host that is sought is found
# description: Looks up three keys of each host that a document names.
# custom:
#   id: BEN-900
#   severity: low
#   applies_to: ["kubernetes/bench/v1/Seeker"]
#   why: It shows that the index holds what was declared.
#   fix:
#     kubernetes: |
#       Declare the host.
package controls.bench.seeks

import data.lib.bench.seeker

violation contains {"message": sprintf("%s is not found", [want.name]), "observed": want, "expected": "found", "path": "/data/wants"} if some want in seeker.missing
`,
}

// hosts is a vault of one snapshot that is generated while it is read, so that
// the process holds what the engine holds and nothing else.
type hosts struct{ n int }

// Put implements audit.Vault.
func (hosts) Put(context.Context, io.Reader) (string, error) {
	return "", errors.New("nothing is kept")
}

// PutLines implements audit.Vault.
func (h hosts) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return h.Put(ctx, r)
}

// Open implements audit.Vault.
func (h hosts) Open(context.Context, string) (io.ReadCloser, error) {
	return &generatedHosts{h: h}, nil
}

type generatedHosts struct {
	h    hosts
	next int
	rest []byte
}

// Read implements io.Reader.
func (g *generatedHosts) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		switch {
		case g.next < g.h.n:
			g.rest = g.h.host(g.rest[:0], g.next)
		case g.next == g.h.n:
			g.rest = g.h.seeker()
		default:
			return 0, io.EOF
		}
		g.next++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (*generatedHosts) Close() error { return nil }

const hostOrigin = "kubernetes/bench"

// keys of a host: its name, serial number and address.
func (hosts) keys(i int) (name, serial, address string) {
	return fmt.Sprintf("Host-%07d.rack-%d.nordhafen.example", i, i%977), fmt.Sprintf("%016x", mix(seed, uint64(i))), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
}

func (h hosts) host(buf []byte, i int) []byte {
	name, serial, address := h.keys(i)
	state := []string{"running", "stopped", "retired"}[i%3]
	return fmt.Appendf(buf, `{"data":{"address":%q,"name":%q,"note":"Rechner im zweiten Rechenzentrum, übernommen 2019","serial":%q,"state":%q},"gaps":{},"id":"%s/bench/v1/Host/%07d","name":%q,"origin":%q,"redacted":[],"source":"kubernetes","tags":{"team":"fleet"},"type":"bench/v1/Host"}`+"\n",
		address, name, serial, state, hostOrigin, i, name, hostOrigin)
}

// seeker names a hundred hosts from all over the estate.
func (h hosts) seeker() []byte {
	var wants []string
	for i := 0; i < h.n; i += max(1, h.n/100) {
		name, serial, address := h.keys(i)
		wants = append(wants, fmt.Sprintf(`{"address":%q,"name":%q,"serial":%q}`, address, strings.ToLower(name), serial))
	}
	return fmt.Appendf(nil, `{"data":{"wants":[%s]},"gaps":{},"id":"%s/bench/v1/Seeker/x","name":"x","origin":%q,"redacted":[],"source":"kubernetes","tags":{},"type":"bench/v1/Seeker"}`+"\n",
		strings.Join(wants, ","), hostOrigin, hostOrigin)
}

// childIndex indexes n hosts and looks some of them up.
func childIndex(ctx context.Context, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	lib, err := policies.Load(indexed.FS(), nil)
	if err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 1})
	if err != nil {
		return err
	}
	j := audit.Judgement{AsOf: moment, Vault: hosts{n}, Snapshots: []audit.Snapshot{{Origin: hostOrigin, Digest: "hosts", Resources: int64(n) + 1}}}
	passed := 0
	err = e.Decide(ctx, j, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if d.Outcome != audit.Pass {
				return fmt.Errorf("%s is %s: %v %v", v.Resource, d.Outcome, d.Violations, d.Reasons)
			}
			passed++
		}
		return nil
	})
	if err == nil && passed != 1 {
		err = fmt.Errorf("%d decisions, 1 was to be made", passed)
	}
	return err
}
