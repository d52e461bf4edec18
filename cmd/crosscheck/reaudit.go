package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func (a *app) reauditCmd() *cobra.Command {
	var output string
	var quiet bool
	cmd := &cobra.Command{
		Use: "reaudit DECISION|RESOURCE|CONTROL…", Short: "Collect again only what is concerned, and judge it again", Args: wanted(1, math.MaxInt, "a decision, a resource or a control, or more"),
		Long: `Judges again a decision (by its id, or the beginning of it), a resource (by its
whole id) or a control. Only the origins concerned are collected again: those of
the resources, and those that the controls look things up in. The rest is looked
up in the last complete run. New decisions are linked to those they replace, and
what is no longer there is said to be gone.

Exit codes: 0 complete and recorded; 1 error, also a resource that was never seen;
3 recorded, but an origin could not be read at all, or what was to be judged again
could not be listed.`,
		Example: `  crosscheck reaudit 3f9a2c
  crosscheck reaudit STO-001
  crosscheck reaudit aws/111122223333/eu-west-1/AWS::S3::Bucket/www`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.reaudit(cmd.Context(), args, output, quiet)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print one line")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) reaudit(ctx context.Context, args []string, output string, quiet bool) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	last, ok, err := in.ledger.LastComplete(ctx)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("no complete run to lay this one over: run `%s` first", a.command("audit"))
	}
	c, err := in.concerned(ctx, last, args)
	if err != nil {
		return err
	}
	order, err := c.order(ctx)
	if err != nil {
		return err
	}
	run, err := a.perform(ctx, in, order, show{output, quiet})
	if err != nil {
		return err
	}
	if !quiet && output == "table" {
		if err := a.printRelinked(ctx, in, run); err != nil {
			return err
		}
	}
	gone, err := c.lost(ctx, run)
	if err != nil {
		return err
	}
	to := a.out
	if quiet || output == "json" {
		to = a.err
	}
	if err := printLost(to, gone); err != nil {
		return err
	}
	return verdict(run, in.library.Catalog, "")
}

// concern is what the arguments of a re-audit come to.
type concern struct {
	in        *installation
	last      audit.Run
	controls  []string
	resources []string
	origins   []string // of resources
	all       struct{ controls, resources bool }
	old       map[string]string // "control resource" → decision that is judged again
}

var controlForm = regexp.MustCompile(`^[A-Z]{2,8}-[0-9]{3}$`)

func (in *installation) concerned(ctx context.Context, last audit.Run, args []string) (*concern, error) {
	c := &concern{in: in, last: last, old: map[string]string{}}
	for _, arg := range args {
		var err error
		switch {
		case controlForm.MatchString(arg):
			c.controls = append(c.controls, arg)
			c.all.resources = true
		case strings.Contains(arg, "/"):
			err = c.resource(arg)
			c.all.controls = true
		default:
			err = c.decision(ctx, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *concern) resource(id string) error {
	i := slices.IndexFunc(c.last.Snapshots, func(s audit.Snapshot) bool { return strings.HasPrefix(id, s.Origin+"/") })
	if i < 0 {
		return fmt.Errorf("%q is of no origin of the last complete run: give a resource's whole id, as `crosscheck decisions list` shows it", id)
	}
	c.resources = append(c.resources, id)
	c.origins = append(c.origins, c.last.Snapshots[i].Origin)
	return nil
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

// order narrows by controls only where every argument does, and by resources likewise.
func (c *concern) order(ctx context.Context) (audit.Order, error) {
	scope := audit.Scope{Controls: unique(c.controls), Resources: unique(c.resources)}
	if c.all.controls {
		scope.Controls = nil
	}
	if c.all.resources {
		scope.Resources = nil
	}
	selected, err := c.in.library.Catalog.Select(scope)
	if err != nil {
		return audit.Order{}, err
	}
	wanted := map[string]bool{} // sources
	for _, ctl := range selected {
		if err := c.sources(ctx, ctl, wanted); err != nil {
			return audit.Order{}, err
		}
	}
	origins := c.origins
	for _, s := range c.last.Snapshots {
		if wanted[audit.SourceOf(s.Origin)] {
			origins = append(origins, s.Origin)
		}
	}
	scope.Origins = unique(origins)
	if err := c.relink(ctx, scope); err != nil {
		return audit.Order{}, err
	}
	return audit.Order{Trigger: audit.Reaudit, Scope: scope, Overlay: true, Relink: c.old}, nil
}

// sources adds those that a control needs fresh: what it looks up and, where
// resources do not say which, what it judges.
func (c *concern) sources(ctx context.Context, ctl audit.Control, wanted map[string]bool) error {
	for _, at := range ctl.AppliesTo {
		source, typ, _ := strings.Cut(at, "/")
		if c.all.resources {
			wanted[source] = true
		} else if !slices.ContainsFunc(c.resources, func(id string) bool { return strings.HasPrefix(id, source+"/") && strings.Contains(id, "/"+typ+"/") }) {
			continue
		}
		reads, err := c.in.engine.Reads(ctx, ctl.ID, source, typ)
		if err != nil {
			return err
		}
		for _, kind := range reads.Estate {
			from, _, _ := strings.Cut(kind, ".")
			wanted[from] = true
		}
	}
	return nil
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
			asked := len(scope.Controls) == 0 || slices.Contains(scope.Controls, d.Control)
			if asked && !named && (d.Outcome == audit.Fail || d.Outcome == audit.NotEvaluated) {
				c.old[key] = d.ID
			}
		}
		return nil
	})
}

func unique(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// printRelinked says what became of each decision that was judged again.
func (a *app) printRelinked(ctx context.Context, in *installation, run audit.Run) error {
	if len(run.Relinked) == 0 {
		return nil
	}
	rec, err := in.record(ctx, run)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	t := newTable(a.out, "WAS", "IS", "OUTCOME", "CONTROL", "RESOURCE")
	err = rec.Verdicts(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if old, ok := run.Relinked[d.ID]; ok {
				t.row(short(old), short(d.ID), string(d.Outcome), d.Control, v.Resource)
			}
		}
		return nil
	})
	return errors.Join(err, t.flush())
}
