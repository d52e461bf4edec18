package audittest

import "github.com/crosscheck-dev/crosscheck/audit"

// nights is a history: what happened, and what a ledger tells of it.
type nights struct {
	nights []Night
	want   []string
}

// not are decisions that came to an outcome.
func not(outcome audit.Outcome, decisions ...string) map[string]audit.Outcome {
	out := map[string]audit.Outcome{}
	for _, d := range decisions {
		out[d] = outcome
	}
	return out
}

func scoped(s audit.Scope) func(*audit.Run) {
	return func(r *audit.Run) { r.Trigger, r.Scope = audit.Reaudit, s }
}

// gone is a re-audit to which the source said that a bucket does not exist.
func gone(name string, s audit.Scope) func(*audit.Run) {
	return func(r *audit.Run) {
		scoped(s)(r)
		r.Snapshots[0].Fresh = &audit.Fresh{Gone: []string{Bucket(name)}}
	}
}

func histories() map[string]nights {
	all := map[string]nights{}
	for _, part := range []map[string]nights{whole(), unsure(), narrowed(), overlaid()} {
		for name, h := range part {
			all[name] = h
		}
	}
	return all
}

// whole are histories of complete runs of everything.
func whole() map[string]nights {
	fails := not(audit.Fail, "NET a")
	return map[string]nights{
		"open": {
			[]Night{{Listed: "ab", Not: not(audit.Fail, "NET a", "STO a", "STO b")}},
			[]string{"NET a: fail opened 1 failed 1", "STO a: fail opened 1 failed 1", "STO b: fail opened 1 failed 1"},
		},
		"stays open": {
			[]Night{{Listed: "ab", Not: fails}, {Listed: "ab", Not: fails}, {Listed: "abc", Not: fails}},
			[]string{"NET a: fail opened 1 failed 1"},
		},
		"fixed, between others that stay": {
			[]Night{{Listed: "abc", Not: not(audit.Fail, "NET a", "NET b", "STO b", "NET c")}, {Listed: "abc", Not: not(audit.Fail, "NET a", "STO b", "NET c")}},
			[]string{"NET a: fail opened 1 failed 1", "NET b: fail opened 1 failed 1 closed 2 fixed", "NET c: fail opened 1 failed 1", "STO b: fail opened 1 failed 1"},
		},
		"fixed, the last one": {
			[]Night{{Listed: "ab", Not: not(audit.Fail, "NET b")}, {Listed: "ab"}},
			[]string{"NET b: fail opened 1 failed 1 closed 2 fixed"},
		},
		"fixed, by a pass that looked something up": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a", Not: not(audit.Pass, "NET a")}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 fixed"},
		},
		"failed again": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a"}, {Listed: "a", Not: fails}, {Listed: "a"}, {Listed: "a", Not: fails}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 fixed", "NET a: fail opened 3 failed 3 closed 4 fixed", "NET a: fail opened 5 failed 5"},
		},
		"gone": {
			[]Night{{Listed: "abc", Not: not(audit.Fail, "NET b", "STO b", "NET c")}, {Listed: "ac", Not: not(audit.Fail, "NET c")}, {Listed: "a"}},
			[]string{"NET b: fail opened 1 failed 1 closed 2 gone", "NET c: fail opened 1 failed 1 closed 3 gone", "STO b: fail opened 1 failed 1 closed 2 gone"},
		},
		"gone, with all others": {
			[]Night{{Listed: "a", Not: fails}, {}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 gone"},
		},
		"the control no longer applies": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a", Not: not(audit.Excluded, "NET a", "STO a")}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 not_applicable"},
		},
		"accepted, and another owner": {
			[]Night{{Listed: "a", Not: fails, Owner: "web"}, {Listed: "a", Not: fails, Owner: "payments", Accept: "EXC-1"}},
			[]string{"NET a: fail accepted of payments opened 1 failed 1"},
		},
		"passes leave nothing": {[]Night{{Listed: "ab", Not: not(audit.Pass, "NET a")}, {Listed: "ab", Not: not(audit.Excluded, "NET a")}}, nil},
	}
}

