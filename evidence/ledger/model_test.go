package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// model tells the history of violations as one would on paper: a map, and a
// look at everything that is open after every run.
type model struct {
	open   map[[3]string]*audit.Spell // by origin, resource, control
	closed []audit.Spell
	saw    map[[3]string]audit.RunAt // where it was last seen, runs of a part that merely saw it again aside
}

// night is a run as the model sees it.
type night struct {
	at       audit.RunAt
	scope    audit.Scope
	origins  map[string]audit.Snapshot
	decided  map[[3]string]audit.Outcome
	selected []string
	present  [][2]string // origin and id of what is there
	verdicts map[string]audit.Verdict
}

func (m *model) move(n night) {
	for k, outcome := range n.decided {
		s := m.open[k]
		switch {
		case outcome == audit.Fail || outcome == audit.NotEvaluated:
			if s == nil {
				s = &audit.Spell{Control: k[2], Resource: k[1], Type: "T", Origin: k[0], Opened: n.at}
				m.open[k] = s
			}
			if s.Outcome = outcome; outcome == audit.Fail && s.Failed == nil {
				s.Failed = &n.at
			}
			if n.scope.Whole() || s.Lost != nil || s.Opened == n.at {
				m.saw[k] = n.at
			}
			s.Lost, s.Seen = nil, nil
		case s != nil && outcome == audit.Excluded:
			m.end(k, n.at, audit.NotApplicable)
		case s != nil && s.Failed != nil:
			m.end(k, n.at, audit.Fixed)
		case s != nil:
			m.end(k, n.at, audit.Cleared)
		}
	}
	for k, s := range m.open {
		if _, ok := n.decided[k]; ok || !n.scope.Whole() && (!n.scope.Judges(k[0], k[1]) || !slices.Contains(n.selected, k[2])) {
			continue
		}
		snapshot, read := n.origins[k[0]]
		if read && snapshot.Complete("T") && slices.Contains(n.selected, k[2]) {
			m.end(k, n.at, audit.Gone)
		} else if s.Lost == nil {
			seen := m.saw[k]
			s.Seen, s.Lost = &seen, &n.at
		}
	}
}

func (m *model) end(k [3]string, at audit.RunAt, how audit.Closing) {
	s := m.open[k]
	s.Closed, s.How = &at, how
	m.closed = append(m.closed, *s)
	delete(m.open, k)
}

func (m *model) all() []audit.Spell {
	out := slices.Clone(m.closed)
	for _, s := range m.open {
		out = append(out, *s)
	}
	order := func(s audit.Spell) string { return s.Control + " " + s.Resource + " " + audit.Stamp(s.Opened.AsOf) }
	slices.SortFunc(out, func(a, b audit.Spell) int { return strings.Compare(order(a), order(b)) })
	return out
}

// origins sort otherwise than the ids of their resources.
func origins() []string { return []string{"aws/1", "aws/1-b", "aws/1/x"} }

// narrow picks the library and the scope of a night.
func (n *night) narrow(r *rand.Rand) (catalog audit.Catalog) {
	n.selected = []string{"A-001", "B-001"}
	if r.IntN(6) == 0 { // the library loses a control
		n.selected = n.selected[:1]
	}
	for _, c := range n.selected {
		catalog.Controls = append(catalog.Controls, audit.Control{ID: c, AppliesTo: []string{"aws/T"}})
	}
	switch r.IntN(5) {
	case 0:
		n.scope.Controls = n.selected[:1]
		n.selected = n.selected[:1]
	case 1:
		n.scope.Origins = []string{origins()[r.IntN(3)]}
	case 2:
		for i := range 3 {
			n.scope.Resources = append(n.scope.Resources, fmt.Sprintf("%s/T/%d", origins()[r.IntN(3)], i))
		}
	}
	return catalog
}

// decide picks what a resource comes to, and gives what a segment holds of it.
func (n *night) decide(r *rand.Rand, origin, id string, day int) audit.Verdict {
	v := audit.Verdict{Resource: id, Type: "T", Origin: origin}
	if !n.scope.Judges(origin, id) {
		return v
	}
	for _, c := range n.selected {
		outcome := []audit.Outcome{audit.Fail, audit.Fail, audit.Fail, audit.NotEvaluated, audit.Pass, audit.Pass, audit.Excluded}[r.IntN(7)]
		n.decided[[3]string{origin, id, c}] = outcome
		if outcome != audit.Pass || r.IntN(3) == 0 { // a pass that looked something up is stored
			v.Decisions = append(v.Decisions, audit.Decision{ID: audit.Digest(fmt.Append(nil, c, id, day)), Control: c, Outcome: outcome})
		}
	}
	return v
}

