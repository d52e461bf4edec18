package audit

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Found is a decision of a run, with its resource.
type Found struct {
	Decision
	Run         string `json:"run"`
	Resource    string `json:"resource"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	Origin      string `json:"origin"`
	Owner       string `json:"owner,omitempty"`
	InputDigest string `json:"input_digest"`
}

// Query narrows decisions. Fields that are empty do not narrow.
type Query struct {
	Control  string
	Outcome  Outcome // Fail or NotEvaluated
	Resource string  // a pattern for Matches
	Excepted *bool
	After    string // Page.Next of the page before
	Limit    int    // default 100
}

// Page is a part of the answer. Next is empty on the last one.
type Page struct {
	Decisions []Found
	Next      string
}

// PageError says that there is no page that begins after something.
type PageError struct{ After, Of string }

func (e *PageError) Error() string {
	return fmt.Sprintf("%q is no page of %s: give the one that the page before named", e.After, e.Of)
}

// Found joins one of a verdict's decisions with its resource.
func (r Record) Found(v Verdict, d Decision) Found {
	return Found{
		Decision: d, Run: r.Run.ID, Resource: v.Resource, Name: v.Name, Type: v.Type, Origin: v.Origin, Owner: v.Owner, InputDigest: v.InputDigest,
	}
}

// Find reads failed and not evaluated decisions out of the run's verdict
// segment, by control and resource. It reads all of the segment for each page,
// and holds no more than the page.
func (r Record) Find(ctx context.Context, q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	control, resource, ok := strings.Cut(q.After, " ")
	if q.After != "" && !ok {
		return Page{}, &PageError{After: q.After, Of: "decisions"}
	}
	after := Found{Decision: Decision{Control: control}, Resource: resource}
	var best latest
	err := r.Stored(ctx, func(v Verdict) error {
		if q.Resource != "" && !Matches(q.Resource, v.Resource) {
			return nil
		}
		for _, d := range v.Decisions {
			if !q.wants(d) {
				continue
			}
			if f := r.Found(v, d); q.After == "" || compareFound(f, after) > 0 {
				best.add(f, q.Limit+1)
			}
		}
		return nil
	})
	if err != nil {
		return Page{}, err
	}
	slices.SortFunc(best, compareFound)
	page := Page{Decisions: best}
	if len(best) > q.Limit {
		last := best[q.Limit-1]
		page = Page{Decisions: best[:q.Limit], Next: last.Control + " " + last.Resource}
	}
	return page, nil
}

func (q Query) wants(d Decision) bool {
	return (d.Outcome == Fail || d.Outcome == NotEvaluated) &&
		(q.Control == "" || d.Control == q.Control) &&
		(q.Outcome == "" || d.Outcome == q.Outcome) &&
		(q.Excepted == nil || d.Excepted() == *q.Excepted)
}

var errFound = errors.New("found")

// FindID reads the failed and not evaluated decisions whose ids begin with
// prefix out of the run's verdict segment: two at most, which is one too many.
func (r Record) FindID(ctx context.Context, prefix string) ([]Found, error) {
	var out []Found
	err := r.Stored(ctx, func(v Verdict) error {
		for _, d := range v.Decisions {
			if (d.Outcome != Fail && d.Outcome != NotEvaluated) || !strings.HasPrefix(d.ID, prefix) {
				continue
			}
			if d.ID == prefix {
				out = nil
			}
			if out = append(out, r.Found(v, d)); len(out) == 2 || d.ID == prefix {
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return out, err
}

// Matches tells whether s has the form of a pattern in which * stands for
// anything, and nothing else is special.
func Matches(pattern, s string) bool {
	head, rest, some := strings.Cut(pattern, "*")
	if !some {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		_, after, ok := strings.Cut(s, part) // the first place leaves most for the rest
		if !ok {
			return false
		}
		s = after
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

func compareFound(a, b Found) int {
	return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Resource, b.Resource))
}

// latest is a heap of decisions, the one that comes last first.
type latest []Found

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return compareFound(l[i], l[j]) > 0 }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(x any)        { *l = append(*l, x.(Found)) }
func (l *latest) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}

// add keeps f if it is among the first n.
func (l *latest) add(f Found, n int) {
	switch {
	case l.Len() < n:
		heap.Push(l, f)
	case compareFound(f, (*l)[0]) < 0:
		(*l)[0] = f
		heap.Fix(l, 0)
	}
}
