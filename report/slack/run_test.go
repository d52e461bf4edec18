package slack_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// says checks that a text holds all of what it must.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the message does not say %q:\n%.3000s", w, text)
		}
	}
}

func silent(t *testing.T, text string, not ...string) {
	t.Helper()
	for _, w := range not {
		if strings.Contains(text, w) {
			t.Errorf("the message says %q:\n%.3000s", w, text)
		}
	}
}

// TestNights: what a run says depends on what it moved. Each night is delivered
// from the real ledger, by token and by webhook.
func TestNights(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"token", "webhook"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, in := serve(t, c), install(t, c)
			sink := in.sink(s, map[string]func(*slack.Config){"token": nil, "webhook": in.byWebhook(s)}[by])
			seen := 0
			deliver := func(rec audit.Record) (head, thread string) {
				t.Helper()
				if err := in.flush(sink); err != nil {
					t.Fatal(err)
				}
				list := s.messages()[seen:]
				seen += len(list)
				for i, m := range list {
					if i == 0 {
						head = m.all()
						continue
					}
					thread += m.all()
				}
				if (thread != "") && by == "webhook" {
					t.Errorf("a second message by a webhook:\n%s", thread)
				}
				return head, thread
			}
			first := in.night(nil, bucket{name: "www", owner: "payments", fails: "STO NET"}, bucket{name: "logs", owner: "platform", fails: "TAG"}, bucket{name: "old", fails: "NET"}, bucket{name: "x", unsure: "NET"})
			head, thread := deliver(first)
			says(t, head, "4 new, 0 fixed, 0 still open", "Freight platform", "*58.3 % pass*", "7 pass", "4 fail", "1 not evaluated", "Failing: 1 critical, 2 high, 1 low",
				"No complete run is on record before this one.", "New for <@U0PAYMENTS> 2, <!subteam^S0PLATFORM> 1, 1 of others", "`"+first.Run.ID[:12]+"`", "crosscheck decisions show ID")
			all := head + thread
			says(t, all, "*critical* · *STO-001* Storage cannot", "`www`", "denied s3:GetBucketAcl")
			if worst, least := strings.Index(all, "*critical*"), strings.Index(all, "*low*"); worst > least {
				t.Errorf("the worst is not first:\n%s", all)
			}
			for _, id := range decisions(t, first) {
				says(t, all, "`"+id[:12]+"`")
			}
			quiet, thread := deliver(in.night(nil, bucket{name: "www", owner: "payments", fails: "STO NET"}, bucket{name: "logs", owner: "platform", fails: "TAG"}, bucket{name: "old", fails: "NET"}, bucket{name: "x", unsure: "NET"}))
			says(t, quiet, "nothing new, nothing fixed", "4 still open (1 critical, 2 high, 1 low)", "1 not evaluated")
			silent(t, quiet+thread, "<@", "<!", "New")
			if thread != "" || len(quiet) > 700 {
				t.Errorf("a quiet day is no short message:\n%s%s", quiet, thread)
			}
			// www is fixed, old is gone, new fails, x could be told.
			head, thread = deliver(in.night(nil, bucket{name: "www", owner: "payments", fails: "NET"}, bucket{name: "logs", owner: "platform", fails: "TAG"}, bucket{name: "new", owner: "payments", fails: "STO"}, bucket{name: "x"}))
			says(t, head, "1 new, 1 fixed, 2 still open", "*1 new*  ·  *1 fixed*  ·  2 ended otherwise", "3 fail (−1)", "0 not evaluated (−1)", "9 pass (+2)", "(+16.7 points)", "New for <@U0PAYMENTS> 1")
			says(t, head+thread, "Fixed (1)", "Ended otherwise (2)", "gone", "cleared", "Still open (2)")
			head, _ = deliver(in.night(func(r *audit.Run) { r.Simulated = true }, bucket{name: "www", fails: "NET"}))
			says(t, head, "SIMULATED: 1 fail", "no evidence of any period")
			silent(t, head, "*0 new*", "still open", "<@")
			head, _ = deliver(in.night(unread, bucket{name: "www", fails: "NET"}))
			says(t, head, "INCOMPLETE: ", "1 of 2 origins could not be read", "`aws/111122223333/global` (AccessDenied)")
			if i := strings.Index(head, "INCOMPLETE"); i < 0 || i > strings.Index(head, "% pass") {
				t.Errorf("an incomplete run does not say so first:\n%s", head)
			}
		})
	}
}

