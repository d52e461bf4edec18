package remediate_test

import (
	"errors"
	"fmt"
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

func TestWhoMayApprove(t *testing.T) {
	t.Parallel()
	w := newWorld("logs", "www", "mail")
	e, _ := setup(t, w, func(c *remediate.Config) { c.Approvers = []string{boss, manual, "token:asker", "slack:Asker"} })
	r, err := e.Request(t.Context(), decisionOf(w, "logs"), "", manual)
	if err != nil {
		t.Fatal(err)
	}
	for by, want := range map[string]string{
		manual: "somebody else must approve it", "token:asker": "somebody else must approve it", "slack:Asker": "somebody else must approve it", "user:nobody": "may not decide", remediate.Itself: "may not decide", "": "may not decide",
	} {
		if _, err := e.Approve(t.Context(), r.ID, by); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("approved by %q: %v, want %q", by, err, want)
		}
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairRequested || w.count() != 0 {
		t.Errorf("without an approval it is %s, %d acts", got.State, w.count())
	}
	if _, err := e.Deny(t.Context(), r.ID, manual, "it is our website"); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairDenied || w.count() != 0 {
		t.Errorf("denied, it is %s, %d acts", got.State, w.count())
	}
	if again, err := e.Request(t.Context(), decisionOf(w, "logs"), "", manual); err != nil || again.State != audit.RepairDenied {
		t.Errorf("asked for again after no: %s, %v", again.State, err)
	}
	www, err := e.Request(t.Context(), decisionOf(w, "www"), "", manual)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := e.Request(t.Context(), decisionOf(w, "mail"), "", "user:other")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "repair " + mail.ID[:12] + " is approved already, by " + boss} {
		if _, err := e.Approve(t.Context(), mail.ID, boss); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("approved: %v, want %q", err, want)
		}
	}
	w.now = w.now.Add(73 * time.Hour)
	if _, err := e.Approve(t.Context(), www.ID, boss); err == nil || !strings.Contains(err.Error(), "older than") {
		t.Errorf("a stale request was approved: %v", err)
	}
	if got := ran(t, e, www.ID); got.State != audit.RepairExpired {
		t.Errorf("a stale request is %s", got.State)
	}
}

func TestApprovalExpires(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, _ := setup(t, w)
	r := approved(t, e, w, "logs")
	w.now = w.now.Add(25 * time.Hour)
	if got := ran(t, e, r.ID); got.State != audit.RepairExpired || w.count() != 0 {
		t.Errorf("it is %s, %d acts", got.State, w.count())
	}
}

// TestApprovalOfATimeToCome: what was approved while the clock was ahead is not
// approved for longer once it is put right. A second or two is no jump.
func TestApprovalOfATimeToCome(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		back time.Duration
		want audit.RepairState
	}{"a month": {30 * 24 * time.Hour, audit.RepairExpired}, "two seconds": {2 * time.Second, audit.RepairVerified}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			w.now = w.now.Add(-tt.back)
			if got := ran(t, e, r.ID); got.State != tt.want {
				t.Errorf("it is %s (%s), %d acts; want %s", got.State, got.Reason, w.count(), tt.want)
			}
		})
	}
	w := newWorld("logs")
	e, _ := setup(t, w)
	r, err := e.Request(t.Context(), decisionOf(w, "logs"), "", manual)
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(-30 * 24 * time.Hour)
	if _, err := e.Approve(t.Context(), r.ID, boss); err == nil || !strings.Contains(err.Error(), "request it again") {
		t.Errorf("a request of a time to come was approved: %v", err)
	}
}

// TestApprovalIsOfItsParameters: who approves what they were shown, as by the button
// of an old message, does not approve what was asked for since with other settings.
func TestApprovalIsOfItsParameters(t *testing.T) {
	t.Parallel()
	w, path := newWorld("logs"), filepath.Join(t.TempDir(), "ledger.db")
	text := strings.Replace(book, "act: {", "  owner: {from: settings, pointer: /owner, pattern: '^[a-z]+$', max: 63}\nact: {owner: {param: owner}, ", 1)
	with := func(owner string) *remediate.Engine {
		e, _ := setupAt(t, w, path, using(remediate.Use{Mode: audit.ModeApprove, With: map[string]string{"owner": owner}}),
			func(c *remediate.Config) { c.Runbooks = []remediate.Runbook{parsed(t, text)} })
		return e
	}
	old := must(with("alice").Request(t.Context(), decisionOf(w, "logs"), "", manual))
	w.now = w.now.Add(73 * time.Hour)
	e := with("mallory")
	ran(t, e, old.ID)
	asked := must(e.Request(t.Context(), decisionOf(w, "logs"), "", manual))
	if got, err := e.Approve(t.Context(), old.ID, boss); err == nil {
		t.Errorf("%v is approved, shown was %v", got.Parameters, old.Parameters)
	}
	if got, err := e.Approve(t.Context(), asked.ID, boss); err != nil || got.Parameters["owner"] != "mallory" {
		t.Errorf("%v, %v", got.Parameters, err)
	}
}

