package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/console"
)

var update = flag.Bool("update", false, "write the golden files")

const origin = "aws/111122223333/eu-west-1"

// verdict is a resource that failed each of the controls.
func verdict(name, owner string, controls ...string) audit.Verdict {
	v := audit.Verdict{Resource: audit.ResourceID(origin, "AWS::S3::Bucket", name), Name: name, Type: "AWS::S3::Bucket", Origin: origin, Owner: owner}
	for _, c := range controls {
		v.Decisions = append(v.Decisions, audit.Decision{
			ID: audit.Digest([]byte(name + c)), Control: c, Outcome: audit.Fail,
			Violations: []audit.Violation{{Message: "is open: " + name, Observed: true, Expected: false, Path: "/data"}},
		})
	}
	return v
}

// record is a run in which every kind of outcome occurs.
func record(t testing.TB) audit.Record {
	t.Helper()
	accepted := verdict("accepted", "", "STO-001")
	accepted.Decisions[0].Exception = "EXC-1"
	many := verdict("public", "shop", "STO-001", "STO-002")
	for i := range 4 {
		many.Decisions[0].Violations = append(many.Decisions[0].Violations, audit.Violation{Message: fmt.Sprintf("also %d", i)})
	}
	rec := audittest.Ran(t, "console", accepted, verdict("backup", "platform", "STO-002"), many)
	rec.Run.Entity, rec.Run.System = "Nordhafen Logistik", "production"
	rec.Catalog.Controls = []audit.Control{
		{ID: "IAM-001", Title: "Users have MFA", Severity: "critical"},
		{ID: "INV-001", Title: "Machines have owners", Severity: "medium"},
		{ID: "STO-001", Title: "Storage is private", Severity: "critical"},
		{ID: "STO-002", Title: "Storage keeps versions", Severity: "high"},
	}
	denied := audit.Gap{Origin: "netbox/main", Type: "dcim.device", Code: audit.AccessDenied, Operation: "GET /api/dcim/devices/"}
	rec.Run.Counts = []audit.Count{
		{Control: "IAM-001", Type: "AWS::IAM::User", Origin: origin, Listed: 4, Pass: 4},
		{Control: "INV-001", Type: "dcim.device", Origin: "netbox/main", Gaps: []audit.Gap{denied}},
		{Control: "STO-001", Type: "AWS::S3::Bucket", Origin: origin, Listed: 12, Pass: 7, Fail: 2, NotEvaluated: 3, Excepted: 1},
		{Control: "STO-002", Type: "AWS::S3::Bucket", Origin: origin, Listed: 12, Pass: 5, Fail: 2, Excluded: 5},
	}
	rec.Run.Snapshots = []audit.Snapshot{
		{Origin: origin, Resources: 16, Identity: "arn:aws:iam::111122223333:role/audit", Ended: audittest.Moment},
		{Origin: "netbox/main", Identity: "crosscheck", Ended: audittest.Moment, Recorded: true, Gaps: []audit.Gap{denied}},
	}
	rec.Run.Notices = []audit.Notice{{Code: "exception_unused", Subject: "EXC-2", Message: "covers no failed decision"}}
	return rec
}

// simulated is a run that must not be taken for evidence.
func simulated(t testing.TB) audit.Record {
	rec := record(t)
	rec.Run.Status, rec.Run.Simulated = audit.Incomplete, true
	rec.Run.Scope = audit.Scope{Controls: []string{"STO-001"}, Severity: "high"}
	rec.Run.Snapshots[1].Gaps = []audit.Gap{{Origin: "netbox/main", Type: audit.AllTypes, Code: audit.Unreachable, Operation: "GET /api/status/"}}
	return rec
}

