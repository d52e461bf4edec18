package slack_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// announce queues an announcement and delivers it.
func (in *installation) announce(sink audit.Sink, a audit.Announcement) {
	in.t.Helper()
	a.At = in.clock.Now()
	if err := in.ledger.Announce(in.t.Context(), a, []string{"slack"}); err != nil {
		in.t.Fatal(err)
	}
	if err := in.flush(sink); err != nil {
		in.t.Fatal(err)
	}
}

// asked finds the note of the delivery that asked for a repair, as cmd does.
func (in *installation) asked(c *slack.Config) {
	c.Buttons = true
	c.Asked = func(ctx context.Context, repair string) (string, error) {
		list, err := in.ledger.Deliveries(ctx, ledger.DeliveryQuery{Sink: "slack", Subject: repair + " requested"})
		if err != nil || len(list) == 0 {
			return "", err
		}
		return list[0].Note, nil
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	for alert, want := range map[string][]string{"": {"<!channel>"}, "here": {"<!here>"}, "none": nil, "S0ONCALL": {"<!subteam^S0ONCALL>"}} {
		c := newClock()
		s, in := serve(t, c), install(t, c)
		sink := in.sink(s, func(cfg *slack.Config) { cfg.Alert = alert })
		in.announce(sink, audit.Announcement{Kind: audit.OfMissed, Key: "nightly 1", Missed: &audit.Missed{
			Audit: "nightly <!here>", Due: audittest.Moment, Reason: "the machine was off; it is made up for now <!here>", LastComplete: audittest.Moment.Add(-24 * time.Hour),
		}})
		list := s.messages()
		if len(list) != 1 {
			t.Fatalf("%d messages", len(list))
		}
		says(t, list[0].all(), "🚨", "did not run", "due "+audit.Stamp(audittest.Moment), "made up for", "last complete run is as of *"+audit.Stamp(audittest.Moment.Add(-24*time.Hour)), "crosscheck audit")
		if diff := cmp.Diff(mentions(list), want); diff != "" {
			t.Errorf("alert %q: mentions (-got +want):\n%s", alert, diff)
		}
	}
}

func repairOf(state audit.RepairState) *audit.Repair {
	at := audittest.Moment
	return &audit.Repair{
		ID: audit.Digest([]byte("repair")), Runbook: "s3-block-public-access", Version: "1", Control: "STO-001", Resource: audittest.Bucket("www"), Name: "www<!here>",
		Type: audittest.Type, Origin: audittest.Origin, Owner: "payments", Decision: audit.Digest([]byte("D1")), Run: audit.Digest([]byte("run")), Mode: audit.ModeApprove, State: state,
		Parameters: map[string]string{"bucket": "www`; rm -rf / <@U0X>", "region": strings.Repeat("<", 5000)}, DryRun: "would change:\n``` <!channel>\n" + strings.Repeat("line & more\n", 1000),
		Requested: &audit.RepairStep{At: at, By: "jo"},
	}
}

// TestRepairs: an approval is asked for with buttons that carry the repair's id
// and nothing else; what comes of it is told in that message's thread.
func TestRepairs(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	sink := in.sink(s, func(cfg *slack.Config) {
		in.asked(cfg)
		cfg.About = func(_ context.Context, r audit.Repair) (slack.Violated, error) {
			v := audit.Violation{Message: "the block is off <!here>", Path: "/data/a`b"}
			return slack.Violated{Control: audit.Control{ID: r.Control, Title: "Buckets are closed <@U0X>", Severity: "high"}, Violations: []audit.Violation{v, v, v, v, v}}, nil
		}
	})
	r := repairOf(audit.RepairRequested)
	in.announce(sink, audit.Announcement{Kind: audit.OfRepair, Key: r.ID + " requested", Repair: r})
	list := s.messages()
	says(t, list[0].all(), "*Buckets are closed &lt;@U0X&gt;* · high", "• the block is off &lt;!here&gt;, at `/data/a", "and 2 more: ", "decisions show "+r.Decision[:12])
	says(t, list[0].all(), "waits for an approval", "`s3-block-public-access` (version 1)", "decision `"+r.Decision[:12]+"`", "asked for", "by `jo`", "`bucket` = `www'; rm -rf / &lt;@U0X&gt;`", "characters more", "would change:")
	var buttons []string
	for _, b := range list[0].blocks {
		for _, e := range b.Elements {
			if e.Type == "button" {
				buttons = append(buttons, e.ActionID+" "+e.Value)
			}
		}
	}
	if diff := cmp.Diff(buttons, []string{"crosscheck_approve " + r.ID, "crosscheck_deny " + r.ID}); diff != "" {
		t.Errorf("buttons (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(mentions(list), []string{"<@U0PAYMENTS>"}); diff != "" {
		t.Errorf("mentions (-got +want):\n%s", diff)
	}
	for state, want := range map[audit.RepairState]string{
		audit.RepairVerified: "done and verified", audit.RepairFailed: "failed", audit.RepairRolledBack: "rolled back", audit.RepairUnknown: "nobody knows how it ended",
		audit.RepairDenied: "denied", audit.RepairStuck: "somebody must look", audit.RepairExpired: "expired", audit.RepairBlocked: "blocked",
		audit.RepairSettling: "a re-audit is to tell", audit.RepairSettled: "settled by hand",
	} {
		r := repairOf(state)
		r.Reason = "because <!channel>"
		r.Decided = &audit.RepairStep{At: c.Now(), By: "sam"}
		r.Verified = &audit.RepairStep{At: c.Now(), Outcome: audit.Pass, Decision: audit.Digest([]byte("D2"))}
		before := len(s.messages())
		in.announce(sink, audit.Announcement{Kind: audit.OfRepair, Key: r.ID + " " + string(state), Repair: r})
		m := s.messages()[before]
		says(t, m.all(), want, "because &lt;!channel&gt;", "decision `"+audit.Digest([]byte("D2"))[:12]+"`", "by `sam`")
		silent(t, m.all(), "crosscheck_approve", "Dry run", "Buckets are closed")
		if m.thread != list[0].ts {
			t.Errorf("%s: it is not in the thread of the message that asked", state)
		}
		c.forward(time.Second)
	}
}

// TestRepairsWithout: without an app to answer, the message says which command approves.
func TestRepairsWithout(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*installation, *server) func(*slack.Config){
		"buttons": func(*installation, *server) func(*slack.Config) { return nil },
		"token":   func(in *installation, s *server) func(*slack.Config) { return in.byWebhook(s) },
	} {
		c := newClock()
		s, in := serve(t, c), install(t, c)
		sink := in.sink(s, of(in, s))
		r := repairOf(audit.RepairRequested)
		in.announce(sink, audit.Announcement{Kind: audit.OfRepair, Key: r.ID, Repair: r})
		done := repairOf(audit.RepairVerified)
		c.forward(time.Second)
		in.announce(sink, audit.Announcement{Kind: audit.OfRepair, Key: done.ID + " verified", Repair: done})
		list := s.messages()
		says(t, list[0].all(), "crosscheck repairs approve "+r.ID[:12])
		silent(t, list[0].all(), "crosscheck_approve")
		if len(list) != 2 || list[1].thread != "" {
			t.Errorf("without %s: %d messages", name, len(list))
		}
	}
}

// TestRepairSteps: that the control failed just before a repair does not read as
// if the repair had, and what has only begun is not called carried out.
func TestRepairSteps(t *testing.T) {
	t.Parallel()
	before := &audit.RepairStep{At: audittest.Moment, By: "aws s3-block-public-access", Outcome: audit.Fail, Decision: audit.Digest([]byte("before"))}
	after := &audit.RepairStep{At: audittest.Moment, By: "re-audit", Outcome: audit.Pass, Decision: audit.Digest([]byte("after"))}
	for state, tt := range map[audit.RepairState]struct{ says, not string }{
		audit.RepairActing:   {"• begun ", "carried out"},
		audit.RepairUnknown:  {"• begun ", "carried out"},
		audit.RepairVerified: {"• carried out ", "begun"},
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, in := serve(t, c), install(t, c)
			r := repairOf(state)
			r.Owner, r.Acted, r.Verified = "web", before, nil
			if state == audit.RepairVerified {
				r.Verified = after
			}
			in.announce(in.sink(s, nil), audit.Announcement{Kind: audit.OfRepair, Key: r.ID, Repair: r})
			text := s.messages()[0].all()
			says(t, text, tt.says, "`aws s3-block-public-access`; just before it: fail, decision `"+before.Decision[:12]+"`", "owner `web`")
			if r.Verified != nil {
				says(t, text, "`re-audit`: pass, decision `"+after.Decision[:12]+"`")
			}
			head, _, _ := strings.Cut(text, "\n• ")
			silent(t, strings.TrimPrefix(text, head), tt.not)
		})
	}
}