// TestOnePersonIsNoTwo: an approval on record by who asked, under another name of
// theirs, lets nothing act, whoever put it there.
func TestOnePersonIsNoTwo(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	e, l := setup(t, w, func(c *remediate.Config) { c.Approvers = []string{boss, "token:asker"} })
	r := approved(t, e, w, "logs")
	r.Decided.By = "token:asker"
	if err := l.Move(t.Context(), audit.RepairMove{From: audit.RepairApproved, To: r, By: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e, r.ID); got.State != audit.RepairBlocked || w.count() != 0 {
		t.Errorf("it is %s (%s), %d acts", got.State, got.Reason, w.count())
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

func TestWhatDoesNotWorkIsRolledBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world)
		state  audit.RepairState
		reason string
		open   bool
		undos  int
	}{
		"no effect":             {func(w *world) { w.ineffect = true }, audit.RepairRolledBack, "still there", true, 1},
		"another control fails": {func(w *world) { w.alsoFails = []string{"STO-009"} }, audit.RepairRolledBack, "STO-009", true, 1},
		"runner fails half way": {func(w *world) { w.ineffect, w.actErr = true, errors.New("500") }, audit.RepairRolledBack, "the runner: 500", true, 1},
		"runner fails, done":    {func(w *world) { w.actErr = errors.New("timeout") }, audit.RepairVerified, "timeout", false, 0},
		"cannot be undone":      {func(w *world) { w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied") }, audit.RepairStuck, "denied", false, 1},
		"undo does nothing":     {func(w *world) { w.alsoFails, w.noUndo = []string{"X-001"}, true }, audit.RepairStuck, "not what was there before", false, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			tt.change(w)
			got := ran(t, e, r.ID)
			if got.State != tt.state || !strings.Contains(got.Reason, tt.reason) || w.open["logs"] != tt.open || w.undos != tt.undos || w.count() != 1 {
				t.Errorf("it is %s (%s), open %v, %d undos, %d acts; want %s (%s), %v, %d, 1",
					got.State, got.Reason, w.open["logs"], w.undos, w.count(), tt.state, tt.reason, tt.open, tt.undos)
			}
			if tt.state == audit.RepairRolledBack && (got.Undone == nil || got.Undone.Outcome != audit.Fail) {
				t.Errorf("nothing proves that it was undone: %+v", got.Undone)
			}
		})
	}
}

// TestWhatGoesOnIsNotRolledBack: where the runner stopped looking before what it
// began had ended, nothing is put back under its hands, and a re-audit settles it.
func TestWhatGoesOnIsNotRolledBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]audit.RepairState{"done later": audit.RepairVerified, "never done": audit.RepairFailed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.ineffect, w.actErr = true, fmt.Errorf("asking how it stands: denied: %w", remediate.ErrAtWork)
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			got := ran(t, e, r.ID)
			if got.State != audit.RepairUnknown || w.undos != 0 || !strings.Contains(got.Reason, "denied") {
				t.Fatalf("it is %s (%s), %d undos; want unknown, 0", got.State, got.Reason, w.undos)
			}
			w.open["logs"] = want == audit.RepairFailed
			got = ran(t, e, r.ID)
			if got.State != want || w.undos != 0 || w.count() != 1 {
				t.Errorf("it is %s (%s), %d undos, %d acts; want %s, 0, 1", got.State, got.Reason, w.undos, w.count(), want)
			}
		})
	}
}

// TestUndoneWithoutMemory: of a runner that cannot tell what was there, only the
// re-audit proves that it is there again.
func TestUndoneWithoutMemory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		noUndo bool
		want   audit.RepairState
	}{"undone": {false, audit.RepairRolledBack}, "undo did nothing": {true, audit.RepairStuck}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.forgets, w.noUndo, w.alsoFails = true, tt.noUndo, []string{"X-001"}
			e, _ := setup(t, w)
			if got := ran(t, e, approved(t, e, w, "logs").ID); got.State != tt.want || w.undos != 1 {
				t.Errorf("it is %s (%s), %d undos; want %s, 1", got.State, got.Reason, w.undos, tt.want)
			}
		})
	}
}