// TestPartOnly: a run of a part says so first, and never looks as if nothing else
// were open.
func TestPartOnly(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	sink := in.sink(s, in.byWebhook(s))
	again := func(r *audit.Run) {
		r.Trigger, r.Scope = audit.Reaudit, audit.Scope{Resources: []string{audittest.Bucket("www")}}
	}
	in.night(nil, bucket{name: "www", fails: "STO"}, bucket{name: "logs", fails: "STO"})
	in.night(again, bucket{name: "www", fails: "STO"})
	in.night(again, bucket{name: "www"})
	if err := in.flush(sink); err != nil {
		t.Fatal(err)
	}
	list := s.messages()
	if len(list) != 3 {
		t.Fatalf("%d messages, want 3", len(list))
	}
	silent(t, list[0].all(), "A PART ONLY")
	says(t, list[1].text, "crosscheck: A PART ONLY: nothing new, 1 still open")
	says(t, list[1].all(), "A PART ONLY of Freight platform: nothing new, nothing fixed", "What else is open is not counted.")
	silent(t, list[1].all(), "white_check_mark")
	says(t, list[2].all(), "A PART ONLY: 0 new, 1 fixed, 0 still open", "What else is open is not counted.")
	for _, m := range list[1:] {
		if first, share := strings.Index(m.all(), "A PART ONLY"), strings.Index(m.all(), "% pass"); first > share {
			t.Errorf("how many pass comes first:\n%s", m.all())
		}
	}
}

// unread makes a run one that could not read an origin.
func unread(r *audit.Run) {
	r.Status = audit.Incomplete
	r.Snapshots = append(r.Snapshots, audit.Snapshot{Origin: "aws/111122223333/global", Digest: r.Snapshots[0].Digest, Gaps: []audit.Gap{{
		Origin: "aws/111122223333/global", Type: audit.AllTypes, Code: audit.AccessDenied, Operation: "sts:GetCallerIdentity",
	}}})
}

func decisions(t *testing.T, rec audit.Record) (out []string) {
	t.Helper()
	err := rec.Stored(t.Context(), func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			out = append(out, d.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestQuietSkipped: who wants no message of a quiet day gets none.
func TestQuietSkipped(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	sink := in.sink(s, func(cfg *slack.Config) { cfg.SkipQuiet = true })
	in.night(nil, bucket{name: "a"})
	in.night(nil, bucket{name: "a", fails: "NET"})
	in.night(nil, bucket{name: "a", fails: "NET"})
	if err := in.flush(sink); err != nil {
		t.Fatal(err)
	}
	list := s.messages()
	if len(list) != 2 || list[1].thread != list[0].ts {
		t.Errorf("%d messages, want that of the second night with its thread", len(list))
	}
}

// TestMany: however much there is, messages stay within Slack's limits (which
// the server checks), and what is left out is counted, with the command that lists it.
func TestMany(t *testing.T) {
	t.Parallel()
	const many = 260
	hostile := strings.Repeat("<!channel>&`*_~", 40)
	for name, of := range map[string]bucket{
		"plain":   {owner: "payments"},
		"hostile": {owner: hostile, message: hostile},
	} {
		for _, by := range []string{"token", "webhook"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				c := newClock()
				s, in := serve(t, c), install(t, c)
				var estate []bucket
				for i := range many {
					b := of
					b.name, b.fails, b.unsure = fmt.Sprintf("b%03d%s", i, b.message), "STO", "TAG"
					estate = append(estate, b)
				}
				in.night(nil, estate...)
				sink := in.sink(s, map[string]func(*slack.Config){"token": nil, "webhook": in.byWebhook(s)}[by])
				if err := in.flush(sink); err != nil {
					t.Fatal(err)
				}
				list := s.messages()
				var all strings.Builder
				for _, m := range list {
					all.WriteString(m.all())
				}
				if by == "webhook" {
					if len(list) != 1 {
						t.Fatalf("%d messages by a webhook", len(list))
					}
					shown := newOnes(all.String())
					says(t, all.String(), fmt.Sprintf("and %d more: `crosscheck violations list --outcome fail`", many-shown), fmt.Sprintf("*Not evaluated (%d)*", many))
					if shown < 3 {
						t.Errorf("only %d are shown", shown)
					}
					return
				}
				in200 := newOnes(strings.Join(threads(list), ""))
				if in200 != 200 {
					t.Errorf("%d of the new ones are in the thread, want 200", in200)
				}
				shown := newOnes(list[0].all())
				if name == "plain" && shown != 10 {
					t.Errorf("%d are in the message itself, want 10", shown)
				}
				says(t, all.String(), fmt.Sprintf("and %d more: in the thread", many-shown), "and 60 more: `crosscheck violations list --outcome fail`", "and 60 more: `crosscheck violations list --outcome not_evaluated`")
			})
		}
	}
}

// newOnes counts the lines of what is new, which comes before what is not evaluated.
func newOnes(text string) int {
	text, _, _ = strings.Cut(text, "*Not evaluated")
	return strings.Count(text, "• `b")
}

func threads(list []posted) (out []string) {
	for _, m := range list {
		if m.thread != "" {
			out = append(out, m.all())
		}
	}
	return out
}

// TestHostileNames: whatever a resource, an owner or a message is called, it
// mentions nobody and formats nothing.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	names := []string{
		"<!channel>", "<!here|here>", "<@U0PAYMENTS>", "<!subteam^S1>", "<https://evil.example|click>", "@here @channel", "a & b <c> d", "*bold* _it_ ~no~",
		"`code` ```fence```", "x`", "`", "\u202egnp.exe", "a\u200bb\u2066c", "line\nbreak\r\n> quote", " ", "\x00\x1b[31m", "bad\xffutf8", strings.Repeat("長", 4000), "&lt;!channel&gt;", "&amp;",
	}
	for i, name := range names {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, in := serve(t, c), install(t, c)
			rec := in.night(nil, bucket{name: "x", owner: name, fails: "STO", message: name})
			rec.Run.System, rec.Run.Audit = name, name
			named := audittest.Ran(t, "named", audit.Verdict{
				Resource: audittest.Bucket(name), Name: name, Type: name, Origin: audittest.Origin, Owner: name,
				Decisions: []audit.Decision{{ID: audit.Digest(nil), Control: "STO-001", Outcome: audit.Fail, Violations: []audit.Violation{{Message: name}}}, {ID: audit.Digest(nil), Control: "TAG-001", Outcome: audit.NotEvaluated, Reasons: []audit.Reason{{Detail: name}}}},
			})
			named.Catalog = library()
			named.Catalog.Controls[1].Title = name
			for _, r := range []audit.Record{rec, named} {
				for by, change := range map[string]func(*slack.Config){"token": nil, "webhook": in.byWebhook(s)} {
					if err := in.sink(s, change).Deliver(t.Context(), r, audit.Delivery{Sink: "slack", Kind: audit.OfRun, Subject: r.Run.ID + by}); err != nil {
						t.Error(err)
					}
					c.forward(10e9)
				}
			}
			if m := mentions(s.messages()); len(m) != 0 {
				t.Errorf("it mentions %q", m)
			}
			for _, m := range s.messages() {
				for _, b := range m.blocks {
					if b.Text == nil || b.Type == "header" {
						continue
					}
					for _, f := range formatted(b.Text.Text) {
						if strings.Contains(f, "bold") || strings.Contains(f, "_it_") || strings.Contains(f, "~no~") {
							t.Errorf("it formats %q", f)
						}
					}
				}
			}
		})
	}
}

