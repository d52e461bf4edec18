package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
)

// manyBlocks are the origins of an estate whose snapshots have several blocks each.
var manyBlocks = []string{"kubernetes/east", "kubernetes/west"}

// The library that judges it. It looks nothing up, so that of a cluster in which
// something has changed the rest is taken over.
const (
	serviceAdapter = `package lib.exposure.service

kind := object.get(input.data.spec, "type", "ClusterIP") if {
	input.source == "kubernetes"
	input.type == "v1/Service"
}
`
	serviceControl = `# METADATA
# title: Services stay within their cluster
# description: No service is a load balancer.
# custom:
#   id: NET-002
#   severity: high
#   applies_to: ["kubernetes/v1/Service"]
#   why: What is open to the world is tried by it.
#   fix:
#     kubernetes: |
#       kubectl patch service NAME
package controls.exposure.inside

import data.lib.exposure.service

violation contains {
	"message": "it is a load balancer",
	"observed": service.kind,
	"expected": "ClusterIP",
	"path": "/data/spec/type",
} if service.kind == "LoadBalancer"
`
	insideFramework = `id: inside
title: Rules of the house
version: "2026"
report: inside
requirements:
  - id: "1"
    title: What runs inside stays inside
    evidence:
      - control: NET-002
        strength: partial
        rationale: Load balancers are one way out.
    not_evidenced: Other ways out.
`
)

// recordBlocks writes a recording of a night: services, of which one in five is
// open to the world, and config maps, some with tokens and gaps. One service
// changes every night.
func recordBlocks(t *testing.T, dir string, night int) {
	t.Helper()
	vault, at := &audittest.Vault{}, audittest.Moment.Add(time.Duration(night)*24*time.Hour)
	var snapshots []audit.Snapshot
	for o, origin := range manyBlocks {
		random := rand.New(rand.NewPCG(20261126, uint64(o)))
		s := audit.Snapshot{Origin: origin, Started: at.Add(-time.Minute), Ended: at, Recorded: true, Exhaustive: true, Identity: "auditor", Endpoint: "https://cluster.example"}
		var lines bytes.Buffer
		for _, kind := range []string{"ConfigMap", "Service"} {
			const n = 140
			for i := range n {
				r := resourceOfBlocks(origin, kind, i, random)
				if kind == "Service" && i == 70 {
					r.Tags["night"] = fmt.Sprint(night)
				}
				line, err := r.Line()
				if err != nil {
					t.Fatal(err)
				}
				lines.Write(append(line, '\n'))
			}
			count := audit.TypeCount{Type: "v1/" + kind, Listed: n, Completeness: audit.Listed}
			s.Types, s.Documents = append(s.Types, count), append(s.Documents, audit.TypeCount{Type: count.Type, Listed: n})
			s.Resources += n
		}
		s.Bytes = int64(lines.Len())
		var err error
		if s.Digest, err = vault.Put(t.Context(), &lines); err != nil {
			t.Fatal(err)
		}
		snapshots = append(snapshots, s)
	}
	if err := recorded.Save(t.Context(), dir, snapshots, vault); err != nil {
		t.Fatal(err)
	}
}

func resourceOfBlocks(origin, kind string, i int, random *rand.Rand) audit.Resource {
	name := fmt.Sprintf("%s-%04d", strings.ToLower(kind), i)
	note := make([]byte, 3000+random.IntN(5000))
	for j := range note {
		note[j] = "abcdefghijklmnopqrstuvwxyz äöü"[random.IntN(26)]
	}
	r := audit.Resource{
		Source: audit.Kubernetes, Origin: origin, Type: "v1/" + kind, ID: audit.ResourceID(origin, "v1/"+kind, "shop/"+name), Name: name, Tags: map[string]string{"team": "shop"},
	}
	object := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop", "annotations": map[string]any{"note": string(note)}}}
	switch {
	case kind == "ConfigMap":
		object["data"] = map[string]any{"key": "redacted:" + strings.Repeat("0f", 16)}
		r.Redacted = []string{"/data/data/key"}
	case i%5 == 0:
		object["spec"] = map[string]any{"type": "LoadBalancer", "ports": []any{map[string]any{"port": json.Number("22"), "protocol": "TCP"}}}
	default:
		object["spec"] = map[string]any{"type": "ClusterIP", "ports": []any{map[string]any{"port": json.Number("80"), "protocol": "TCP"}}}
	}
	r.Data = object
	return r
}

