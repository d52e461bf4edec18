package audittest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Narrowed checks what every collector promises of narrowed requests, on one
// that can read all it should: they give, to the byte, those documents of a
// whole reading that are asked for, and what does not exist is said to be
// absent. missing gives a native id of a type that nothing has.
func Narrowed(t *testing.T, c audit.Collector, missing func(typ string) string) {
	t.Helper()
	for _, origin := range c.Origins() {
		whole, col := collect(t, c, origin)
		byType := map[string][]audit.Resource{}
		for _, r := range whole.Resources {
			byType[r.Type] = append(byType[r.Type], r)
		}
		mixed := audit.Request{Origin: origin}
		var absent []string
		for _, tc := range col.Types {
			none := audit.ResourceID(origin, tc.Type, missing(tc.Type))
			ids := append(some(byType[tc.Type]), none)
			byID := ask(t, c, audit.Request{Origin: origin, Resources: ids}, whole)
			if diff := cmp.Diff(byID.Absent, []string{none}); diff != "" {
				t.Errorf("%s: what is absent of %s (-got +want):\n%s", origin, tc.Type, diff)
			}
			if len(byID.Types) > 0 {
				t.Errorf("%s: some of %s were asked for, and %v are said to be all", origin, tc.Type, byID.Types)
			}
			all := ask(t, c, audit.Request{Origin: origin, Types: []string{tc.Type}}, whole)
			if len(all.Types) != 1 || all.Types[0].Type != tc.Type || all.Types[0].Listed != tc.Listed || all.Types[0].Completeness == "" {
				t.Errorf("%s: all of %s were asked for; said is %v, and of a whole reading %v", origin, tc.Type, all.Types, tc)
			}
			if len(mixed.Types) == 0 {
				mixed.Types = []string{tc.Type}
			} else {
				mixed.Resources, absent = append(mixed.Resources, ids...), append(absent, none)
			}
		}
		both := ask(t, c, mixed, whole)
		slices.Sort(absent)
		slices.Sort(both.Absent)
		if diff := cmp.Diff(both.Absent, absent); diff != "" {
			t.Errorf("%s: what is absent of several types (-got +want):\n%s", origin, diff)
		}
	}
}

// some are the ids of the first, the last and one between.
func some(list []audit.Resource) []string {
	var out []string
	for i, r := range list {
		if i == 0 || i == len(list)-1 || i == len(list)/2 {
			out = append(out, r.ID)
		}
	}
	return out
}

// ask collects what is asked for and compares it with a whole reading.
func ask(t *testing.T, c audit.Collector, req audit.Request, whole *Writer) audit.Collection {
	t.Helper()
	slices.Sort(req.Types)
	slices.Sort(req.Resources)
	w := &Writer{}
	col, _, err := Timed(t, c, req, w)
	if err != nil {
		t.Fatalf("Collect(%v): %v", req, err)
	}
	asked := func(id, typ string) bool { return req.All(typ) || slices.Contains(req.Resources, id) }
	lines := func(list []audit.Resource) string {
		var out [][]byte
		for _, r := range list {
			if !asked(r.ID, r.Type) {
				continue
			}
			line, err := r.Line()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, append(line, '\n'))
		}
		slices.SortFunc(out, bytes.Compare)
		return string(bytes.Join(out, nil))
	}
	if diff := cmp.Diff(lines(w.Resources), lines(whole.Resources)); diff != "" {
		t.Errorf("%v: what was asked for is not what a whole reading has (-got +want):\n%s", req, diff)
	}
	if len(col.Gaps) > 0 {
		t.Errorf("%v: gaps %v where everything can be read", req, col.Gaps)
	}
	if col.Identity == "" || len(col.Calls) == 0 {
		t.Errorf("%v: identity %q and %d calls: an auditor must see who read what", req, col.Identity, len(col.Calls))
	}
	return col
}