// TestDoubt: what could not be told and fails now is new; what failed and cannot
// be told any more, and an exception that ended, make no quiet day.
func TestDoubt(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	sink := in.sink(s, in.byWebhook(s))
	in.night(nil, bucket{name: "a", unsure: "STO"}, bucket{name: "b", fails: "NET", exception: "EX-1"})
	for i, tt := range []struct {
		estate []bucket
		want   []string
	}{
		{[]bucket{{name: "a", fails: "STO"}, {name: "b", fails: "NET", exception: "EX-1"}}, []string{"1 new, 0 fixed, 0 still open", "0 not evaluated (−1)"}},
		{[]bucket{{name: "a", unsure: "STO"}, {name: "b", fails: "NET", exception: "EX-1"}}, []string{"0 new, 0 fixed, 0 still open", "1 not evaluated (+1)", "0 fail (−1)"}},
		{[]bucket{{name: "a", unsure: "STO"}, {name: "b", fails: "NET"}}, []string{"0 new, 0 fixed, 1 still open", "1 fail (+1)", "0 accepted by exception (−1)"}},
		{[]bucket{{name: "a", unsure: "STO"}, {name: "b", fails: "NET"}}, []string{"nothing new, nothing fixed", "1 still open (1 high), 1 not evaluated"}},
	} {
		in.night(nil, tt.estate...)
		if err := in.flush(sink); err != nil {
			t.Fatal(err)
		}
		list := s.messages()
		if len(list) != i+2 {
			t.Fatalf("night %d: %d messages", i, len(list))
		}
		says(t, list[len(list)-1].all(), tt.want...)
	}
}

// TestUnseen: what cannot be seen any more is told on the first night, and
// counted on those that follow.
func TestUnseen(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	sink := in.sink(s, nil)
	hidden := func(r *audit.Run) {
		r.Snapshots[0].Gaps = []audit.Gap{{Origin: audittest.Origin, Type: audittest.Type, Code: audit.Truncated, Operation: "s3:ListBuckets"}}
	}
	in.night(nil, bucket{name: "a", fails: "STO"}, bucket{name: "b"})
	in.night(hidden, bucket{name: "b"})
	in.night(hidden, bucket{name: "b"}, bucket{name: "c"})
	if err := in.flush(sink); err != nil {
		t.Fatal(err)
	}
	var heads []string
	for _, m := range s.messages() {
		if m.thread == "" {
			heads = append(heads, m.all())
		}
	}
	if len(heads) != 3 {
		t.Fatalf("%d messages", len(heads))
	}
	says(t, heads[1], "0 new, 0 fixed", "1 open, and could not be seen")
	says(t, heads[2], "nothing new, nothing fixed", "1 open that still cannot be seen")
}

// TestAccepted: what an exception covers is counted, and not told as new.
func TestAccepted(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	in.night(nil, bucket{name: "a", owner: "payments", fails: "STO", exception: "EX-1"}, bucket{name: "b", fails: "NET"})
	if err := in.flush(in.sink(s, nil)); err != nil {
		t.Fatal(err)
	}
	head := s.messages()[0].all()
	says(t, head, "1 new, 0 fixed", "1 accepted by exception", "Failing: 1 high")
	if diff := cmp.Diff(mentions(s.messages()), []string(nil)); diff != "" {
		t.Errorf("mentions (-got +want):\n%s", diff)
	}
}