func spells(n int) (out []audit.Spell) {
	for i := range n {
		at := audittest.Moment.AddDate(0, 0, -i)
		sp := audit.Spell{Control: "STO-001", Name: fmt.Sprint("www<!here>`", i), Type: audittest.Type, Origin: audittest.Origin, Owner: "payments", Opened: audit.RunAt{AsOf: at}}
		if i > 0 {
			sp.Closed, sp.How = &audit.RunAt{AsOf: at.AddDate(0, 0, 1)}, audit.Fixed
		}
		out = append(out, sp)
	}
	return out
}

// TestNudge: an owner is told with the history, the reason and the fix for
// where their resources come from; by a token, them alone.
func TestNudge(t *testing.T) {
	t.Parallel()
	const hostile = "x<!here>`;rm -rf ~;`"
	tests := map[string]struct {
		owner   string
		webhook bool
		channel string
		says    string
	}{
		"a user":             {"payments", false, "U0PAYMENTS", "<@U0PAYMENTS>"},
		"a group":            {"platform", false, "C0123456789", "<!subteam^S0PLATFORM>"},
		"nobody we know":     {hostile, false, "C0123456789", "`x&lt;!here&gt;';rm -rf ~;'`"},
		"a user, by webhook": {"payments", true, "hook", "<@U0PAYMENTS>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, in := serve(t, c), install(t, c)
			var change func(*slack.Config)
			if tt.webhook {
				change = in.byWebhook(s)
			}
			control := library().Controls[1]
			in.announce(in.sink(s, change), audit.Announcement{Kind: audit.OfNudge, Key: "n", Nudge: &audit.Nudge{Owner: tt.owner, Control: control, Times: 3, Spells: spells(3)}})
			list := s.messages()
			if len(list) != 1 || list[0].channel != tt.channel {
				t.Fatalf("messages: %+v", list)
			}
			says(t, list[0].all(), tt.says, "3rd time", "Public buckets leak.", "The fix in terraform", "'y' = &lt;z&gt;", "failed 2026-11-20, fixed 2026-11-21", ", open", "violations list --all --control STO-001")
			if owner := "--owner " + tt.owner; strings.Contains(list[0].all(), "--owner") != (tt.owner != hostile) || tt.owner != hostile && !strings.Contains(list[0].all(), owner) {
				t.Errorf("a command for %q:\n%s", tt.owner, list[0].all())
			}
			silent(t, list[0].all(), "netbox", "rm -rf ~;'y")
		})
	}
}

