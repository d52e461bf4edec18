package audit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// staleAfter is the age from which an overlaid snapshot no longer proves an absence.
const staleAfter = 24 * time.Hour

// Need is what a re-audit reads afresh of one origin. One that names nothing
// is of everything.
type Need struct {
	Origin    string
	Resources []string // by id
	Types     []string // all resources of them are judged
	Lookups   []string // all resources of them may be looked up: read where that is cheap. AllTypes: which ones cannot be told
}

// Lister is what a Collector may be besides. Lists tells whether the resources
// of a type are read by list calls alone, so that all of them cost hardly more
// than one. Of other collectors a re-audit reads no type for look-ups.
type Lister interface {
	Lists(typ string) bool
}

// lookupLimit is how many resources of a type a re-audit reads again for the
// sake of look-ups: 40 to 100 requests.
const lookupLimit = 20_000

// Fresh says what in a re-audit's snapshot was read again. Everything else is
// of the snapshot that it is laid over, and was collected when that was.
type Fresh struct {
	Over      string    `json:"over"` // digest of the snapshot that it is laid over
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Identity  string    `json:"identity"`
	Types     []string  `json:"types,omitempty"`     // of which all were to be read; sorted
	Resources []string  `json:"resources,omitempty"` // read by id; sorted
	Gone      []string  `json:"gone,omitempty"`      // asked for by id, and the source says that they do not exist; sorted
	Unread    []Unread  `json:"unread,omitempty"`    // asked for by id and not read: their documents have no data; sorted
	Calls     []Call    `json:"calls"`
}

// Unread is a resource that was asked for by id and could not be read.
type Unread struct {
	ID        string  `json:"id"`
	Code      GapCode `json:"code"`
	Operation string  `json:"operation"`
}

// given is the part of it that a run's id rests on.
func (f *Fresh) given() any {
	if f == nil {
		return nil
	}
	return []any{f.Over, f.Types, f.Resources, f.Gone, f.Unread}
}

// Latest is when the latest of it was collected.
func (s Snapshot) Latest() time.Time {
	if s.Fresh != nil && s.Fresh.Ended.After(s.Ended) {
		return s.Fresh.Ended
	}
	return s.Ended
}

// Lacks tells whether the snapshot proves that a resource of a type does not
// exist, given that it does not hold it.
func (s Snapshot) Lacks(typ, id string) bool {
	if s.Fresh != nil {
		if _, gone := slices.BinarySearch(s.Fresh.Gone, id); gone {
			return true
		}
	}
	return s.Complete(typ)
}

func (a *Auditor) canOverlay(last Run) error {
	switch {
	case a.Ledger == nil:
		return errors.New("a re-audit needs a ledger")
	case last.ID == "":
		return errors.New("no complete run to lay this one over: run `crosscheck audit` first")
	}
	return nil
}

// readings lists what is to be read. An origin that the last complete run has
// no snapshot of has nothing to be laid over, and is read whole.
func (a *Auditor) readings(run *Run, last Run, o Order) []reading {
	var out []reading
	for _, c := range a.Collectors {
		for _, origin := range c.Origins() {
			r := reading{collector: c, request: Request{Origin: origin}}
			base := last.snapshot(origin)
			if base != nil {
				r.like = base.Digest
			}
			if o.Overlay {
				i := slices.IndexFunc(o.Needs, func(n Need) bool { return n.Origin == origin })
				if i < 0 || !r.narrow(run, last, o.Needs[i]) {
					continue
				}
			}
			out = append(out, r)
		}
	}
	return out
}

func (r Run) snapshot(origin string) *Snapshot {
	for i := range r.Snapshots {
		if r.Snapshots[i].Origin == origin {
			return &r.Snapshots[i]
		}
	}
	return nil
}