func TestWithoutRollBackItFails(t *testing.T) {
	t.Parallel()
	w := newWorld("logs")
	w.ineffect = true
	e, _ := setup(t, w, func(c *remediate.Config) {
		c.Runbooks = []remediate.Runbook{parsed(t, strings.Replace(book, "roll_back: true", "roll_back: false", 1))}
	})
	if got := ran(t, e, approved(t, e, w, "logs").ID); got.State != audit.RepairFailed || w.undos != 0 {
		t.Errorf("it is %s, %d undos", got.State, w.undos)
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

// TestSettle: what is stuck is over once a person says what they did and a
// re-audit tells what came of it; it stays a failure of the runbook.
func TestSettle(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world)
		state  audit.RepairState
		reason string
	}{
		"mended":     {func(*world) {}, audit.RepairSettled, "the violation is gone"},
		"put back":   {func(w *world) { w.open["logs"] = true }, audit.RepairSettled, "the violation is still there"},
		"deleted":    {func(w *world) { w.gone = true }, audit.RepairSettled, "the resource is gone"},
		"not known":  {func(w *world) { w.outcome = audit.NotEvaluated }, audit.RepairSettling, "denied"},
		"not asked":  {func(w *world) { w.againErr = errors.New("the source does not answer") }, audit.RepairSettling, "denied"},
		"undone now": {func(w *world) { w.open["logs"], w.undoErr = true, nil }, audit.RepairSettled, "the violation is still there"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("logs")
			w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied")
			e, _ := setup(t, w)
			r := approved(t, e, w, "logs")
			if _, err := e.Settle(t.Context(), r.ID, manual, "did it"); err == nil || !strings.Contains(err.Error(), "only one that is stuck") {
				t.Errorf("settled before it was stuck: %v", err)
			}
			if got := ran(t, e, r.ID); got.State != audit.RepairStuck {
				t.Fatalf("it is %s", got.State)
			}
			for by, note := range map[string]string{manual: " ", remediate.Itself: "did it", "": "did it"} {
				if _, err := e.Settle(t.Context(), r.ID, by, note); err == nil {
					t.Errorf("%q settled it by %q", by, note)
				}
			}
			tt.change(w)
			if _, err := e.Settle(t.Context(), r.ID, manual, "did it with password=hunter2"); err != nil {
				t.Fatal(err)
			}
			got := ran(t, e, r.ID)
			if got.State != tt.state || !strings.Contains(got.Reason, tt.reason) || w.undos != 1 || w.count() != 1 {
				t.Errorf("it is %s (%s), %d undos, %d acts; want %s (%s)", got.State, got.Reason, w.undos, w.count(), tt.state, tt.reason)
			}
			if s := got.Settled; s.By != manual || s.Output != "did it with password=[redacted]" || (s.Run != "") != (tt.state == audit.RepairSettled) {
				t.Errorf("on record is %+v", s)
			}
		})
	}
}

// TestSettledStaysAFailure: a person who settles a repair neither closes the
// circuit breaker of its runbook nor opens it again.
func TestSettledStaysAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld("aaa", "bbb")
	w.alsoFails, w.undoErr = []string{"X-001"}, errors.New("denied")
	e, l := setup(t, w, func(c *remediate.Config) { c.Failures = 1 })
	first, second := approved(t, e, w, "aaa"), approved(t, e, w, "bbb")
	stuck := ran(t, e, first.ID)
	if stuck.State != audit.RepairStuck {
		t.Fatalf("it is %s", stuck.State)
	}
	waits := func(when string, want bool) {
		t.Helper()
		if why := e.Why(t.Context(), must(e.Find(t.Context(), second.ID))); strings.Contains(why, "circuit breaker") != want {
			t.Errorf("%s the other waits because %q", when, why)
		}
	}
	waits("while it is stuck", true)
	w.now = w.now.Add(time.Minute)
	must(e.Settle(t.Context(), first.ID, manual, "did it"))
	if got := ran(t, e, first.ID); got.State != audit.RepairSettled {
		t.Fatalf("it is %s (%s)", got.State, got.Reason)
	}
	waits("once it is settled", true)
	if err := l.Turn(t.Context(), audit.Switch{Name: remediate.Breaker("close-bucket"), Value: "reset", By: boss, At: stuck.Updated.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	waits("settled after somebody closed the breaker,", false)
}