// TestNudgeBounds: a long fix and a long history stay within Slack's limits, which the server checks.
func TestNudgeBounds(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	control := library().Controls[1]
	control.Why, control.Title = strings.Repeat("<why> ", 2000), strings.Repeat("*title* ", 100)
	control.Fix = map[string]string{"terraform": strings.Repeat("<&>`\n", 3000), "aws": strings.Repeat("&", 9000)}
	list := spells(20)
	for i := range list {
		list[i].Name = strings.Repeat("<&`", 300)
		list[i].Type = strings.Repeat("&", 300)
	}
	in.announce(in.sink(s, nil), audit.Announcement{Kind: audit.OfNudge, Key: "n", Nudge: &audit.Nudge{Owner: "payments", Control: control, Times: 21, Spells: list}})
	says(t, s.messages()[0].all(), "21st time", "characters more: `crosscheck controls show STO-001`", "more: `crosscheck violations list")
}

// TestRepairUnread: that what was found cannot be read keeps nobody from being
// asked, and is said; what is not on record any more is left out.
func TestRepairUnread(t *testing.T) {
	t.Parallel()
	const unread = "could not be read for this message"
	for want, failed := range map[string]error{unread: errors.New("the disk FAKE-secret"), "": nil} {
		c := newClock()
		s, in := serve(t, c), install(t, c)
		r := repairOf(audit.RepairRequested)
		sink := in.sink(s, func(cfg *slack.Config) {
			cfg.About = func(context.Context, audit.Repair) (slack.Violated, error) { return slack.Violated{}, failed }
		})
		in.announce(sink, audit.Announcement{Kind: audit.OfRepair, Key: r.ID, Repair: r})
		text := s.messages()[0].all()
		says(t, text, "waits for an approval", "crosscheck repairs approve "+r.ID[:12], want)
		silent(t, text, "FAKE-secret")
		if failed == nil {
			silent(t, text, unread)
		}
	}
}