// narrow narrows a reading to what is needed. It is false where nothing is to be read.
func (r *reading) narrow(run *Run, last Run, n Need) bool {
	base := last.snapshot(n.Origin)
	if base == nil || len(n.Resources)+len(n.Types)+len(n.Lookups) == 0 {
		return true
	}
	r.base, r.judged = base, n.Types
	r.request.Resources = slices.Compact(slices.Sorted(slices.Values(n.Resources)))
	types := slices.Clone(n.Types)
	for _, t := range n.Lookups {
		switch count := base.documents(t); {
		case slices.Contains(n.Types, t) || len(base.Answers) > 0 && !slices.Contains(base.Answers, t) && t != AllTypes:
		case t != AllTypes && lists(r.collector, t) && count <= lookupLimit:
			types = append(types, t)
		default:
			run.Notices = append(run.Notices, notAgain(*base, t, count))
		}
	}
	r.request.Types = slices.Compact(slices.Sorted(slices.Values(types)))
	return !r.request.Whole()
}

func lists(c Collector, typ string) bool {
	l, ok := c.(Lister)
	return ok && l.Lists(typ)
}

// notAgain is the notice of a type that is looked up as it was.
func notAgain(s Snapshot, typ string, count int64) Notice {
	what := fmt.Sprintf("%d documents that may be looked up are", count)
	if typ == AllTypes {
		what = "what may be looked up is"
	}
	return Notice{Code: "not_read_again", Subject: s.Origin + "/" + typ, Message: what + " as collected " + Stamp(s.Ended) + ": to read all of them again takes a whole run"}
}

// overlay adds what was not read afresh, from the last complete run, and says
// where that is too old to prove that something is not there.
func (a *Auditor) overlay(run *Run, last Run, o Order, fresh []Snapshot) []Snapshot {
	out := make([]Snapshot, 0, len(last.Snapshots))
	for _, s := range fresh {
		if s.Fresh != nil {
			s = a.aged(run, o, s)
		}
		out = append(out, s)
	}
	for _, s := range last.Snapshots {
		if !slices.ContainsFunc(fresh, func(f Snapshot) bool { return f.Origin == s.Origin }) {
			out = append(out, a.aged(run, o, s))
		}
	}
	return out
}

func (a *Auditor) aged(run *Run, o Order, s Snapshot) Snapshot {
	if s.Recorded || run.Started.Sub(s.Ended) <= staleAfter {
		return s
	}
	s.Gaps = slices.Clone(s.Gaps)
	for _, t := range a.stale(s, o) {
		s.Gaps = append(s.Gaps, Gap{Origin: s.Origin, Type: t, Code: Stale, Operation: "snapshot of " + Stamp(s.Ended)})
	}
	slices.SortFunc(s.Gaps, Gap.compare)
	run.Notices = append(run.Notices, Notice{Code: "stale_snapshot", Subject: s.Origin, Message: "collected " + Stamp(s.Ended) + ", more than a day before this run"})
	return s
}

// stale lists the types of which the snapshot holds what is old: all, or where
// some were read afresh all others that anybody asks about.
func (a *Auditor) stale(s Snapshot, o Order) []string {
	if s.Fresh == nil || len(s.Fresh.Types) == 0 {
		return []string{AllTypes}
	}
	types := map[string]bool{}
	for _, t := range s.knownTypes() {
		types[t] = true
	}
	for _, c := range a.Decider.Catalog().Controls {
		for _, at := range c.AppliesTo {
			if typ, ok := strings.CutPrefix(at, SourceOf(s.Origin)+"/"); ok && typ != AllTypes {
				types[typ] = true
			}
		}
	}
	for _, n := range o.Needs {
		if n.Origin == s.Origin {
			for _, t := range n.Lookups {
				types[t] = true
			}
		}
	}
	delete(types, AllTypes)
	if slices.ContainsFunc(o.Needs, func(n Need) bool { return n.Origin == s.Origin && slices.Contains(n.Lookups, AllTypes) }) {
		return []string{AllTypes} // anything may be looked up
	}
	for _, t := range s.Fresh.Types {
		delete(types, t)
	}
	return slices.Sorted(maps.Keys(types))
}
