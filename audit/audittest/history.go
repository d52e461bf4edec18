package audittest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Origin and Type are those of the resources of a Night.
const (
	Origin = "aws/111122223333/eu-west-1"
	Type   = "AWS::S3::Bucket"
)

// Bucket is the id of a resource of a Night.
func Bucket(name string) string { return audit.ResourceID(Origin, Type, name) }

// Night is one run of an estate of buckets, each named by a letter, that the
// controls NET-001 and STO-001 are for.
type Night struct {
	Listed  string                   // the buckets that there are, in order
	Not     map[string]audit.Outcome // "NET a": what is no pass
	Gap     audit.GapCode            // of the listing of buckets
	Unread  bool                     // the origin has no snapshot at all
	Owner   string
	Accept  string // the exception of all that failed
	Control string // the library has only this control
	Change  func(*audit.Run)
}

// Record makes the record of a run that judges by Moment and as many days.
func (n Night) Record(t testing.TB, day int) audit.Record {
	t.Helper()
	var verdicts []audit.Verdict
	var lines bytes.Buffer
	for _, r := range n.Listed {
		id := Bucket(string(r))
		doc := audit.Resource{Data: map[string]any{"id": "other"}, ID: id, Name: string(r), Origin: Origin, Source: audit.AWS, Type: Type}
		line, err := doc.Line()
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
		if v := n.verdict(string(r), line, day); len(v.Decisions) > 0 {
			verdicts = append(verdicts, v)
		}
	}
	rec := Ran(t, fmt.Sprint("day ", day), verdicts...)
	rec.Catalog = library()
	if n.Control != "" {
		rec.Catalog.Controls = slices.DeleteFunc(rec.Catalog.Controls, func(c audit.Control) bool { return c.ID != n.Control })
	}
	digest, err := rec.Vault.Put(t.Context(), &lines)
	if err != nil {
		t.Fatal(err)
	}
	s := audit.Snapshot{Origin: Origin, Digest: digest, Resources: int64(len(n.Listed))}
	s.Types = []audit.TypeCount{{Type: Type, Listed: s.Resources, Completeness: audit.Listed}}
	if n.Gap != "" {
		s.Gaps = []audit.Gap{{Origin: Origin, Type: Type, Code: n.Gap, Operation: "s3:ListBuckets"}}
	}
	if !n.Unread {
		rec.Run.Snapshots = append(rec.Run.Snapshots, s)
	}
	rec.Run.AsOf = Moment.AddDate(0, 0, day)
	rec.Run.Started, rec.Run.Ended = rec.Run.AsOf, rec.Run.AsOf.Add(time.Minute)
	if n.Change != nil {
		n.Change(&rec.Run)
	}
	return rec
}

func (n Night) verdict(name string, line []byte, day int) audit.Verdict {
	v := audit.Verdict{Resource: Bucket(name), Name: name, Type: Type, Origin: Origin, Owner: n.Owner, InputDigest: audit.Digest(line)}
	for _, c := range library().Controls {
		outcome, ok := n.Not[c.ID[:3]+" "+name]
		if !ok {
			continue
		}
		d := audit.Decision{ID: audit.Digest(fmt.Append(nil, c.ID, name, day)), Control: c.ID, Outcome: outcome}
		if outcome == audit.Fail {
			d.Exception = n.Accept
		}
		v.Decisions = append(v.Decisions, d)
	}
	return v
}

// library has the controls that nights are judged by.
func library() (c audit.Catalog) {
	for _, id := range []string{"NET-001", "STO-001"} {
		c.Controls = append(c.Controls, audit.Control{ID: id, AppliesTo: []string{"aws/" + Type}})
	}
	return c
}

// Historian is a ledger that tells of violations over time.
type Historian interface {
	audit.Ledger
	Violations(ctx context.Context, q audit.SpellQuery) (audit.SpellPage, error)
}