// randomNight makes a run of three origins, and what the model is to see of it.
func randomNight(t *testing.T, r *rand.Rand, v audit.Vault, day int) (audit.Record, night) {
	t.Helper()
	n := night{origins: map[string]audit.Snapshot{}, decided: map[[3]string]audit.Outcome{}, verdicts: map[string]audit.Verdict{}}
	rec := audit.Record{Catalog: n.narrow(r), Vault: v}
	for _, origin := range origins() {
		if r.IntN(8) == 0 {
			continue // no longer configured
		}
		s := audit.Snapshot{Origin: origin, Exhaustive: true}
		if r.IntN(3) == 0 {
			s.Gaps = []audit.Gap{{Origin: origin, Type: "T", Code: audit.Truncated, Operation: "List"}}
		}
		var lines bytes.Buffer
		for i := range 6 {
			if r.IntN(5) == 0 {
				continue // not there
			}
			id := fmt.Sprintf("%s/T/%d", origin, i)
			line, err := audit.Resource{Data: map[string]any{}, ID: id, Origin: origin, Source: audit.AWS, Type: "T"}.Line()
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
			n.present = append(n.present, [2]string{origin, id})
			n.verdicts[id] = n.decide(r, origin, id, day)
		}
		var err error
		if s.Digest, err = v.Put(t.Context(), &lines); err != nil {
			t.Fatal(err)
		}
		rec.Run.Snapshots, n.origins[origin] = append(rec.Run.Snapshots, s), s
	}
	rec.Run.Scope = n.scope
	return n.run(t, rec, day), n
}

// run gives a record the verdicts of a night.
func (n *night) run(t *testing.T, rec audit.Record, day int) audit.Record {
	t.Helper()
	var stored []audit.Verdict
	for _, p := range n.present {
		if v := n.verdicts[p[1]]; len(v.Decisions) > 0 {
			stored = append(stored, v)
		}
	}
	made := audittest.Ran(t, fmt.Sprint("night ", day), stored...)
	rc, err := made.Vault.Open(t.Context(), made.Run.Verdicts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Vault.Put(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	made.Run.Snapshots, made.Run.Scope = rec.Run.Snapshots, rec.Run.Scope
	made.Run.Revision = fmt.Sprint(len(rec.Catalog.Controls), n.selected)
	made.Run.AsOf = made.Run.AsOf.AddDate(0, 0, day)
	n.at = audit.RunAt{Run: made.Run.ID, AsOf: made.Run.AsOf}
	return audit.Record{Run: made.Run, Catalog: rec.Catalog, Vault: rec.Vault}
}

// again is a night on which the same was read, or nearly, and some of it is
// decided in another way, or nothing.
func (n *night) again(t *testing.T, r *rand.Rand, rec audit.Record, day int) audit.Record {
	t.Helper()
	n.decided, n.origins, rec.Run.Snapshots = maps.Clone(n.decided), maps.Clone(n.origins), slices.Clone(rec.Run.Snapshots)
	if len(rec.Run.Snapshots) > 0 && r.IntN(3) == 0 {
		s := &rec.Run.Snapshots[r.IntN(len(rec.Run.Snapshots))]
		if s.Gaps != nil {
			s.Gaps = nil
		} else {
			s.Gaps = []audit.Gap{{Origin: s.Origin, Type: "T", Code: audit.Truncated, Operation: "List"}}
		}
		n.origins[s.Origin] = *s
	}
	for range r.IntN(3) {
		if len(n.present) > 0 {
			p := n.present[r.IntN(len(n.present))]
			n.verdicts[p[1]] = n.decide(r, p[0], p[1], day)
		}
	}
	return n.run(t, rec, day)
}

// inBlocks gives its objects in blocks of a line or two.
type inBlocks struct{ audittest.Vault }

// Blocks implements audit.BlockVault.
func (v *inBlocks) Blocks(ctx context.Context, digest string) (out []audit.Block, err error) {
	var ids []string
	var lines [][]byte
	err = audit.Documents(ctx, &v.Vault, digest, func(line []byte) error {
		var named struct{ Resource string }
		lines = append(lines, append(bytes.Clone(line), '\n'))
		err := json.Unmarshal(line, &named)
		ids = append(ids, named.Resource)
		return err
	})
	for i := 0; i < len(lines); {
		end := min(i+1+len(lines[i])%2, len(lines))
		content := bytes.Join(lines[i:end], nil)
		out = append(out, audit.Block{
			Digest: audit.Digest(content), FirstID: ids[i], LastID: ids[end-1],
			Read: func(_ context.Context, buf []byte) ([]byte, error) { return append(buf, content...), nil },
		})
		i = end
	}
	return out, err
}

// TestModel holds histories of random nights to the model.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
			m := &model{open: map[[3]string]*audit.Spell{}, saw: map[[3]string]audit.RunAt{}}
			v := &inBlocks{}
			var rec audit.Record
			var n night
			for day := range 60 {
				if day > 0 && r.IntN(2) == 0 {
					rec = n.again(t, r, rec, day+1)
				} else {
					rec, n = randomNight(t, r, v, day+1)
				}
				record(t, l, rec)
				m.move(n)
				if diff := cmp.Diff(spells(t, l, audit.AllSpells), m.all(), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("after night %d, scope %+v (-got +want):\n%s", day+1, rec.Run.Scope, diff)
				}
			}
		})
	}
}
