package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// asked is what somebody wants judged again.
type asked struct {
	args         []string // decisions, resources, controls
	owners       []string
	requirements []string
}

// misasked says what is wrong with what was asked for. Nothing in it is a secret.
type misasked struct{ error }

func misaskedf(format string, args ...any) error { return misasked{fmt.Errorf(format, args...)} }

// concern is what that comes to.
type concern struct {
	in        *installation
	last      audit.Run
	controls  []string          // empty: by all
	resources []string          // empty: all that the controls apply to
	old       map[string]string // "control resource" → decision that is judged again
}

// mostResources is how many may be judged again one by one: from then on it is
// cheaper to read everything.
const mostResources = 10_000

var controlForm = regexp.MustCompile(`^[A-Z]{2,8}-[0-9]{3}$`)

func (in *installation) concerned(ctx context.Context, last audit.Run, what asked) (*concern, error) {
	c := &concern{in: in, last: last, old: map[string]string{}}
	for _, arg := range what.args {
		var err error
		switch {
		case controlForm.MatchString(arg):
			c.controls = append(c.controls, arg)
		case strings.Contains(arg, "/"):
			err = c.resource(arg)
		default:
			err = c.decision(ctx, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range what.requirements {
		ids, err := required(in.library.Catalog, name)
		if err != nil {
			return nil, err
		}
		c.controls = append(c.controls, ids...)
	}
	c.controls = unique(c.controls)
	if err := c.owned(ctx, what.owners); err != nil {
		return nil, err
	}
	c.resources = unique(c.resources)
	if len(c.resources) > mostResources {
		return nil, misaskedf("%d resources: to judge more than %d again, run `crosscheck audit`, or narrow them by a control", len(c.resources), mostResources)
	}
	return c, nil
}

func (c *concern) resource(id string) error {
	if originOf(c.last, id) == "" {
		return misaskedf("%q is of no origin of the last complete run: give a resource's whole id, as `crosscheck decisions list` shows it", id)
	}
	c.resources = append(c.resources, id)
	return nil
}

// originOf is the origin that a resource's id begins with: the longest.
func originOf(run audit.Run, id string) string {
	out := ""
	for _, s := range run.Snapshots {
		if strings.HasPrefix(id, s.Origin+"/") && len(s.Origin) > len(out) {
			out = s.Origin
		}
	}
	return out
}

func (c *concern) decision(ctx context.Context, prefix string) error {
	d, _, err := c.in.find(ctx, prefix)
	if err != nil {
		return err
	}
	c.controls = append(c.controls, d.Control)
	c.old[d.Control+" "+d.Resource] = d.ID
	return c.resource(d.Resource)
}

// required are the controls of a requirement: framework/id, or framework:id.
func required(catalog audit.Catalog, name string) ([]string, error) {
	i := strings.IndexAny(name, "/:")
	if i < 0 {
		return nil, misaskedf("requirement %q: expected framework and id, such as soc2-2017/CC6.1", name)
	}
	framework, id := name[:i], name[i+1:]
	f := slices.IndexFunc(catalog.Frameworks, func(f audit.Framework) bool { return f.ID == framework || f.Report == framework })
	if f < 0 {
		return nil, audit.UnknownError{Kind: "framework", Name: framework}
	}
	for _, r := range catalog.Frameworks[f].Requirements {
		if r.ID != id {
			continue
		}
		if len(r.Evidence) == 0 {
			return nil, misaskedf("requirement %s of %s is not testable here: no control is evidence of it", id, catalog.Frameworks[f].ID)
		}
		var out []string
		for _, e := range r.Evidence {
			out = append(out, e.Control)
		}
		return out, nil
	}
	return nil, misaskedf("%s has no requirement %q: they are named as in its reports, such as %s", catalog.Frameworks[f].ID, id, catalog.Frameworks[f].Requirements[0].ID)
}

// owned adds the resources of owners that the controls apply to.
func (c *concern) owned(ctx context.Context, owners []string) error {
	if len(owners) == 0 {
		return nil
	}
	selected, err := c.in.library.Catalog.Select(audit.Scope{Controls: c.controls})
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, s := range c.last.Snapshots {
		source := audit.SourceOf(s.Origin)
		err := audit.Documents(ctx, c.in.vault, s.Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if err != nil {
				return err
			}
			owner := audit.Owner(h.Tags)
			if owner == "" || !slices.Contains(owners, owner) {
				return nil
			}
			found[owner] = true
			if slices.ContainsFunc(selected, func(ctl audit.Control) bool { return ctl.AppliesToType(source, h.Type) }) {
				c.resources = append(c.resources, h.ID)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("snapshot of %s: %w", s.Origin, err)
		}
	}
	for _, owner := range owners {
		if !found[owner] {
			return misaskedf("owner %q answers for nothing that the last complete run saw: owners are the tags owner and team", owner)
		}
	}
	if len(c.resources) == 0 {
		return misaskedf("the controls apply to nothing that the owners answer for: there is nothing to judge")
	}
	return nil
}

func (c *concern) order(ctx context.Context) (audit.Order, error) {
	scope := audit.Scope{Controls: c.controls, Resources: c.resources}
	needs, err := c.needs(ctx, scope)
	if err != nil {
		return audit.Order{}, err
	}
	if err := c.relink(ctx, scope); err != nil {
		return audit.Order{}, err
	}
	return audit.Order{Trigger: audit.Reaudit, Scope: scope, Overlay: true, Needs: needs, Relink: c.old}, nil
}

// relink finds the failed and not evaluated decisions that are judged again.
func (c *concern) relink(ctx context.Context, scope audit.Scope) error {
	rec, err := c.in.record(ctx, c.last)
	if err != nil {
		return err
	}
	return rec.Stored(ctx, func(v audit.Verdict) error {
		if !scope.Judges(v.Origin, v.Resource) {
			return nil
		}
		for _, d := range v.Decisions {
			key := d.Control + " " + v.Resource
			_, named := c.old[key]
			by := len(scope.Controls) == 0 || slices.Contains(scope.Controls, d.Control)
			if by && !named && (d.Outcome == audit.Fail || d.Outcome == audit.NotEvaluated) {
				c.old[key] = d.ID
			}
		}
		return nil
	})
}

// needs finds out what has to be read afresh: what is judged, and what its
// controls may look up.
func (c *concern) needs(ctx context.Context, scope audit.Scope) ([]audit.Need, error) {
	selected, err := c.in.library.Catalog.Select(scope)
	if err != nil {
		return nil, err
	}
	n := &needing{concern: c, of: map[string]*audit.Need{}, whole: map[string]bool{}, kinds: map[string]bool{}}
	applied := false
	for _, ctl := range selected {
		for _, at := range ctl.AppliesTo {
			source, typ, _ := strings.Cut(at, "/")
			if !n.judges(source, typ) {
				continue
			}
			applied = true
			reads, err := c.in.engine.Reads(ctx, ctl.ID, source, typ)
			if err != nil {
				return nil, err
			}
			for _, kind := range reads.Estate {
				n.kinds[kind] = true
			}
		}
	}
	switch {
	case !applied && len(c.resources) > 0:
		return nil, misaskedf("none of the controls applies to what is to be judged: there is nothing to judge")
	case !applied:
		return nil, misaskedf("no configured source has what the controls apply to: there is nothing to judge")
	}
	if err := n.lookups(); err != nil {
		return nil, err
	}
	return n.list(), nil
}

// needing collects needs by origin.
type needing struct {
	*concern
	of    map[string]*audit.Need
	whole map[string]bool
	kinds map[string]bool // source.kind
}

func (n *needing) need(origin string) *audit.Need {
	if n.of[origin] == nil {
		n.of[origin] = &audit.Need{Origin: origin}
	}
	return n.of[origin]
}

// judges notes what is judged of a type. It is false where there is nothing.
func (n *needing) judges(source, typ string) bool {
	some := false
	for _, id := range n.resources {
		origin := originOf(n.last, id)
		if audit.SourceOf(origin) == source && (typ == audit.AllTypes || strings.HasPrefix(id, origin+"/"+typ+"/")) {
			some = true
			n.need(origin).Resources = append(n.need(origin).Resources, id)
		}
	}
	if len(n.resources) > 0 {
		return some
	}
	for _, s := range n.last.Snapshots {
		switch {
		case audit.SourceOf(s.Origin) != source || typ != audit.AllTypes && !answers(s, typ):
			continue
		case typ == audit.AllTypes:
			n.whole[s.Origin] = true
		}
		some = true
		n.need(s.Origin).Types = append(n.need(s.Origin).Types, typ)
	}
	for _, origin := range n.in.cfg.Sources.Origins() {
		if audit.SourceOf(origin) == source && n.snapshot(origin) == nil {
			n.need(origin)
			n.whole[origin], some = true, true
		}
	}
	return some
}

func (n *needing) snapshot(origin string) *audit.Snapshot {
	i := slices.IndexFunc(n.last.Snapshots, func(s audit.Snapshot) bool { return s.Origin == origin })
	if i < 0 {
		return nil
	}
	return &n.last.Snapshots[i]
}

// answers tells whether an origin can have resources of a type.
func answers(s audit.Snapshot, typ string) bool {
	return len(s.Answers) == 0 || slices.Contains(s.Answers, typ)
}

// lookups notes the types that declare what may be looked up.
func (n *needing) lookups() error {
	if len(n.kinds) == 0 {
		return nil
	}
	declaring := map[string]map[string]bool{} // source → type
	for _, s := range n.last.Snapshots {
		source := audit.SourceOf(s.Origin)
		if n.kinds[audit.AllTypes] {
			n.need(s.Origin).Lookups = []string{audit.AllTypes}
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(n.kinds)), func(k string) bool { return strings.HasPrefix(k, source+".") }) {
			continue
		}
		if declaring[source] == nil {
			declaring[source] = map[string]bool{}
		}
		types, err := n.types(s)
		if err != nil {
			return err
		}
		for _, typ := range types {
			is, known := declaring[source][typ]
			if !known {
				kinds, err := n.in.engine.CanDeclare(source, typ)
				if err != nil {
					return err
				}
				is = slices.ContainsFunc(kinds, func(k string) bool { return n.kinds[k] })
				declaring[source][typ] = is
			}
			if is {
				n.need(s.Origin).Lookups = append(n.need(s.Origin).Lookups, typ)
			}
		}
	}
	return nil
}

// types are those that an origin has or may have: those it had, and those that
// the library's adapters name.
func (n *needing) types(s audit.Snapshot) ([]string, error) {
	out := slices.Clone(s.Answers)
	for _, t := range slices.Concat(s.Types, s.Documents) {
		out = append(out, t.Type)
	}
	named, err := n.in.engine.DeclaringTypes(audit.SourceOf(s.Origin))
	for _, t := range named {
		if answers(s, t) {
			out = append(out, t)
		}
	}
	return unique(out), err
}

func (n *needing) list() []audit.Need {
	var out []audit.Need
	for _, origin := range slices.Sorted(maps.Keys(n.of)) {
		need := *n.of[origin]
		if n.whole[origin] {
			need = audit.Need{Origin: origin}
		}
		out = append(out, need)
	}
	return out
}

func unique(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
