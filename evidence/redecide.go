package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// redecide has the pack's own library make every decision again, from the
// estate that the pack's snapshots give, and compares.
func (v *verification) redecide(ctx context.Context) error {
	if v.opts.Library == nil {
		v.r.unchecked("whether the decisions come out as recorded: no engine was given to make them again")
		return nil
	}
	d, err := v.newDecider(ctx)
	if err != nil {
		v.r.problem(libraryFile, "cannot be loaded: %v", err)
		return ctx.Err()
	}
	run := v.doc.Run
	if !equalJSON(d.Catalog(), v.doc.Catalog) {
		v.r.problem(runFile, "its catalogue is not that of %s with its parameters", libraryFile)
		return nil
	}
	if got := d.Catalog().Revision; got != run.Revision {
		v.r.problem(libraryFile, "has revision %s, the run was judged by %s", got, clip(run.Revision))
		return nil
	}
	c := &comparison{v: v, catalog: d.Catalog()}
	if c.lines, err = v.lines(ctx); err != nil {
		return err
	}
	defer func() { _ = c.lines.file.Close() }()
	if v.gathered, err = gather(""); err != nil {
		return err
	}
	if err := c.accepted(); err != nil {
		v.r.problem(exceptionsFile, "%v", err)
		return nil
	}
	j := audit.Judgement{AsOf: run.AsOf, Scope: run.Scope, Snapshots: run.Snapshots, Vault: newPackVault(v.src, v.manifest)}
	err = d.Decide(ctx, j, c.verdict)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errStop):
		return nil
	case err != nil:
		v.r.problem(decisionsFile, "cannot be made again: %v", err)
		return nil
	}
	if l, ok, err := c.lines.next(); ok || err != nil {
		v.r.problem(decisionsFile, "line %d: the library makes no decision of %s on %s", c.lines.number, clip(l.Control), clip(l.Resource))
	}
	v.r.Redecided, v.decider = c.made, d
	v.r.checked("%d decisions made again from the snapshots by the pack's library: outcome, violations, reasons and slices are those recorded", c.made)
	return nil
}

func (v *verification) newDecider(ctx context.Context) (audit.Decider, error) {
	f, ok := v.manifest.Find(libraryFile)
	if !ok {
		return nil, errors.New("it is missing")
	}
	r, err := newPackVault(v.src, v.manifest).Open(ctx, f.SHA256)
	if err != nil {
		return nil, err
	}
	d, err := v.opts.Library(ctx, r, v.doc.Parameters)
	return d, errors.Join(err, r.Close())
}

// comparison sets what a decider decides beside what is recorded.
type comparison struct {
	v          *verification
	catalog    audit.Catalog
	lines      *lineReader
	exceptions *audit.Exceptions // nil: not compared
	made       int64
}

// accepted prepares the exceptions as they were in the run.
func (c *comparison) accepted() error {
	if c.v.opts.Exceptions == nil {
		c.v.r.unchecked("whether accepted risks follow from %s: no reader of it was given", exceptionsFile)
		return nil
	}
	var list []audit.Exception
	if c.v.doc.Run.Exceptions != "" {
		b, err := readSmall(c.v.src, exceptionsFile, maxSmall)
		if err != nil {
			return err
		}
		if list, err = c.v.opts.Exceptions(b); err != nil {
			return fmt.Errorf("cannot be read: %w", err)
		}
	}
	c.exceptions = audit.NewExceptions(list, c.v.doc.Run.AsOf)
	return nil
}

// verdict compares the decisions on one resource with the lines that come next.
func (c *comparison) verdict(v audit.Verdict) error {
	v.Decisions = slices.Clone(v.Decisions)
	slices.SortFunc(v.Decisions, func(x, y audit.Decision) int { return cmp.Compare(x.Control, y.Control) })
	if c.exceptions != nil {
		c.exceptions.Apply(&v)
	}
	for _, d := range v.Decisions {
		recorded, ok, err := c.lines.next()
		if err != nil || !ok || recorded.Control != d.Control || recorded.Resource != v.Resource {
			c.v.r.problem(decisionsFile, "line %d: the library decides %s on %s, the record does not", c.lines.number, clip(d.Control), clip(v.Resource))
			return errStop
		}
		ctl, _ := c.catalog.Control(d.Control)
		d.ControlDigest = ctl.Digest
		d.ID = audit.DecisionID(ctl, v.Resource, v.InputDigest, d.SliceDigest, c.v.doc.Run.AsOf)
		made, err := newLine(v, d, c.v.doc.Run.AsOf)
		if err != nil {
			return err
		}
		c.made++
		if err := c.v.gathered.add(d); err != nil {
			return err
		}
		if diff := c.difference(recorded, made); diff != "" {
			c.v.r.problem(decisionsFile, "line %d: %s on %s: %s", c.lines.number, d.Control, clip(v.Resource), diff)
		}
	}
	return nil
}

// difference says in what two lines differ, or nothing.
func (c *comparison) difference(recorded, made Line) string {
	if c.exceptions == nil {
		recorded, made = unaccepted(recorded), unaccepted(made)
	}
	switch {
	case recorded.Outcome != made.Outcome:
		return fmt.Sprintf("recorded as %s, made again it is %s", clip(string(recorded.Outcome)), made.Outcome)
	case recorded.SliceDigest != made.SliceDigest:
		return "what it looked up in the estate is not what the snapshots give"
	case !equalJSON(recorded.Violations, made.Violations):
		return "made again it has other violations, or they are accepted by other exceptions"
	case !equalJSON(recorded.Reasons, made.Reasons):
		return "made again it has other reasons"
	case !equalJSON(recorded, made):
		return "made again it is not the same"
	}
	return ""
}

// unaccepted leaves out what exceptions say.
func unaccepted(l Line) Line {
	l.Exception = ""
	l.Violations = slices.Clone(l.Violations)
	for i := range l.Violations {
		l.Violations[i].Exception = ""
	}
	return l
}
