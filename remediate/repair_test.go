package remediate_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

func TestRepairIsApprovedDoneAndVerified(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, l := setup(t, w)
	r := approved(t, e, w, "logs")
	got := ran(t, e, r.ID)
	if got.State != audit.RepairVerified || w.acts["logs"] != 1 || w.open["logs"] {
		t.Fatalf("state %s (%s), %d acts", got.State, got.Reason, w.acts["logs"])
	}
	if got.Verified.Outcome != audit.Pass || got.Verified.Decision == got.Decision || got.Requested.By != manual || got.Decided.By != boss {
		t.Errorf("the row does not link what was violated with what proves it: %+v", got)
	}
	if strings.Contains(got.Acted.Output, "hunter2") || !strings.Contains(got.Acted.Output, "closed with password=[redacted]") {
		t.Errorf("output is %q", got.Acted.Output)
	}
	events, err := l.RepairEvents(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var states []audit.RepairState
	for _, x := range events {
		states = append(states, x.State)
	}
	want := []audit.RepairState{audit.RepairRequested, audit.RepairApproved, audit.RepairActing, audit.RepairActed, audit.RepairVerified}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
	if again := ran(t, e, r.ID); again.State != audit.RepairVerified || w.acts["logs"] != 1 {
		t.Errorf("a second run moved it to %s, %d acts", again.State, w.acts["logs"])
	}
	if twice, err := e.Request(t.Context(), decisionOf(w, "logs"), "", manual); err != nil || twice.ID != r.ID || twice.State != audit.RepairVerified {
		t.Errorf("asked for twice: %v, %v", twice.State, err)
	}
}

// TestGuards has a guard stop an approved repair; nothing may be done.
func TestGuards(t *testing.T) {
	t.Parallel()
	use := func(u remediate.Use) func(*remediate.Config) { u.Mode = audit.ModeApprove; return using(u) }
	tests := map[string]struct {
		config func(*remediate.Config)
		change func(*world)
		state  audit.RepairState
		reason string
	}{
		"stop file": {
			func(c *remediate.Config) { c.Stat = func(string) (fs.FileInfo, error) { return nil, nil } }, nil, audit.RepairApproved, "",
		},
		"stop file that cannot be told": {
			func(c *remediate.Config) {
				c.Stat = func(string) (fs.FileInfo, error) { return nil, fs.ErrPermission }
			}, nil, audit.RepairApproved, "",
		},
		"outside of the window":     {use(remediate.Use{Windows: []remediate.Window{{From: "22:00", To: "04:00", Zone: time.UTC}}}), nil, audit.RepairApproved, ""},
		"origin denied":             {use(remediate.Use{Origins: remediate.List{Deny: []string{"aws/1111*"}}}), nil, audit.RepairBlocked, "is denied"},
		"origin not allowed":        {use(remediate.Use{Origins: remediate.List{Allow: []string{"aws/9*"}}}), nil, audit.RepairBlocked, "not among those allowed"},
		"denied beats allowed":      {use(remediate.Use{Origins: remediate.List{Allow: []string{"*"}, Deny: []string{"*"}}}), nil, audit.RepairBlocked, "is denied"},
		"tag denied":                {use(remediate.Use{Tags: remediate.TagList{Deny: []string{"repair=never"}}}), func(w *world) { w.tags = map[string]string{"repair": "never"} }, audit.RepairBlocked, "tag"},
		"no tag that is allowed":    {use(remediate.Use{Tags: remediate.TagList{Allow: []string{"env=dev"}}}), func(w *world) { w.tags = map[string]string{"env": "prod"} }, audit.RepairBlocked, "tags"},
		"tags not read":             {use(remediate.Use{Tags: remediate.TagList{Deny: []string{"x"}}}), func(w *world) { w.gaps = map[string]string{"/tags": "AccessDenied s3:GetBucketTagging"} }, audit.RepairBlocked, "could not be read"},
		"fixed meanwhile":           {nil, func(w *world) { w.open["logs"] = false }, audit.RepairBlocked, "not violated any more"},
		"cannot be told meanwhile":  {nil, func(w *world) { w.outcome = audit.NotEvaluated }, audit.RepairBlocked, "not violated any more"},
		"gone meanwhile":            {nil, func(w *world) { w.gone = true }, audit.RepairBlocked, "is gone"},
		"accepted meanwhile":        {nil, func(w *world) { w.excepted = true }, audit.RepairBlocked, "accepted"},
		"something else now":        {nil, func(w *world) { w.name = func(string) string { return "other" } }, audit.RepairBlocked, "not what was asked for"},
		"hostile name meanwhile":    {nil, func(w *world) { w.name = func(string) string { return "x;rm -rf /" } }, audit.RepairBlocked, "does not match"},
		"state cannot be captured":  {nil, func(w *world) { w.capErr = errors.New("no permission") }, audit.RepairBlocked, "could not be captured"},
		"the dry run fails":         {nil, func(w *world) { w.dryErr = errors.New("forbidden") }, audit.RepairBlocked, "dry run"},
		"approver is none any more": {func(c *remediate.Config) { c.Approvers = []string{"user:other"} }, nil, audit.RepairBlocked, "no approval by somebody who may"},
		"only suggests now":         {using(remediate.Use{Mode: audit.ModeSuggest}), nil, audit.RepairBlocked, "only suggests"},
		"not in use any more":       {func(c *remediate.Config) { c.Uses = nil }, nil, audit.RepairBlocked, "not in use"},
		"runbook changed": {func(c *remediate.Config) {
			c.Runbooks = []remediate.Runbook{changed(c.Runbooks[0])}
		}, nil, audit.RepairBlocked, "was changed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
			before, _ := setupAt(t, w, path)
			r := approved(t, before, w, "logs")
			if tt.change != nil {
				tt.change(w)
			}
			var changes []func(*remediate.Config)
			if tt.config != nil {
				changes = append(changes, tt.config)
			}
			e, _ := setupAt(t, w, path, changes...)
			got := ran(t, e, r.ID)
			if got.State != tt.state || !strings.Contains(got.Reason, tt.reason) || w.count() != 0 {
				t.Errorf("it is %s (%s), %d acts; want %s (%s), none", got.State, got.Reason, w.count(), tt.state, tt.reason)
			}
			if got.State == audit.RepairApproved && e.Why(t.Context(), got) == "" {
				t.Error("nothing tells what it waits for")
			}
		})
	}
}

