package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type countKey struct{ control, typ, origin string }

// populations completes the counts of decisions with the populations that have
// none, because they are empty or could not be listed, and reconciles every
// population with the documents of its snapshot.
func populations(run Run, controls []Control, counts map[countKey]*Count) ([]Count, error) {
	for _, c := range controls {
		for _, want := range c.AppliesTo {
			source, typ, _ := strings.Cut(want, "/")
			if err := addPopulations(run, c.ID, source, typ, counts); err != nil {
				return nil, err
			}
		}
	}
	out := make([]Count, 0, len(counts))
	for _, c := range counts {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(x, y Count) int {
		return cmp.Or(cmp.Compare(x.Control, y.Control), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Origin, y.Origin))
	})
	return out, nil
}

// addPopulations covers one applies_to of one control: source/type, or source/*.
func addPopulations(run Run, control, source, typ string, counts map[countKey]*Count) error {
	collected, answered := false, typ == "*"
	for _, s := range run.Snapshots {
		if SourceOf(s.Origin) != source {
			continue
		}
		collected = true
		types := []string{typ}
		if typ == "*" {
			types = s.knownTypes()
		}
		for _, t := range types {
			gaps, listed := s.populationGaps(t), s.answers(t)
			answered = answered || listed || len(gaps) > 0
			if len(run.Scope.Resources) > 0 {
				// The population is what is asked for: it was read, is gone or has a gap, however old the rest is.
				if !run.Scope.names(s.Origin, t) {
					continue
				}
				gaps = slices.DeleteFunc(gaps, func(g Gap) bool { return g.Code == Stale })
			}
			if len(run.Scope.Origins) > 0 && !slices.Contains(run.Scope.Origins, s.Origin) || !listed && len(gaps) == 0 {
				continue
			}
			c := countOf(counts, countKey{control, t, s.Origin})
			c.Gaps = gaps
			if want := s.documents(t); len(run.Scope.Resources) == 0 && c.Listed != want {
				return fmt.Errorf("control %s on %s of %s: %d documents, but %d decisions", control, t, s.Origin, want, c.Listed)
			}
		}
	}
	if collected && !answered && len(run.Scope.Resources) == 0 {
		origin := source + "/*"
		c := countOf(counts, countKey{control, typ, origin})
		c.Gaps = []Gap{{Origin: origin, Type: typ, Code: NotCollected, Operation: "no collector reads this type"}}
	}
	return nil
}

// names tells whether a resource of a type of an origin is asked for by its id.
func (s Scope) names(origin, typ string) bool {
	begin := origin + "/" + typ + "/"
	i, _ := slices.BinarySearch(s.Resources, begin)
	return i < len(s.Resources) && strings.HasPrefix(s.Resources[i], begin)
}

func countOf(counts map[countKey]*Count, key countKey) *Count {
	if counts[key] == nil {
		counts[key] = &Count{Control: key.control, Type: key.typ, Origin: key.origin}
	}
	return counts[key]
}

// knownTypes are the types that the snapshot listed, holds or misses.
func (s Snapshot) knownTypes() []string {
	types := map[string]bool{}
	for _, t := range slices.Concat(s.Types, s.Documents) {
		types[t.Type] = true
	}
	for _, g := range s.Gaps {
		types[g.Type] = true
	}
	return slices.Sorted(maps.Keys(types))
}

// answers tells whether the snapshot says all there is of a type, if only that there is none.
func (s Snapshot) answers(typ string) bool {
	return s.Exhaustive || slices.ContainsFunc(s.Types, func(t TypeCount) bool { return t.Type == typ }) || s.documents(typ) > 0
}

func (s Snapshot) documents(typ string) int64 {
	for _, t := range s.Documents {
		if t.Type == typ {
			return t.Listed
		}
	}
	return 0
}

// populationGaps are the gaps that may hide resources of a type. A gap of the
// whole origin hides any that the origin can have: where something could not be
// read, nobody knows which types it held.
func (s Snapshot) populationGaps(typ string) []Gap {
	var out []Gap
	for _, g := range s.Gaps {
		if g.Covers(typ) && (g.Type != AllTypes || len(s.Answers) == 0 || slices.Contains(s.Answers, typ)) {
			out = append(out, g)
		}
	}
	return out
}