// unsure are histories of what could not be told.
func unsure() map[string]nights {
	fails, cannot := not(audit.Fail, "NET a"), not(audit.NotEvaluated, "NET a")
	return map[string]nights{
		"not evaluated is not fixed": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a", Not: cannot}},
			[]string{"NET a: not_evaluated opened 1 failed 1"},
		},
		"not evaluated, then failed": {
			[]Night{{Listed: "a", Not: cannot}, {Listed: "a", Not: cannot}, {Listed: "a", Not: fails}, {Listed: "a"}},
			[]string{"NET a: fail opened 1 failed 3 closed 4 fixed"},
		},
		"never seen to fail": {
			[]Night{{Listed: "a", Not: cannot}, {Listed: "a"}},
			[]string{"NET a: not_evaluated opened 1 closed 2 cleared"},
		},
		"failed, not evaluated, passed": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a", Not: cannot}, {Listed: "a"}},
			[]string{"NET a: not_evaluated opened 1 failed 1 closed 3 fixed"},
		},
		"absent from a listing with a gap": {
			[]Night{{Listed: "ab", Not: fails}, {Listed: "ab", Not: fails}, {Listed: "b", Gap: audit.Truncated}, {Listed: "b", Gap: audit.Truncated}},
			[]string{"NET a: fail opened 1 failed 1 seen 2 lost 3"},
		},
		"present in a listing with a gap": {
			[]Night{{Listed: "ab", Not: fails}, {Listed: "ab", Gap: audit.Truncated}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 fixed"},
		},
		"seen again after a gap": {
			[]Night{{Listed: "a", Not: fails}, {Gap: audit.AccessDenied}, {Listed: "a", Not: fails}},
			[]string{"NET a: fail opened 1 failed 1"},
		},
		"lost, seen by a re-audit, lost again": {
			[]Night{
				{Listed: "a", Not: fails},
				{Gap: audit.AccessDenied},
				{Listed: "a", Not: fails, Change: scoped(audit.Scope{Resources: []string{Bucket("a")}})},
				{Gap: audit.AccessDenied},
			},
			[]string{"NET a: fail opened 1 failed 1 seen 3 lost 4"},
		},
		"gone, once all can be listed": {
			[]Night{{Listed: "a", Not: fails}, {Gap: audit.AccessDenied}, {}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2 closed 3 gone"},
		},
		"an origin that is no longer read": {
			[]Night{{Listed: "a", Not: fails}, {Unread: true}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2"},
		},
		"a type that the source did not answer for": {
			[]Night{{Listed: "a", Not: fails}, {Change: func(r *audit.Run) { r.Snapshots[0].Types = nil }}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2"},
		},
		"a control that the library no longer has": {
			[]Night{{Listed: "a", Not: fails}, {Listed: "a", Control: "STO-001"}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2"},
		},
	}
}

// narrowed are histories in which a run judged only a part.
func narrowed() map[string]nights {
	both := not(audit.Fail, "NET a", "STO a", "NET b")
	open := []string{"NET a: fail opened 1 failed 1", "NET b: fail opened 1 failed 1", "STO a: fail opened 1 failed 1"}
	change := func(f func(*audit.Run)) nights {
		return nights{[]Night{{Listed: "ab", Not: both}, {Listed: "b", Change: f}}, open}
	}
	return map[string]nights{
		"a re-audit of one decision closes that one": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "ab", Change: scoped(audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}, Origins: []string{Origin}})}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 fixed", open[1], open[2]},
		},
		"a re-audit finds that one is gone": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "b", Change: scoped(audit.Scope{Resources: []string{Bucket("a")}})}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 gone", open[1], "STO a: fail opened 1 failed 1 closed 2 gone"},
		},
		"a re-audit cannot tell": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "b", Gap: audit.Throttled, Change: scoped(audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2", open[1], open[2]},
		},
		"a re-audit finds a new one": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "ab", Not: not(audit.Fail, "STO b"), Change: scoped(audit.Scope{Controls: []string{"STO-001"}, Resources: []string{Bucket("b")}})}},
			append(append([]string{}, open...), "STO b: fail opened 2 failed 2"),
		},
		"a run of one control": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "ab", Change: func(r *audit.Run) { r.Scope.Controls = []string{"STO-001"} }}},
			[]string{open[0], open[1], "STO a: fail opened 1 failed 1 closed 2 fixed"},
		},
		"a run of another origin": change(func(r *audit.Run) { r.Scope.Origins = []string{"aws/111122223333/eu-west-2"} }),
		"a simulated run":         change(func(r *audit.Run) { r.Simulated = true }),
		"a gate":                  change(func(r *audit.Run) { r.Trigger = audit.Gate }),
		"an incomplete run moves what it judged": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "b", Change: func(r *audit.Run) {
				r.Status = audit.Incomplete
				r.Snapshots[0].Gaps = []audit.Gap{{Origin: Origin, Type: audit.AllTypes, Code: audit.Unreachable, Operation: "s3:ListBuckets"}}
			}}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2", "NET b: fail opened 1 failed 1 closed 2 fixed", "STO a: fail opened 1 failed 1 seen 1 lost 2"},
		},
	}
}

// overlaid are histories in which a re-audit read single resources again.
func overlaid() map[string]nights {
	both := not(audit.Fail, "NET a", "STO a", "NET b")
	open := []string{"NET a: fail opened 1 failed 1", "NET b: fail opened 1 failed 1", "STO a: fail opened 1 failed 1"}
	return map[string]nights{
		"a re-audit has it from the source that one is gone, however old the rest is": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "b", Gap: audit.Stale, Change: gone("a", audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})}},
			[]string{"NET a: fail opened 1 failed 1 closed 2 gone", open[1], open[2]},
		},
		"a re-audit has it from the source that another is gone": {
			[]Night{{Listed: "ab", Not: both}, {Listed: "b", Gap: audit.Stale, Change: gone("c", audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a"), Bucket("c")}})}},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2", open[1], open[2]},
		},
		"a re-audit is told what the one before was not": {
			[]Night{
				{Listed: "ab", Not: both},
				{Listed: "b", Gap: audit.Stale, Change: scoped(audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})},
				{Listed: "b", Gap: audit.Stale, Change: gone("a", audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})},
			},
			[]string{"NET a: fail opened 1 failed 1 seen 1 lost 2 closed 3 gone", open[1], open[2]},
		},
		"gone, and made again under its name": {
			[]Night{
				{Listed: "ab", Not: both},
				{Listed: "b", Change: gone("a", audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})},
				{Listed: "ab", Not: not(audit.Fail, "NET a"), Change: scoped(audit.Scope{Controls: []string{"NET-001"}, Resources: []string{Bucket("a")}})},
			},
			[]string{"NET a: fail opened 1 failed 1 closed 2 gone", "NET a: fail opened 3 failed 3", open[1], open[2]},
		},
	}
}