func changed(r remediate.Runbook) remediate.Runbook { r.Digest = audit.Digest([]byte("x")); return r }

func TestKillSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, l := setup(t, w)
	r := approved(t, e, w, "logs")
	turn := func(value string) {
		t.Helper()
		if err := l.Turn(t.Context(), audit.Switch{Name: remediate.StopSwitch, Value: value, By: boss, At: w.now}); err != nil {
			t.Fatal(err)
		}
	}
	turn(remediate.Stopped)
	if got := ran(t, e, r.ID); got.State != audit.RepairApproved || w.count() != 0 {
		t.Fatalf("stopped, it is %s, %d acts", got.State, w.count())
	}
	if why := e.Why(t.Context(), r); !strings.Contains(why, "stopped by "+boss) {
		t.Errorf("it waits because %q", why)
	}
	turn("on")
	if got := ran(t, e, r.ID); got.State != audit.RepairVerified {
		t.Errorf("resumed, it is %s", got.State)
	}
}

// TestStoppedAtTheLastMoment turns the switch while everything is being made ready.
func TestStoppedAtTheLastMoment(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, l := setup(t, w)
	r := approved(t, e, w, "logs")
	w.capturing = func() {
		if err := l.Turn(t.Context(), audit.Switch{Name: remediate.StopSwitch, Value: remediate.Stopped, By: boss, At: w.now}); err != nil {
			t.Error(err)
		}
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairApproved || w.count() != 0 {
		t.Errorf("it is %s, %d acts", got.State, w.count())
	}
}

func TestBreakerOpensAfterFailures(t *testing.T) {
	t.Parallel()
	names := []string{"aaa", "bbb", "ccc"}
	w := newWorld(names...)
	w.ineffect = true
	e, l := setup(t, w, func(c *remediate.Config) { c.Failures = 2 })
	var ids []string
	for _, n := range names {
		ids = append(ids, approved(t, e, w, n).ID)
	}
	if got := ran(t, e, ids[2]); got.State != audit.RepairApproved || w.count() != 2 {
		t.Fatalf("after two failures the third is %s, %d acts", got.State, w.count())
	}
	if why := e.Why(t.Context(), must(e.Find(t.Context(), ids[2]))); !strings.Contains(why, "circuit breaker") {
		t.Errorf("it waits because %q", why)
	}
	w.ineffect, w.now = false, w.now.Add(time.Minute)
	if err := e.MayResume("user:nobody", remediate.Breaker("close-bucket")); err == nil {
		t.Error("anybody may close the breaker")
	}
	if err := l.Turn(t.Context(), audit.Switch{Name: remediate.Breaker("close-bucket"), Value: "reset", By: boss, At: w.now}); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, ids[2]); got.State != audit.RepairVerified {
		t.Errorf("with the breaker closed it is %s (%s)", got.State, got.Reason)
	}
}

