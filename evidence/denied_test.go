package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/policies"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

const fullyDenied = "not fully tested"

// denial says what of the recorded estate cannot be read.
type denial struct {
	origin  string // all of it
	source  string // with typ: all documents of a type, or with pointer one answer in each of them
	typ     string
	pointer string
}

// collect plays an origin back without what is denied.
func (d denial) collect(ctx context.Context, c audit.Collector, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	if req.Origin == d.origin {
		return audit.Collection{}, &audit.SourceError{Code: audit.Unreachable, Operation: "connect", Err: errors.New("no route")}
	}
	hidden := false
	col, err := c.Collect(ctx, req, writing(func(r audit.Resource) error {
		r, err := r.Values()
		if err != nil {
			return err
		}
		if r.Source == d.source && r.Type == d.typ {
			if d.pointer == "" {
				hidden = true
				return nil
			}
			data, ok := r.Data.(map[string]any)
			if !ok {
				return fmt.Errorf("%s is no object", r.ID)
			}
			delete(data, strings.TrimPrefix(d.pointer, "/data/"))
			r.Gap(d.pointer, audit.AccessDenied, "x:Get")
		}
		return w.Write(r)
	}))
	if hidden {
		col.Types = slices.DeleteFunc(col.Types, func(t audit.TypeCount) bool { return t.Type == d.typ })
		col.Gaps = append(col.Gaps, audit.Gap{Origin: req.Origin, Type: d.typ, Code: audit.AccessDenied, Operation: "x:List"})
	}
	return col, err
}

type writing func(audit.Resource) error

// Write implements audit.SnapshotWriter.
func (w writing) Write(r audit.Resource) error { return w(r) }

type deniedCollector struct {
	audit.Collector
	denial denial
}

// Collect implements audit.Collector.
func (c deniedCollector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	return c.denial.collect(ctx, c.Collector, req, w)
}

// remembering keeps the decisions with what they looked up.
type remembering struct {
	audit.Decider
	seen map[string]audit.Verdict
}

// Decide implements audit.Decider.
func (d remembering) Decide(ctx context.Context, j audit.Judgement, emit func(audit.Verdict) error) error {
	return d.Decider.Decide(ctx, j, func(v audit.Verdict) error {
		d.seen[v.Resource] = audit.Verdict{Resource: v.Resource, Type: v.Type, Origin: v.Origin, Decisions: slices.Clone(v.Decisions)}
		return emit(v)
	})
}

// estateRun is a run of the recorded estate and what the reports say of it.
type estateRun struct {
	run      audit.Run
	verdicts map[string]audit.Verdict
	words    map[string]string // framework and requirement → word
}

