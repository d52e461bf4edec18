package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Exception is an approved, expiring acceptance of a failed decision. It
// annotates, never hides.
type Exception struct {
	ID            string    `json:"id"`
	Control       string    `json:"control"`
	Resource      string    `json:"resource"`       // glob over the whole resource id; * does not cross /
	Path          string    `json:"path,omitempty"` // one violation only: its path
	Justification string    `json:"justification"`
	Compensating  string    `json:"compensating,omitempty"` // compensating control
	RequestedBy   string    `json:"requested_by"`
	ApprovedBy    string    `json:"approved_by"`
	ApprovedOn    time.Time `json:"approved_on"`
	Expires       time.Time `json:"expires"`
	Ticket        string    `json:"ticket"`
}

// Check tells what makes an exception invalid, naming the field.
func (e Exception) Check() error {
	for _, f := range []struct{ name, value string }{
		{"id", e.ID},
		{"control", e.Control},
		{"resource", e.Resource},
		{"justification", e.Justification},
		{"requested_by", e.RequestedBy},
		{"approved_by", e.ApprovedBy},
		{"ticket", e.Ticket},
	} {
		if strings.TrimSpace(f.value) == "" {
			return fmt.Errorf("%s is required", f.name)
		}
	}
	switch {
	case e.ApprovedOn.IsZero():
		return fmt.Errorf("approved_on is required: a date such as 2026-11-21")
	case e.Expires.IsZero():
		return fmt.Errorf("expires is required: an exception without an end is a change of policy")
	case !e.Expires.After(e.ApprovedOn):
		return fmt.Errorf("expires (%s) must be after approved_on (%s)", Stamp(e.Expires), Stamp(e.ApprovedOn))
	case strings.EqualFold(strings.TrimSpace(e.RequestedBy), strings.TrimSpace(e.ApprovedBy)):
		return fmt.Errorf("approved_by must not be requested_by (%q)", e.RequestedBy)
	}
	return nil
}

// InForce tells whether the exception counts at a moment.
func (e Exception) InForce(at time.Time) bool {
	return !at.Before(e.ApprovedOn) && at.Before(e.Expires)
}

// Exceptions annotates failed decisions and remembers what each exception covered.
type Exceptions struct {
	list    []Exception
	literal []string // how a resource must begin, before any glob
	res     []*regexp.Regexp
	asOf    time.Time
	used    []map[string]bool // resources covered
}

// NewExceptions prepares a list for the moment a run judges by. The list must have passed Check.
func NewExceptions(list []Exception, asOf time.Time) *Exceptions {
	x := &Exceptions{list: list, asOf: asOf, used: make([]map[string]bool, len(list))}
	for i, e := range list {
		literal, _, _ := strings.Cut(e.Resource, "*")
		x.literal, x.res = append(x.literal, literal), append(x.res, globRegexp(e.Resource))
		x.used[i] = map[string]bool{}
	}
	return x
}

// Apply annotates the failed decisions of a verdict. The first exception that covers wins.
func (x *Exceptions) Apply(v *Verdict) {
	if len(x.list) == 0 || !slices.ContainsFunc(v.Decisions, func(d Decision) bool { return d.Outcome == Fail }) {
		return
	}
	for i, e := range x.list {
		if !e.InForce(x.asOf) || !strings.HasPrefix(v.Resource, x.literal[i]) || !x.res[i].MatchString(v.Resource) {
			continue
		}
		for j := range v.Decisions {
			if d := &v.Decisions[j]; d.Control == e.Control && d.Outcome == Fail && x.cover(e, d) {
				x.used[i][v.Resource] = true
			}
		}
	}
}

func (x *Exceptions) cover(e Exception, d *Decision) bool {
	if e.Path == "" {
		if d.Exception == "" {
			d.Exception = e.ID
		}
		return true
	}
	hit := false
	for k := range d.Violations {
		if v := &d.Violations[k]; v.Path == e.Path {
			hit = true
			if v.Exception == "" {
				v.Exception = e.ID
			}
		}
	}
	return hit
}

// maxCovered resources may be accepted by one exception before it is called over-broad.
const maxCovered = 25

// Notices tells which exceptions are expired, unused or over-broad. Only a
// complete, unscoped run can tell.
func (x *Exceptions) Notices(counts []Count, origins []string) []Notice {
	var out []Notice
	add := func(code string, e Exception, format string, args ...any) {
		out = append(out, Notice{Code: code, Subject: e.ID, Message: fmt.Sprintf(format, args...)})
	}
	for i, e := range x.list {
		n := int64(len(x.used[i]))
		switch {
		case !x.asOf.Before(e.Expires):
			add("exception_expired", e, "expired on %s and covers nothing: renew it with a new approval or remove it", e.Expires.UTC().Format(time.DateOnly))
			continue
		case x.asOf.Before(e.ApprovedOn):
			add("exception_not_yet", e, "approved on %s, after the moment this run judges by", e.ApprovedOn.UTC().Format(time.DateOnly))
			continue
		case n == 0:
			add("exception_unused", e, "covers no failed decision: remove it, or correct control %s or resource %q", e.Control, e.Resource)
			continue
		}
		if !literalOrigin(e.Resource, origins) {
			add("exception_broad", e, "resource %q names no literal origin", e.Resource)
		}
		if n > maxCovered {
			add("exception_broad", e, "covers %d resources, more than %d", n, maxCovered)
		}
		for _, c := range counts {
			if c.Control == e.Control && c.Listed > 1 && c.Fail == c.Listed && x.coversAll(i, c) {
				add("exception_broad", e, "covers the whole population of %s in %s: %d resources", c.Type, c.Origin, c.Listed)
			}
		}
	}
	return out
}

// coversAll tells whether an exception covers as many resources of a population as there are.
func (x *Exceptions) coversAll(i int, c Count) bool {
	var n int64
	for id := range x.used[i] {
		if strings.HasPrefix(id, c.Origin+"/"+c.Type+"/") {
			n++
		}
	}
	return n == c.Listed
}

func literalOrigin(pattern string, origins []string) bool {
	literal, _, _ := strings.Cut(pattern, "*")
	for _, o := range origins {
		if strings.HasPrefix(literal, o+"/") {
			return true
		}
	}
	return false
}

// globRegexp compiles a pattern in which only * is special.
func globRegexp(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `[^/]*`) + `)$`)
}
