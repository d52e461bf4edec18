package remediate_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

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