// packOf audits and gives the folder of the pack that came of it.
func (h home) packOf(t *testing.T, args ...string) string {
	t.Helper()
	before, err := filepath.Glob(filepath.Join(h.packs(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	h.exits(t, []int{exitOK}, nil, append([]string{"audit", "--quiet"}, args...)...)
	after, err := filepath.Glob(filepath.Join(h.packs(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	after = slices.DeleteFunc(after, func(dir string) bool { return slices.Contains(before, dir) })
	if len(after) != 1 {
		t.Fatalf("%d packs came of one audit", len(after))
	}
	return after[0]
}

// runIn is what a pack says of its run.
func runIn(t *testing.T, pack string) audit.Run {
	t.Helper()
	var file struct {
		Run audit.Run `json:"run"`
	}
	if err := json.Unmarshal(tree(t, pack)["run.json"], &file); err != nil {
		t.Fatal(err)
	}
	return file.Run
}

// TestPacksOfManyBlocks: packs whose snapshots have several blocks verify, that
// of a run that took outcomes over, and that of a scoped one; and one byte in a
// later block is noticed.
func TestPacksOfManyBlocks(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "library/lib/exposure/service.rego", serviceAdapter)
	h.write(t, "library/controls/exposure/inside.rego", serviceControl)
	h.write(t, "library/frameworks/inside.yaml", insideFramework)
	h.write(t, "crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nlibrary: library\nsources: {recorded: [{name: clusters, path: recording}]}\nsinks: {pack: {}}\n")
	recordBlocks(t, h.path("recording"), 0)
	packs := []string{h.packOf(t)}
	recordBlocks(t, h.path("recording"), 1)
	packs = append(packs, h.packOf(t), h.packOf(t, "--control", "NET-002"))
	first, second, scoped := runIn(t, packs[0]), runIn(t, packs[1]), runIn(t, packs[2])
	if len(first.Evaluated) != 0 || len(second.Evaluated) != 1 || second.Evaluated[0].Run != first.ID || len(scoped.Evaluated) != 0 {
		t.Errorf("taken over were %v, %v and %v: want some by the second run alone, from the first", first.Evaluated, second.Evaluated, scoped.Evaluated)
	}
	for i, pack := range packs {
		h.exits(t, []int{exitOK}, nil, "evidence", "verify", pack)
		names := 0
		for name, content := range tree(t, pack) {
			if !strings.HasPrefix(name, "snapshots"+string(filepath.Separator)) {
				continue
			}
			blocks := blocksIn(t, content)
			if names++; len(blocks) < 3 {
				t.Errorf("%s has %d blocks in %d bytes: too few to show anything", name, len(blocks), len(content))
			}
			if filepath.Base(name) == fmt.Sprintf("kubernetes_%s.ndjson", []string{"", "east", "west"}[i]) {
				last := len(blocks) - 1
				h.alter(t, pack, name, content, []int{0, (blocks[1] + blocks[2]) / 2, (blocks[last] + len(content)) / 2}[i])
			}
		}
		if names != len(manyBlocks) {
			t.Errorf("%s has %d snapshots, want %d", pack, names, len(manyBlocks))
		}
	}
}

// blocksIn gives where the blocks of a snapshot begin.
func blocksIn(t *testing.T, content []byte) (begin []int) {
	t.Helper()
	for c, at := audit.NewCutter(bytes.NewReader(content)), 0; at < len(content); {
		b, _, err := c.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		begin = append(begin, at)
		at += b.Size
	}
	return begin
}

// alter changes one byte of a file of a pack, wants that noticed, and puts it back.
func (h home) alter(t *testing.T, pack, name string, content []byte, at int) {
	t.Helper()
	file, err := filepath.Rel(h.dir, filepath.Join(pack, name))
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(content)
	altered[at] ^= 1
	h.write(t, file, string(altered))
	out := h.exits(t, []int{exitError}, nil, "evidence", "verify", pack)
	if !regexp.MustCompile(`PROBLEM +` + regexp.QuoteMeta(filepath.ToSlash(name)) + ": has been changed").Match(out.stdout) {
		t.Errorf("byte %d of %s was altered, and verifying says\n%s", at, name, out.stdout)
	}
	h.write(t, file, string(content))
}