func runEstate(t *testing.T, e *evaluate.Engine, d denial) estateRun {
	t.Helper()
	fsys, err := estate.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	// An origin that cannot be read is not recorded, so such a run judges by its
	// start: that of a run made while the recording was fresh.
	col, err := c.Collect(t.Context(), audit.Request{Origin: c.Origins()[0]}, &audittest.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	out := estateRun{verdicts: map[string]audit.Verdict{}, words: map[string]string{}}
	a := audit.Auditor{
		Collectors: []audit.Collector{deniedCollector{c, d}}, Decider: remembering{e, out.verdicts}, Vault: &audittest.Vault{},
		Now: func() time.Time { return col.Ended }, Log: audittest.Log(), TempDir: t.TempDir(),
	}
	if out.run, err = a.Run(t.Context(), audit.Order{Trigger: audit.Manual}); err != nil {
		t.Fatal(err)
	}
	for _, f := range e.Catalog().Frameworks {
		words, err := evidence.ResultWords(out.run, e.Catalog(), f.ID)
		if err != nil {
			t.Fatal(err)
		}
		for id, word := range words {
			out.words[f.ID+" "+id] = word
		}
	}
	return out
}

// TestDenied: what cannot be read, be it an origin, a type or one answer, turns
// every requirement that rests on it to "not fully tested", and no other.
func TestDenied(t *testing.T) {
	t.Parallel()
	library, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := evaluate.New(evaluate.Config{Library: library})
	if err != nil {
		t.Fatal(err)
	}
	before := runEstate(t, engine, denial{})
	if words := slices.Collect(maps.Values(before.words)); before.run.Status != audit.Complete || slices.Contains(words, fullyDenied) {
		t.Fatalf("with nothing denied the run is %s and its words are %v", before.run.Status, before.words)
	}
	denials := []denial{
		{source: audit.AWS, typ: "AWS::IAM::User"},
		{source: audit.AWS, typ: "AWS::EC2::Instance"},
		{source: audit.Kubernetes, typ: "v1/Node"},
		{source: audit.Kubernetes, typ: "v1/Service"},
		{source: audit.Terraform, typ: "aws_instance"},
		{source: audit.NetBox, typ: "ipam.ipaddress"},
		{source: audit.AWS, typ: "AWS::S3::Bucket", pointer: "/data/GetPublicAccessBlock"},
		{source: audit.AWS, typ: "AWS::S3::Bucket", pointer: "/data/GetBucketAcl"}, // no control reads it
		{source: audit.AWS, typ: "AWS::::Account", pointer: "/data/GetAccountPasswordPolicy"},
		{source: audit.AWS, typ: "AWS::IAM::User", pointer: "/data/GetCredentialReport"},
		{source: audit.AWS, typ: "AWS::EC2::Instance", pointer: "/data/DescribeInstances"},
		{source: audit.Kubernetes, typ: "v1/Service", pointer: "/data/spec"},
		{source: audit.Terraform, typ: "aws_ebs_volume", pointer: "/data/values"},
		{source: audit.NetBox, typ: "dcim.device", pointer: "/data/custom_fields"},
	}
	for _, s := range before.run.Snapshots {
		denials = append(denials, denial{origin: s.Origin})
	}
	for _, d := range denials {
		t.Run(d.origin+d.typ+d.pointer, func(t *testing.T) {
			t.Parallel()
			after := runEstate(t, engine, d)
			if got, want := after.run.Status == audit.Incomplete, d.origin != ""; got != want {
				t.Errorf("the run is %s", after.run.Status)
			}
			compareWords(t, engine, d, before, after)
		})
	}
}

// compareWords holds each requirement against what its controls rest on.
func compareWords(t *testing.T, e *evaluate.Engine, d denial, before, after estateRun) {
	t.Helper()
	rests, may := restsOn(t, e, d, before)
	turned, kept := 0, 0
	for _, f := range e.Catalog().Frameworks {
		for _, r := range f.Requirements {
			key := f.ID + " " + r.ID
			must, can := false, false
			for _, ev := range r.Evidence {
				must, can = must || rests[ev.Control], can || may[ev.Control]
			}
			switch was, is := before.words[key], after.words[key]; {
			case must && is != fullyDenied:
				t.Errorf("%s rests on it and reads %q", key, is)
			case !can && is != was:
				t.Errorf("%s does not rest on it, and turned from %q to %q", key, was, is)
			case must:
				turned++
			case !can && len(r.Evidence) > 0:
				kept++
			}
		}
	}
	t.Logf("%d requirements turned, %d stayed; %v rest on it", turned, kept, slices.Sorted(maps.Keys(rests)))
	if kept == 0 || turned == 0 && d.pointer != "/data/GetBucketAcl" {
		t.Errorf("%d requirements turned and %d stayed: nothing is shown", turned, kept)
	}
}

// restsOn gives the controls that rest on what is denied, by what they read and
// by what they looked up while it was not, and those that may.
func restsOn(t *testing.T, e *evaluate.Engine, d denial, before estateRun) (rests, may map[string]bool) {
	t.Helper()
	rests, may = map[string]bool{}, map[string]bool{}
	source := d.source
	if d.origin != "" {
		source = audit.SourceOf(d.origin)
	}
	for _, c := range e.Catalog().Controls {
		for _, at := range c.AppliesTo {
			of, typ, _ := strings.Cut(at, "/")
			reads, err := e.Reads(t.Context(), c.ID, of, typ)
			if err != nil {
				t.Fatal(err)
			}
			judges := of == source && (d.origin != "" || typ == d.typ) && (d.pointer == "" || len(reads.Touched([]string{d.pointer})) > 0)
			looks := slices.ContainsFunc(reads.Estate, func(kind string) bool { return kind == "*" || strings.HasPrefix(kind, source+".") })
			if judges {
				rests[c.ID] = true
			}
			if judges || looks {
				may[c.ID] = true
			}
		}
	}
	if d.pointer != "" {
		return rests, may
	}
	gone := func(id, origin string) bool {
		return origin == d.origin || d.typ != "" && audit.SourceOf(origin) == d.source && before.verdicts[id].Type == d.typ
	}
	for _, v := range before.verdicts {
		for _, dec := range v.Decisions {
			if dec.Slice == nil || dec.Outcome == audit.Excluded || gone(v.Resource, v.Origin) {
				continue
			}
			for _, l := range dec.Slice.Lookups {
				lost := l.Source == source && len(l.Hits) > 0 && !slices.ContainsFunc(l.Hits, func(h audit.Hit) bool { return !gone(h.ID, h.Origin) })
				if lost || d.origin != "" && l.Source == source && len(l.Hits) == 0 {
					rests[dec.Control] = true
				}
			}
		}
	}
	return rests, may
}
