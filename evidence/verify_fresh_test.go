package evidence_test

import (
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// TestFreshness: what a re-audit says that it read must be in its documents, and
// what it says is gone or was not readable must not.
func TestFreshness(t *testing.T) {
	t.Parallel()
	id := func(name string) string { return cloud + "/T/" + name }
	line := func(name string, unread bool) []byte {
		r := audit.Resource{Data: map[string]any{}, ID: id(name), Name: name, Origin: cloud, Source: audit.AWS, Type: "T"}
		if unread {
			r.Gap("/data", audit.AccessDenied, "list")
		} else {
			r.Data = map[string]any{"a": true}
		}
		b, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	denied := audit.Unread{ID: id("c"), Code: audit.AccessDenied, Operation: "list"}
	tests := map[string]struct {
		fresh   *audit.Fresh
		trigger audit.Trigger
		lines   [][]byte
		want    string // of the error
	}{
		"nothing was":        {nil, audit.Manual, [][]byte{line("a", false)}, ""},
		"as it is":           {&audit.Fresh{Resources: []string{id("a")}, Gone: []string{id("b")}, Unread: []audit.Unread{denied}}, audit.Reaudit, [][]byte{line("a", false), line("c", true)}, ""},
		"in another run":     {&audit.Fresh{Resources: []string{id("a")}}, audit.Schedule, [][]byte{line("a", false)}, "only a re-audit"},
		"gone, but there":    {&audit.Fresh{Gone: []string{id("a")}}, audit.Reaudit, [][]byte{line("a", false)}, "says that it is gone"},
		"read, but not":      {&audit.Fresh{Resources: []string{id("a")}}, audit.Reaudit, nil, "is missing"},
		"unread, but known":  {&audit.Fresh{Unread: []audit.Unread{denied}}, audit.Reaudit, [][]byte{line("c", false)}, "could not be read"},
		"unread for another": {&audit.Fresh{Unread: []audit.Unread{{ID: id("c"), Code: audit.Throttled, Operation: "list"}}}, audit.Reaudit, [][]byte{line("c", true)}, "could not be read"},
		"read and gone":      {&audit.Fresh{Resources: []string{id("a")}, Gone: []string{id("a")}}, audit.Reaudit, nil, "more than once"},
		"of another origin":  {&audit.Fresh{Gone: []string{"aws/1/eu/T/a"}}, audit.Reaudit, nil, "another origin"},
		"out of order":       {&audit.Fresh{Gone: []string{id("b"), id("a")}}, audit.Reaudit, nil, "not sorted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := evidence.CheckFresh(audit.Run{Trigger: tt.trigger}, audit.Snapshot{Origin: cloud, Fresh: tt.fresh}, tt.lines...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
