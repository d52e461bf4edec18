package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

func (a *app) repairsCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "repairs", Short: "Repair what was found, within what is configured, and prove it",
		Long: `A repair is one use of a runbook against one violated decision. It is requested,
approved by somebody else, done once, and verified by a re-audit; what does not work
is rolled back. Nothing is done unless the configuration has a section remediation
that names the runbook.`,
		Example: `  crosscheck repairs runbooks
  crosscheck repairs suggest 3f9a2c
  crosscheck repairs request 3f9a2c
  crosscheck repairs approve 81bc07
  crosscheck repairs run`,
	}, a.repairsListCmd(), a.repairsShowCmd(), a.runbooksCmd(), a.suggestCmd(), a.requestCmd(), a.approveCmd(), a.denyCmd(), a.repairsRunCmd(), a.settleCmd(), a.stopCmd(), a.resumeCmd())
}

// repairFlags narrow what repairs are listed.
type repairFlags struct {
	state    string
	control  string
	runbook  string
	resource string
	limit    int
	output   string
}

var repairStates = []string{
	"suggested", "requested", "approved", "denied", "expired", "blocked", "acting", "unknown", "acted", "verified", "failed", "rolled_back", "stuck",
	"settling", "settled",
}

func (a *app) repairsListCmd() *cobra.Command {
	var f repairFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List repairs, those that moved last first", Args: cobra.NoArgs,
		Example: `  crosscheck repairs list
  crosscheck repairs list --state requested
  crosscheck repairs list --control STO-001 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listRepairs(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.state, "state", "", "only those in this state: "+strings.Join(repairStates, ", "))
	cmd.Flags().StringVar(&f.control, "control", "", "only of this control")
	cmd.Flags().StringVar(&f.runbook, "runbook", "", "only by this runbook")
	cmd.Flags().StringVar(&f.resource, "resource", "", "only of this resource (its whole id)")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "how many at most")
	outputFlag(cmd, &f.output)
	complete(cmd, "state", repairStates...)
	return cmd
}

func (a *app) listRepairs(ctx context.Context, f repairFlags) (err error) {
	if f.limit < 1 {
		return fmt.Errorf("--limit %d: expected at least 1", f.limit)
	}
	if err := errors.Join(checkWord("output", f.output, "table", "json"), checkWord("state", f.state, append([]string{""}, repairStates...)...)); err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	q := audit.RepairQuery{Control: f.control, Runbook: f.runbook, Resource: f.resource, Limit: f.limit}
	if f.state != "" {
		q.States = []audit.RepairState{audit.RepairState(f.state)}
	}
	list, err := in.ledger.Repairs(ctx, q)
	if err != nil {
		return err
	}
	rates, err := in.ledger.RepairRates(ctx)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.json(map[string]any{"repairs": append([]audit.Repair{}, list...), "rates": append([]audit.RepairRate{}, rates...)})
	}
	if err := a.printRepairs(list); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\n%s\n", plural(int64(len(list)), "repair"))
	return err
}

func (a *app) printRepairs(list []audit.Repair) error {
	t := newTable(a.out, "REPAIR", "STATE", "RUNBOOK", "CONTROL", "DECISION", "RESOURCE", "WHY")
	for _, r := range list {
		t.row(short(r.ID), string(r.State), r.Runbook, r.Control, short(r.Decision), r.Resource, firstLine(r.Reason))
	}
	return t.flush()
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}

func (a *app) repairsShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show REPAIR", Short: "Show a repair: who asked, who approved, what ran, what proves it", Args: wanted(1, 1, "a repair's id"),
		Example: "  crosscheck repairs show 81bc07\n  crosscheck repairs show 81bc07 -o json",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.showRepair(cmd.Context(), args[0], output) },
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showRepair(ctx context.Context, id, output string) (err error) {
	if err := checkWord("output", output, "table", "json"); err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	list, err := in.ledger.Repairs(ctx, audit.RepairQuery{ID: id, Limit: 2})
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return fmt.Errorf("no repair %q is on record: `%s` shows them", id, a.command("repairs list"))
	case len(list) > 1:
		return fmt.Errorf("%q is the beginning of several repairs' ids: give more of it", id)
	}
	events, err := in.ledger.RepairEvents(ctx, list[0].ID)
	if err != nil {
		return err
	}
	waits := ""
	if list[0].State == audit.RepairApproved && in.cfg.Remediation != nil {
		e, err := a.repairEngine(in)
		if err != nil {
			return err
		}
		waits = e.Why(ctx, list[0])
	}
	if output == "json" {
		return a.json(map[string]any{"repair": list[0], "events": events, "waits": waits})
	}
	return a.printRepair(list[0], events, waits)
}

func (a *app) printRepair(r audit.Repair, events []audit.RepairEvent, waits string) error {
	say := func(label, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(a.out, "%-10s  %s\n", label, indented(value))
		}
	}
	say("Repair", r.ID)
	say("State", string(r.State))
	say("Why", r.Reason)
	say("Waits", waits)
	say("Runbook", r.Runbook+" "+r.Version+" ("+r.Runner+", "+string(r.Mode)+")")
	say("Decision", r.Decision+" of run "+short(r.Run))
	say("Control", r.Control)
	say("Resource", r.Resource)
	say("Owner", r.Owner)
	for _, name := range sortedNames(r.Parameters) {
		say("Parameter", name+" = "+r.Parameters[name])
	}
	say("Dry run", r.DryRun)
	for _, s := range []struct {
		label string
		step  *audit.RepairStep
	}{{"Requested", r.Requested}, {"Decided", r.Decided}, {"Acted", r.Acted}, {"Verified", r.Verified}, {"Undone", r.Undone}, {"Settled", r.Settled}} {
		if s.step == nil {
			continue
		}
		text := audit.Stamp(s.step.At) + " by " + s.step.By
		if s.step == r.Acted && s.step.Outcome != "" {
			text += "; just before it"
		}
		if s.step.Outcome != "" {
			text += fmt.Sprintf(": %s in run %s, decision %s", s.step.Outcome, short(s.step.Run), short(s.step.Decision))
		} else if s.step.Run != "" {
			text += ": gone in run " + short(s.step.Run)
		}
		if s.step.Output != "" {
			text += "\n" + s.step.Output
		}
		say(s.label, text)
	}
	_, _ = fmt.Fprintln(a.out)
	t := newTable(a.out, "AT", "STATE", "BY", "WHY")
	for _, e := range events {
		t.row(audit.Stamp(e.At), string(e.State), e.By, firstLine(e.Reason))
	}
	return t.flush()
}

// indented prints what has several lines below its label, and nothing that steers a terminal.
func indented(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n            ")
}

func sortedNames(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (a *app) runbooksCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "runbooks", Short: "List the runbooks there are, and how far each may go here", Args: cobra.NoArgs,
		Example: "  crosscheck repairs runbooks\n  crosscheck repairs runbooks -o json",
		RunE: func(*cobra.Command, []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			cfg, err := a.load()
			if err != nil {
				return err
			}
			list, err := runbooks(cfg)
			if err != nil {
				return err
			}
			return a.printRunbooks(cfg, list, output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) printRunbooks(cfg configs.Config, list []remediate.Runbook, output string) error {
	mode := func(id string) string {
		if cfg.Remediation != nil {
			if u, ok := cfg.Remediation.Use[id]; ok {
				return u.Mode
			}
		}
		return "off"
	}
	if output == "json" {
		out := []any{}
		for _, r := range list {
			out = append(out, map[string]any{"runbook": r, "mode": mode(r.ID)})
		}
		return a.json(map[string]any{"runbooks": out})
	}
	t := newTable(a.out, "RUNBOOK", "VERSION", "MODE", "RUNNER", "CONTROLS", "ROLLS BACK", "TITLE")
	for _, r := range list {
		back := "no"
		if r.RollBack {
			back = "yes"
		}
		t.row(r.ID, r.Version, mode(r.ID), r.Runner, strings.Join(r.Controls, ","), back, r.Title)
	}
	return t.flush()
}