// TestBreakerAndTheClock: who closed the breaker while the clock was ahead did not
// switch it off until then.
func TestBreakerAndTheClock(t *testing.T) {
	t.Parallel()
	names := []string{"aaa", "bbb", "ccc"}
	w := newWorld(names...)
	w.ineffect = true
	e, l := setup(t, w, func(c *remediate.Config) { c.Failures = 2 })
	if err := l.Turn(t.Context(), audit.Switch{Name: remediate.Breaker("close-bucket"), Value: "reset", By: boss, At: w.now.Add(24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, n := range names {
		ids = append(ids, approved(t, e, w, n).ID)
	}
	if got := ran(t, e, ids[2]); got.State != audit.RepairApproved || w.count() != 2 {
		t.Errorf("after two failures the third is %s, %d acts", got.State, w.count())
	}
}

func must(r audit.Repair, err error) audit.Repair {
	if err != nil {
		panic(err)
	}
	return r
}

func TestNoMoreThanARunMayHave(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		use  remediate.Use
		want int
	}{
		"targets": {remediate.Use{Mode: audit.ModeApprove, MaxTargets: 2, MaxPercent: 100}, 2},
		"percent": {remediate.Use{Mode: audit.ModeApprove, MaxTargets: 50, MaxPercent: 3}, 3},
		"never 0": {remediate.Use{Mode: audit.ModeApprove, MaxTargets: 50, MaxPercent: 1}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := []string{"aaa", "bbb", "ccc", "ddd", "eee"}
			w := newWorld(names...)
			e, l := setup(t, w, using(tt.use))
			for _, n := range names {
				approved(t, e, w, n)
			}
			ran(t, e, approved0(t, l))
			if w.count() != tt.want {
				t.Errorf("%d acts, want %d", w.count(), tt.want)
			}
			blocked, err := l.Repairs(t.Context(), audit.RepairQuery{States: []audit.RepairState{audit.RepairBlocked}})
			if err != nil || len(blocked) != len(names)-tt.want || !strings.Contains(blocked[0].Reason, "as many as it may") {
				t.Errorf("%d are blocked, %v", len(blocked), err)
			}
		})
	}
}

func approved0(t *testing.T, l remediate.Ledger) string {
	t.Helper()
	list, err := l.Repairs(t.Context(), audit.RepairQuery{Limit: 1})
	if err != nil || len(list) == 0 {
		t.Fatal(err)
	}
	return list[0].ID
}

func TestWhatSinksAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, l := setup(t, w)
	ran(t, e, approved(t, e, w, "logs").ID)
	list, err := l.Due(t.Context(), "slack", w.now, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []audit.RepairState
	for _, d := range list {
		if d.Kind != audit.OfRepair || d.Announcement.Repair == nil {
			t.Fatalf("owed %+v", d)
		}
		got = append(got, d.Announcement.Repair.State)
	}
	want := []audit.RepairState{audit.RepairRequested, audit.RepairApproved, audit.RepairActing, audit.RepairActed, audit.RepairVerified}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	w := newWorld("logs", "www")
	e, l := setup(t, w)
	ran(t, e, approved(t, e, w, "logs").ID)
	w.ineffect = true
	ran(t, e, approved(t, e, w, "www").ID)
	got, err := l.RepairRates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.RepairRate{{Runbook: "close-bucket", State: audit.RepairRolledBack, Count: 1}, {Runbook: "close-bucket", State: audit.RepairVerified, Count: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