// HistorySuite checks what every ledger tells of violations over time. open
// gives one that is empty.
func HistorySuite(t *testing.T, open func() Historian) {
	t.Helper()
	for name, tt := range histories() {
		t.Run(name, func(t *testing.T) {
			l := open()
			days := map[string]int{}
			for i, n := range tt.nights {
				days[complete(t, l, n.Record(t, i+1)).ID] = i + 1
			}
			if diff := cmp.Diff(tellSpells(t, l, days), tt.want); diff != "" {
				t.Errorf("violations (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("a segment out of order", func(t *testing.T) { historyOrder(t, open()) })
	t.Run("a run that could not be recorded", func(t *testing.T) { historyAtomic(t, open()) })
	t.Run("the same run again", func(t *testing.T) { historyRepeats(t, open()) })
	t.Run("a run that was interrupted", func(t *testing.T) { historyInterrupts(t, open()) })
}

// tellSpells renders all that a ledger tells, runs by their day.
func tellSpells(t *testing.T, l Historian, days map[string]int) (out []string) {
	t.Helper()
	page, err := l.Violations(t.Context(), audit.SpellQuery{State: audit.AllSpells, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range page.Spells {
		text := []string{s.Control[:3], s.Name + ":", string(s.Outcome)}
		if s.Excepted {
			text = append(text, "accepted")
		}
		if s.Owner != "" {
			text = append(text, "of", s.Owner)
		}
		for _, at := range []struct {
			word string
			run  *audit.RunAt
		}{{"opened", &s.Opened}, {"failed", s.Failed}, {"seen", s.Seen}, {"lost", s.Lost}, {"closed", s.Closed}} {
			if at.run == nil {
				continue
			}
			text = append(text, at.word, fmt.Sprint(days[at.run.Run]))
			if want := Moment.AddDate(0, 0, days[at.run.Run]); !at.run.AsOf.Equal(want) {
				t.Errorf("%s on %s %s as of %s, want %s", s.Control, s.Resource, at.word, at.run.AsOf, want)
			}
		}
		if s.How != "" {
			text = append(text, string(s.How))
		}
		if s.Type != Type || s.Origin != Origin || s.Resource != Bucket(s.Name) {
			t.Errorf("%+v: want a %s of %s", s, Type, Origin)
		}
		out = append(out, strings.Join(text, " "))
	}
	return out
}

func historyOrder(t *testing.T, l Historian) {
	n := Night{Listed: "ba", Not: map[string]audit.Outcome{"NET a": audit.Fail, "NET b": audit.Fail}}
	attempt, err := l.Begin(t.Context(), Moment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Complete(t.Context(), attempt, n.Record(t, 1)); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("Complete() of a segment out of order: %v", err)
	}
}

// historyAtomic fails at the end of a segment, after everything was moved.
func historyAtomic(t *testing.T, l Historian) {
	days := map[string]int{}
	days[complete(t, l, Night{Listed: "ab", Not: map[string]audit.Outcome{"NET a": audit.Fail}}.Record(t, 1)).ID] = 1
	want := tellSpells(t, l, days)
	rec := Night{Listed: "ab", Not: map[string]audit.Outcome{"NET b": audit.Fail}}.Record(t, 2)
	whole := rec.Run.Verdicts
	rc, err := rec.Vault.Open(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	var torn bytes.Buffer
	if _, err := torn.ReadFrom(rc); err != nil {
		t.Fatal(err)
	}
	torn.WriteString("{torn")
	if rec.Run.Verdicts, err = rec.Vault.Put(t.Context(), &torn); err != nil {
		t.Fatal(err)
	}
	attempt, err := l.Begin(t.Context(), rec.Run.Started)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Complete(t.Context(), attempt, rec); err == nil {
		t.Fatal("a run with a torn verdict segment was recorded")
	}
	if diff := cmp.Diff(tellSpells(t, l, days), want); diff != "" {
		t.Errorf("half a run moved the history (-got +want):\n%s", diff)
	}
	rec.Run.Verdicts = whole
	days[complete(t, l, rec).ID] = 2
	want = []string{"NET a: fail opened 1 failed 1 closed 2 fixed", "NET b: fail opened 2 failed 2"}
	if diff := cmp.Diff(tellSpells(t, l, days), want); diff != "" {
		t.Errorf("violations (-got +want):\n%s", diff)
	}
}

func historyRepeats(t *testing.T, l Historian) {
	failing := Night{Listed: "a", Not: map[string]audit.Outcome{"NET a": audit.Fail}}.Record(t, 1)
	days := map[string]int{complete(t, l, failing).ID: 1}
	days[complete(t, l, Night{Listed: "a"}.Record(t, 2)).ID] = 2
	complete(t, l, failing)
	want := []string{"NET a: fail opened 1 failed 1 closed 2 fixed"}
	if diff := cmp.Diff(tellSpells(t, l, days), want); diff != "" {
		t.Errorf("a run that is on record moved the history again (-got +want):\n%s", diff)
	}
}

func historyInterrupts(t *testing.T, l Historian) {
	fails := map[string]audit.Outcome{"NET a": audit.Fail}
	lost, err := l.Begin(t.Context(), Moment)
	if err != nil {
		t.Fatal(err)
	}
	days := map[string]int{complete(t, l, Night{Listed: "a", Not: fails}.Record(t, 1)).ID: 1}
	if _, err := l.Complete(t.Context(), lost, Night{Listed: "a"}.Record(t, 2)); err == nil {
		t.Error("an attempt that was marked interrupted could be completed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	attempt, err := l.Begin(ctx, Moment)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := l.Complete(ctx, attempt, Night{Listed: "a"}.Record(t, 3)); err == nil {
		t.Error("a run that was cancelled could be completed")
	}
	unread := Night{}.Record(t, 4)
	unread.Run.Snapshots[0].Digest = audit.Digest([]byte("not in the vault"))
	attempt, err = l.Begin(t.Context(), Moment)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Complete(t.Context(), attempt, unread); err == nil {
		t.Error("a run could be completed whose snapshot cannot be read, and with it whether a violation was fixed")
	}
	want := []string{"NET a: fail opened 1 failed 1"}
	if diff := cmp.Diff(tellSpells(t, l, days), want); diff != "" {
		t.Errorf("a run that is not on record moved the history (-got +want):\n%s", diff)
	}
}