func deliver(t testing.TB, rec audit.Record, cfg console.Config) string {
	t.Helper()
	var buf bytes.Buffer
	cfg.Out = &buf
	s, err := console.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestFormats(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rec func(testing.TB) audit.Record
		cfg console.Config
	}{
		"table":      {record, console.Config{Limit: 2}},
		"color":      {record, console.Config{Limit: 2, Color: true}},
		"json":       {record, console.Config{Format: console.JSON}},
		"quiet":      {record, console.Config{Format: console.Quiet}},
		"incomplete": {simulated, console.Config{}},
		"clean":      {func(t testing.TB) audit.Record { return audittest.Ran(t, "clean") }, console.Config{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := deliver(t, tt.rec(t), tt.cfg)
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, string(want)); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestLoud(t *testing.T) {
	t.Parallel()
	for _, format := range []string{console.Table, console.JSON} {
		got := deliver(t, simulated(t), console.Config{Format: format})
		for _, want := range []string{"INCOMPLETE: 1 of 2 origins could not be read", "SIMULATED: judged as of 2026-11-21T02:00:00Z"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	}
	if got := deliver(t, simulated(t), console.Config{Format: console.Quiet}); !strings.Contains(got, "incomplete") || !strings.Contains(got, "SIMULATED") {
		t.Errorf("quiet says %q", got)
	}
}

func TestJSONIsOneDocument(t *testing.T) {
	t.Parallel()
	var doc struct {
		Run    string `json:"run"`
		Total  map[string]int64
		Failed []struct {
			ID, Control, Resource, Severity string
			Excepted                        bool
		}
	}
	if err := json.Unmarshal([]byte(deliver(t, record(t), console.Config{Format: console.JSON})), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Failed) != 4 || !doc.Failed[0].Excepted || doc.Total["failed"] != 3 || doc.Total["excepted"] != 1 || len(doc.Failed[0].ID) != 64 {
		t.Errorf("%+v, want four failed decisions, one of them excepted", doc)
	}
}

const hostile = "a\x1b[2J\x1b]0;owned\x07\r\nPASS\u009b31m\u202eevil\u0000\xff\tb"

func TestNamesCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	rec := record(t)
	v := verdict("x", hostile, "STO-001")
	v.Resource, v.Name, v.Origin = hostile, hostile, hostile
	v.Decisions[0].Violations[0].Message = hostile
	rec.Run.Verdicts = audittest.Ran(t, "x", v).Run.Verdicts
	segment := audittest.Ran(t, "x", v)
	rec.Vault, rec.Run.Verdicts = segment.Vault, segment.Run.Verdicts
	rec.Run.Entity, rec.Run.Snapshots[0].Origin, rec.Run.Snapshots[0].Identity = hostile, hostile, hostile
	rec.Run.Snapshots[0].Gaps = []audit.Gap{{Origin: hostile, Type: hostile, Code: hostile, Operation: hostile}}
	rec.Run.Notices = []audit.Notice{{Code: hostile, Subject: hostile, Message: hostile}}
	rec.Catalog.Controls[2].Title = hostile
	rec.Run.Scope.Resources = []string{hostile}
	for _, format := range []string{console.Table, console.JSON, console.Quiet} {
		got := deliver(t, rec, console.Config{Format: format})
		for i, r := range got {
			if r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == utf8.RuneError && !strings.HasPrefix(got[i:], "\uFFFD")) {
				t.Fatalf("%s lets %q through at %d", format, r, i)
			}
		}
		if strings.Contains(got, "\nPASS") {
			t.Errorf("%s lets a line through", format)
		}
		if format == console.JSON && !json.Valid([]byte(got)) {
			t.Error("what is escaped is no JSON any more")
		}
	}
}

func TestManyViolations(t *testing.T) {
	t.Parallel()
	var verdicts []audit.Verdict
	for i := range 500 {
		verdicts = append(verdicts, verdict(fmt.Sprintf("b%03d", i), "", []string{"INV-001", "STO-002"}[i%2]))
	}
	verdicts = append(verdicts, verdict("worst", "", "STO-001"))
	rec := record(t)
	segment := audittest.Ran(t, "many", verdicts...)
	rec.Vault, rec.Run.Verdicts = segment.Vault, segment.Run.Verdicts
	rec.Run.Counts = []audit.Count{{Control: "STO-001", Listed: 1, Fail: 1}, {Control: "STO-002", Listed: 250, Fail: 250}, {Control: "INV-001", Listed: 250, Fail: 250}}
	got := deliver(t, rec, console.Config{})
	first := strings.Index(got, "Violations, worst first (10 of 501")
	if first < 0 || !strings.Contains(got, "Not shown: 491. All of them: crosscheck decisions list --run "+rec.Run.ID) {
		t.Errorf("the count of what is not shown is missing:\n%s", got)
	}
	if again := deliver(t, rec, console.Config{Command: "crosscheck --config a.yaml"}); !strings.Contains(again, "crosscheck --config a.yaml decisions list --run "+rec.Run.ID) {
		t.Errorf("what to run next does not name the configuration:\n%s", again)
	}
	if worst := strings.Index(got, "/worst"); worst < first || worst > strings.Index(got, "/b001") || strings.Contains(got, "/b000") {
		t.Errorf("not the worst first:\n%s", got)
	}
}

func TestLongMessagesAreCutAloud(t *testing.T) {
	t.Parallel()
	v := verdict("x", "", "STO-001")
	v.Decisions[0].Violations[0].Message = strings.Repeat("ä", 1000)
	rec := audittest.Ran(t, "x", v)
	rec.Run.Counts = []audit.Count{{Control: "STO-001", Listed: 1, Fail: 1}}
	if got := deliver(t, rec, console.Config{}); !strings.Contains(got, "(700 characters more)") {
		t.Errorf("got %s", got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]console.Config{"no writer": {}, "format": {Out: io.Discard, Format: "xml"}, "limit": {Out: io.Discard, Limit: -1}} {
		if _, err := console.New(cfg); err == nil {
			t.Errorf("%s: New() succeeded", name)
		}
	}
	s, err := console.New(console.Config{Out: io.Discard})
	if err != nil || s.Name() != "console" {
		t.Errorf("New() = %v, %v", s, err)
	}
}

// closed is a pipe that nobody reads.
type closed struct{}

var errClosed = errors.New("broken pipe")

func (closed) Write([]byte) (int, error) { return 0, errClosed }

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, format := range []string{console.Table, console.JSON, console.Quiet} {
		s, err := console.New(console.Config{Out: closed{}, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), record(t), audit.Delivery{}); !errors.Is(err, errClosed) {
			t.Errorf("%s: Deliver() = %v, want %v", format, err, errClosed)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := console.New(console.Config{Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(ctx, record(t), audit.Delivery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Deliver() = %v, want %v", err, context.Canceled)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	tell, stop := console.Draw(&buf, func() int { return 60 })
	for _, e := range []audit.Event{
		{Stage: "collecting", Origin: "netbox/main"},
		{Stage: "collecting", Origin: "aws/1\x1b[2J", Done: 100},
		{Stage: "collected", Origin: "aws/1\x1b[2J", Done: 120},
		{Stage: "collected", Origin: "netbox/main", Err: errors.New("no answer\x07")},
		{Stage: "deciding", Done: 60, Total: 120, Violation: 7},
		{Stage: "deciding", Done: 60, Total: 120, Violation: 7},
		{Stage: "deciding", Done: 9, Violation: 1},
		{Stage: "recorded"},
		{Stage: "delivered", Sink: "files", Err: errors.New("disk full")},
		{Stage: "something new"},
	} {
		tell(e)
	}
	stop()
	stop()
	const erase = "\r\x1b[K"
	want := strings.Join([]string{
		"", "collecting: 0 resources, 0 origins read, reading netbox/ma…", `collecting: 100 resources, 0 origins read, reading aws/1\x…`,
		"collecting: 120 resources, 1 origins read, reading netbox/…", `netbox/main could not be read: no answer\a` + "\n",
		"collecting: 120 resources, 2 origins read", "deciding [============            ]  50% of 120 resources,…",
		"deciding: 9 resources, 1 failed decisions", "recorded; delivering", "files was not delivered to: disk full\n", "",
	}, erase)
	if diff := cmp.Diff(buf.String(), want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestProgressFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	tell, stop := console.Draw(&buf, func() int { return 0 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				tell(audit.Event{Stage: "collecting", Origin: fmt.Sprint(i), Done: int64(n)})
			}
		})
	}
	wg.Wait()
	stop()
}

func TestPipesAreSilent(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	tell, stop := console.Progress(f)
	tell(audit.Event{Stage: "recorded"})
	stop()
	info, err := f.Stat()
	if err != nil || info.Size() != 0 || console.Colors(f) || console.Terminal(f) {
		t.Errorf("%d bytes of progress in a file, and %v", info.Size(), err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if console.Colors(io.Discard) {
		t.Error("colours for something that is no terminal")
	}
}

func FuzzNames(f *testing.F) {
	f.Add(hostile)
	f.Add("Gerät \u2028 🚢 \\x1b")
	f.Fuzz(func(t *testing.T, name string) {
		v := verdict("x", name, "STO-001")
		v.Resource = name
		v.Decisions[0].Violations[0].Message = name
		rec := audittest.Ran(t, "x", v)
		rec.Run.Entity, rec.Run.Counts = name, []audit.Count{{Control: name, Listed: 1, Fail: 1}}
		for _, format := range []string{console.Table, console.JSON} {
			got := deliver(t, rec, console.Config{Format: format})
			if strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 }) || !utf8.ValidString(got) {
				t.Fatalf("%s lets control characters through: %q", format, got)
			}
			if format == console.JSON && !json.Valid([]byte(got)) {
				t.Fatalf("no JSON: %s", got)
			}
		}
	})
}
