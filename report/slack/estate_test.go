package slack_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// bucket is a resource of a night: what it does not pass is named by the first
// letters of controls.
type bucket struct {
	name, owner string
	fails       string // "STO NET"
	unsure      string
	exception   string
	message     string
}

func library() audit.Catalog {
	at := []string{"aws/" + audittest.Type}
	return audit.Catalog{Controls: []audit.Control{
		{ID: "NET-001", Title: "Nothing is open to the world", Severity: "high", AppliesTo: at},
		{ID: "STO-001", Title: "Storage cannot be opened to the public", Severity: "critical", AppliesTo: at, Why: "Public buckets leak.", Fix: map[string]string{"terraform": "resource \"x\" {\n  `y` = <z>\n}", "netbox": "no"}},
		{ID: "TAG-001", Title: "Everything has an owner", Severity: "low", AppliesTo: at},
	}}
}

// installation is a real ledger, with what it rests on.
type installation struct {
	t      *testing.T
	ledger *ledger.Ledger
	clock  *clock
	vaults map[string]audit.Record // by run
}

func install(t *testing.T, c *clock) *installation {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &installation{t, l, c, map[string]audit.Record{}}
}

// night records a run of an estate, a day after the one before.
func (in *installation) night(change func(*audit.Run), estate ...bucket) audit.Record {
	in.t.Helper()
	in.clock.forward(24 * time.Hour)
	rec := in.record(change, estate)
	attempt, err := in.ledger.Begin(in.t.Context(), rec.Run.Started)
	if err != nil {
		in.t.Fatal(err)
	}
	rec.Owed = []string{"slack"}
	if rec.Run, err = in.ledger.Complete(in.t.Context(), attempt, rec); err != nil {
		in.t.Fatal(err)
	}
	in.vaults[rec.Run.ID] = rec
	in.clock.forward(time.Minute) // it took that long
	return rec
}

func (in *installation) record(change func(*audit.Run), estate []bucket) audit.Record {
	in.t.Helper()
	slices.SortFunc(estate, func(a, b bucket) int { return strings.Compare(a.name, b.name) })
	var lines bytes.Buffer
	var verdicts []audit.Verdict
	counts := map[string]*audit.Count{}
	for _, c := range library().Controls {
		counts[c.ID] = &audit.Count{Control: c.ID, Type: audittest.Type, Origin: audittest.Origin}
	}
	for _, b := range estate {
		doc := audit.Resource{Data: map[string]any{}, ID: audittest.Bucket(b.name), Name: b.name, Origin: audittest.Origin, Source: audit.AWS, Type: audittest.Type}
		line, err := doc.Line()
		if err != nil {
			in.t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
		v := audit.Verdict{Resource: doc.ID, Name: b.name, Type: audittest.Type, Origin: audittest.Origin, Owner: b.owner, InputDigest: audit.Digest(line)}
		for _, c := range library().Controls {
			n := counts[c.ID]
			n.Listed++
			switch {
			case strings.Contains(b.fails, c.ID[:3]):
				n.Fail++
				if b.exception != "" {
					n.Excepted++
				}
				v.Decisions = append(v.Decisions, audit.Decision{Control: c.ID, Outcome: audit.Fail, Exception: b.exception, Violations: []audit.Violation{{Message: b.message + "open", Path: "/data"}}})
			case strings.Contains(b.unsure, c.ID[:3]):
				n.NotEvaluated++
				v.Decisions = append(v.Decisions, audit.Decision{Control: c.ID, Outcome: audit.NotEvaluated, Reasons: []audit.Reason{{Code: "gap", Detail: "denied s3:GetBucketAcl"}}})
			default:
				n.Pass++
			}
		}
		if len(v.Decisions) > 0 {
			verdicts = append(verdicts, v)
		}
	}
	rec := audittest.Ran(in.t, in.clock.Now().String(), verdicts...)
	rec.Catalog, rec.History = library(), in.ledger
	digest, err := rec.Vault.Put(in.t.Context(), &lines)
	if err != nil {
		in.t.Fatal(err)
	}
	n := int64(len(estate))
	rec.Run.Snapshots = []audit.Snapshot{{Origin: audittest.Origin, Digest: digest, Resources: n, Types: []audit.TypeCount{{Type: audittest.Type, Listed: n, Completeness: audit.Listed}}}}
	for _, c := range library().Controls {
		rec.Run.Counts = append(rec.Run.Counts, *counts[c.ID])
	}
	rec.Run.System = "Freight platform"
	rec.Run.AsOf = in.clock.Now()
	rec.Run.Started, rec.Run.Ended = rec.Run.AsOf, rec.Run.AsOf.Add(time.Minute)
	if change != nil {
		change(&rec.Run)
	}
	return rec
}

// sink makes one by a token, or by a webhook.
func (in *installation) sink(s *server, change func(*slack.Config)) *slack.Sink {
	in.t.Helper()
	cfg := slack.Config{
		Token: func() (string, error) { return token, nil }, Channel: "C0123456789", API: s.URL + "/api/", Now: in.clock.Now, Wait: in.clock.Wait,
		Owners: map[string]string{"payments": "U0PAYMENTS", "platform": "S0PLATFORM"}, Runs: in.ledger.Run, Client: s.Client(),
	}
	if change != nil {
		change(&cfg)
	}
	out, err := slack.New(cfg)
	if err != nil {
		in.t.Fatal(err)
	}
	return out
}

func (in *installation) byWebhook(s *server) func(*slack.Config) {
	return func(c *slack.Config) { c.Token, c.Channel, c.Webhook = nil, "", s.webhook }
}

// outbox delivers from the real queue.
func (in *installation) outbox(s audit.Sink) *report.Outbox {
	in.t.Helper()
	box, err := report.New(report.Config{
		Queue: in.ledger, Sinks: []audit.Sink{s}, Now: in.clock.Now, Log: audittest.Log(),
		Record: func(_ context.Context, id string) (audit.Record, error) {
			rec, ok := in.vaults[id]
			if !ok {
				return rec, fmt.Errorf("no run %s", id)
			}
			return rec, nil
		},
	})
	if err != nil {
		in.t.Fatal(err)
	}
	return box
}

// flush delivers what is due.
func (in *installation) flush(s audit.Sink) error { return in.outbox(s).Flush(in.t.Context()) }

// owed is the only delivery that waits or is done.
func (in *installation) owed(subject string) audit.Delivery {
	in.t.Helper()
	list, err := in.ledger.Deliveries(in.t.Context(), ledger.DeliveryQuery{Subject: subject})
	if err != nil || len(list) != 1 {
		in.t.Fatalf("%d deliveries of %s, %v", len(list), subject, err)
	}
	return list[0]
}
