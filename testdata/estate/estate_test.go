package estate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// controls are those that the library has; each must have a defect and a near miss here.
var controls = []string{
	"ACC-001", "CMP-001", "CMP-002", "CMP-003", "DAT-001", "IAM-001", "IAM-002", "IAM-003", "INV-001", "INV-002",
	"NET-001", "NET-002", "NET-003", "REC-001", "REC-002", "REC-003", "REC-004", "STO-001", "STO-002", "WRK-001", "WRK-002",
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	rows, err := estate.Expectations()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	sources := map[string]bool{}
	for _, r := range rows {
		seen[r.Outcome]++
		if r.Outcome == estate.Fails && r.Planted {
			seen["planted"]++
			sources[audit.SourceOf(r.Origin)] = true
		}
		seen[r.Control+" "+r.Outcome]++
	}
	if seen["planted"] < 30 || seen[estate.Passes] < 10 || len(sources) != 4 {
		t.Errorf("%d planted defects in %d sources and %d near misses, want at least 30, 4 and 10", seen["planted"], len(sources), seen[estate.Passes])
	}
	for _, c := range controls {
		if seen[c+" "+estate.Fails] == 0 || seen[c+" "+estate.Passes] == 0 {
			t.Errorf("%s has %d defects and %d near misses, want one of each", c, seen[c+" "+estate.Fails], seen[c+" "+estate.Passes])
		}
	}
}

// TestRecorded holds DEFECTS.md against what was recorded: every resource that
// a row names is there, as often as it is named, and no secret is.
func TestRecorded(t *testing.T) {
	t.Parallel()
	fsys, err := estate.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, w := range audittest.Collector(t, c) {
		for i, r := range w.Resources {
			have[estate.Key("", r.Origin, r.Type, estate.Name(r.ID, r.Origin, r.Type, r.Name))]++
			if line := string(w.Lines[i]); strings.Contains(line, "FAKE-") || strings.Contains(line, "RkFLRS") {
				t.Errorf("%s tells a secret", r.ID)
			}
			if len(r.Gaps) > 0 && r.Type != "v1/Secret" {
				t.Errorf("%s has gaps: %v", r.ID, r.Gaps)
			}
		}
	}
	rows, err := estate.Expectations()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, r := range rows {
		want[r.Key()]++
	}
	for _, r := range rows {
		if n := have[estate.Key("", r.Origin, r.Type, r.Name)]; n < want[r.Key()] {
			t.Errorf("%s: %d resources recorded, %d rows", r.Key(), n, want[r.Key()])
		}
	}
	if origins := c.Origins(); len(origins) != 8 || !slices.IsSorted(origins) {
		t.Errorf("recorded origins are %v, want 8", origins)
	}
}
