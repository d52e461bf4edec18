package audit_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value any
		want  string
	}{
		"keys by bytes":       {map[string]any{"b": 1, "a": 2, "B": 3, "ä": 4}, `{"B":3,"a":2,"b":1,"ä":4}`},
		"numbers as literals": {[]any{json.Number("1.0"), json.Number("1e3"), json.Number("12345678901234567890")}, `[1.0,1e3,12345678901234567890]`},
		"no HTML escapes":     {"<a&b>", `"<a&b>"`},
		"structs by key":      {struct{ Z, A int }{1, 2}, `{"A":2,"Z":1}`},
		"nested struct":       {map[string]any{"x": []struct{ B, A string }{{"b", "a"}}}, `{"x":[{"A":"a","B":"b"}]}`},
		"raw message":         {map[string]any{"x": json.RawMessage(`{"b": 1.50, "a": null}`)}, `{"x":{"a":null,"b":1.50}}`},
		"nil":                 {nil, `null`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := audit.Canonical(tt.value)
			if err != nil || string(got) != tt.want {
				t.Errorf("Canonical() = %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestResourceLine(t *testing.T) {
	t.Parallel()
	r := audit.Resource{
		Source: "aws", Origin: "aws/1/eu", Type: "T", ID: "aws/1/eu/T/x", Name: "x",
		Data: map[string]any{"n": json.Number("1.50")}, Redacted: []string{"/data/b", "/data/a", "/data/a"},
	}
	r.Gap("/data/Get", audit.AccessDenied, "s3:Get")
	want := `{"data":{"n":1.50},"gaps":{"/data/Get":"AccessDenied s3:Get"},"id":"aws/1/eu/T/x","name":"x","origin":"aws/1/eu","redacted":["/data/a","/data/b"],"source":"aws","tags":{},"type":"T"}`
	line, err := r.Line()
	if err != nil || string(line) != want {
		t.Fatalf("Line() = %s, %v, want %s", line, err, want)
	}
	back, err := audit.ParseResource(line)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.Line(); err != nil || string(again) != want {
		t.Errorf("parsed and rendered again: %s, %v", again, err)
	}
	for name, spoil := range map[string]func(*audit.Resource){
		"no source":          func(r *audit.Resource) { r.Source = "" },
		"origin of another":  func(r *audit.Resource) { r.Origin = "netbox/a" },
		"id outside origin":  func(r *audit.Resource) { r.ID = "aws/2/eu/T/x" },
		"id of another type": func(r *audit.Resource) { r.ID = "aws/1/eu/U/x" },
	} {
		bad := r
		spoil(&bad)
		if line, err := bad.Line(); err == nil {
			t.Errorf("%s: Line() = %s, want an error", name, line)
		}
	}
}

func TestResourceID(t *testing.T) {
	t.Parallel()
	for native, want := range map[string]string{
		"plain":      "o/T/plain",
		"a b/c[0]":   "o/T/a b/c[0]",
		"line\nfeed": `o/T/"line\nfeed"`,
		"\x1b[31m":   `o/T/"\x1b[31m"`,
		"\xff":       `o/T/"\xff"`,
	} {
		if got := audit.ResourceID("o", "T", native); got != want {
			t.Errorf("ResourceID(%q) = %q, want %q", native, got, want)
		}
	}
}

func TestRedactor(t *testing.T) {
	t.Parallel()
	r := audit.NewRedactor([]byte("0123456789abcdef"))
	data := map[string]any{
		"env":  []any{map[string]any{"name": "A", "value": "secret"}, map[string]any{"name": "B", "value": json.Number("7")}},
		"deep": map[string]any{"a/b": "secret", "forged": audit.TokenPrefix + "not a token"},
	}
	got := r.Strings(data, "/data", "/env/*/value", "/deep", "/deep/forged", "/absent")
	if diff := cmp.Diff(got, []string{"/data/deep/a~1b", "/data/deep/forged", "/data/env/0/value"}); diff != "" {
		t.Errorf("pointers (-got +want):\n%s", diff)
	}
	token := r.Token("secret")
	want := map[string]any{
		"env":  []any{map[string]any{"name": "A", "value": token}, map[string]any{"name": "B", "value": json.Number("7")}},
		"deep": map[string]any{"a/b": token, "forged": r.Token(audit.TokenPrefix + "not a token")},
	}
	if diff := cmp.Diff(data, want); diff != "" {
		t.Errorf("data (-got +want):\n%s", diff)
	}
	if other := audit.NewRedactor([]byte("another key here")).Token("secret"); other == token || len(token) != len(audit.TokenPrefix)+32 {
		t.Errorf("tokens %q and %q: want 128 bits that depend on the key", token, other)
	}
}

func FuzzParseResource(f *testing.F) {
	f.Add([]byte(`{"data":{},"gaps":{},"id":"aws/1/eu/T/x","name":"x","origin":"aws/1/eu","redacted":[],"source":"aws","tags":{},"type":"T"}`))
	f.Add([]byte(`{"data":1,"data":2}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := audit.ParseResource(line)
		if err != nil {
			return
		}
		first, err := r.Line()
		if err != nil {
			return
		}
		back, err := audit.ParseResource(first)
		if err != nil {
			t.Fatalf("%s renders as %s, which does not parse: %v", line, first, err)
		}
		second, err := back.Line()
		if err != nil || string(first) != string(second) {
			t.Fatalf("not stable: %s, then %s, %v", first, second, err)
		}
	})
}

func TestGlob(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pattern, id string
		want        bool
	}{
		"literal":              {"aws/1/eu/T/x", "aws/1/eu/T/x", true},
		"brackets are literal": {`terraform/a/T/m["b"].c[0]`, `terraform/a/T/m["b"].c[0]`, true},
		"star within":          {"aws/1/*/T/log-*", "aws/1/eu/T/log-1", true},
		"star stops at slash":  {"aws/1/*/x", "aws/1/eu/T/x", false},
		"whole id":             {"aws/1/eu/T/x", "aws/1/eu/T/xy", false},
		"dot is literal":       {"aws/1/eu/T/a.b", "aws/1/eu/T/aXb", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := audit.Exception{ID: "E", Control: "C", Resource: tt.pattern, ApprovedOn: day(1), Expires: day(9)}
			v := audit.Verdict{Resource: tt.id, Decisions: []audit.Decision{{Control: "C", Outcome: audit.Fail}}}
			audit.NewExceptions([]audit.Exception{e}, day(5)).Apply(&v)
			if got := v.Decisions[0].Exception == "E"; got != tt.want {
				t.Errorf("covered = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestExceptionPeriod(t *testing.T) {
	t.Parallel()
	e := audit.Exception{ID: "E", Control: "C", Resource: "r", ApprovedOn: day(3), Expires: day(6)}
	for d, want := range map[int]bool{2: false, 3: true, 5: true, 6: false, 7: false} {
		v := audit.Verdict{Resource: "r", Decisions: []audit.Decision{{Control: "C", Outcome: audit.Fail}}}
		audit.NewExceptions([]audit.Exception{e}, day(d)).Apply(&v)
		if got := v.Decisions[0].Exception != ""; got != want {
			t.Errorf("day %d: covered = %v, want %v", d, got, want)
		}
	}
}

func TestExceptionOfOneViolation(t *testing.T) {
	t.Parallel()
	x := audit.NewExceptions([]audit.Exception{{ID: "E", Control: "C", Resource: "r", Path: "/a", ApprovedOn: day(1), Expires: day(9)}}, day(5))
	v := audit.Verdict{Resource: "r", Decisions: []audit.Decision{
		{Control: "C", Outcome: audit.Fail, Violations: []audit.Violation{{Path: "/a"}, {Path: "/b"}}},
		{Control: "D", Outcome: audit.Fail, Violations: []audit.Violation{{Path: "/a"}}},
		{Control: "C", Outcome: audit.NotEvaluated},
	}}
	x.Apply(&v)
	if v.Decisions[0].Excepted() || v.Decisions[0].Violations[0].Exception != "E" || v.Decisions[0].Violations[1].Exception != "" {
		t.Errorf("one of two violations is accepted, got %+v", v.Decisions[0])
	}
	if v.Decisions[1].Violations[0].Exception != "" || v.Decisions[2].Exception != "" {
		t.Errorf("another control or outcome was covered: %+v", v.Decisions[1:])
	}
}

func TestExceptionNotices(t *testing.T) {
	t.Parallel()
	list := []audit.Exception{
		{ID: "all", Control: "C", Resource: "aws/1/eu/T/*", ApprovedOn: day(1), Expires: day(9)},
		{ID: "expired", Control: "C", Resource: "aws/1/eu/T/a", ApprovedOn: day(1), Expires: day(2)},
		{ID: "good", Control: "D", Resource: "aws/1/eu/T/a", ApprovedOn: day(1), Expires: day(9)},
		{ID: "later", Control: "D", Resource: "aws/1/eu/T/a", ApprovedOn: day(8), Expires: day(9)},
		{ID: "unused", Control: "D", Resource: "aws/1/eu/T/none", ApprovedOn: day(1), Expires: day(9)},
		{ID: "wide", Control: "D", Resource: "aws/*/eu/T/b", ApprovedOn: day(1), Expires: day(9)},
	}
	x := audit.NewExceptions(list, day(5))
	for _, n := range []string{"a", "b"} {
		v := audit.Verdict{Resource: "aws/1/eu/T/" + n, Decisions: []audit.Decision{{Control: "C", Outcome: audit.Fail}, {Control: "D", Outcome: audit.Fail}}}
		x.Apply(&v)
	}
	counts := []audit.Count{{Control: "C", Type: "T", Origin: "aws/1/eu", Listed: 2, Fail: 2}, {Control: "D", Type: "T", Origin: "aws/1/eu", Listed: 3, Fail: 2, Pass: 1}}
	var got []string
	for _, n := range x.Notices(counts, []string{"aws/1/eu"}) {
		got = append(got, n.Subject+" "+n.Code)
	}
	slices.Sort(got)
	want := []string{"all exception_broad", "expired exception_expired", "later exception_not_yet", "unused exception_unused", "wide exception_broad"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("notices (-got +want):\n%s", diff)
	}
}

func TestExceptionCheck(t *testing.T) {
	t.Parallel()
	good := audit.Exception{ID: "E", Control: "C", Resource: "r", Justification: "j", RequestedBy: "a", ApprovedBy: "b", Ticket: "t", ApprovedOn: day(1), Expires: day(2)}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*audit.Exception){
		"justification": func(e *audit.Exception) { e.Justification = " " },
		"ticket":        func(e *audit.Exception) { e.Ticket = "" },
		"expires":       func(e *audit.Exception) { e.Expires = day(1) },
		"approved_by":   func(e *audit.Exception) { e.ApprovedBy = "A" },
	} {
		e := good
		spoil(&e)
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check() = %v, want an error that names %s", err, want)
		}
	}
}
