package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
	_ "time/tzdata" // a container has no zones of its own

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// schedules makes what the daemon schedules, and says where it cannot be.
func schedules(cfg configs.Config, catalog audit.Catalog, cs []audit.Collector) ([]schedule.Audit, error) {
	var known []string
	for _, c := range cs {
		known = append(known, c.Origins()...)
	}
	var out []schedule.Audit
	var errs []error
	for _, s := range cfg.Schedules {
		times, err := schedule.ParseTimes(s.Cron, s.TimeZone)
		if err != nil {
			errs = append(errs, s.Wrong("cron", err))
			continue
		}
		scope := audit.Scope{Controls: s.Controls, Frameworks: s.Frameworks, Severity: audit.Severity(s.Severity), Origins: s.Origins}
		if _, err := catalog.Select(scope); err != nil {
			errs = append(errs, s.Wrong("scope", err))
		}
		for _, o := range s.Origins {
			if !slices.Contains(known, o) {
				errs = append(errs, s.Wrong("scope", audit.UnknownError{Kind: "origin", Name: o}))
			}
		}
		out = append(out, schedule.Audit{
			Name: s.Name, Times: times, Scope: scope, Full: s.Full, Jitter: s.Jitter, CatchUp: !s.Skip, Within: s.Within,
			Timeout: s.Timeout, Retries: s.Retries, Backoff: s.Backoff,
		})
	}
	return out, errors.Join(errs...)
}

func (a *app) schedulesCmd() *cobra.Command {
	list, output := &cobra.Command{
		Use: "list", Short: "List the audits that are run by themselves", Args: cobra.NoArgs,
		Long: `Shows for each scheduled audit when it is due next, how its last due time came out,
and its last complete run with the age of that.`,
		Example: "  crosscheck schedules list\n  crosscheck schedules list -o json",
	}, ""
	outputFlag(list, &output)
	list.RunE = func(cmd *cobra.Command, _ []string) error { return a.listSchedules(cmd.Context(), output) }
	next, nextOutput, n := &cobra.Command{
		Use: "next [NAME…]", Short: "Show the next due times",
		Long: `Shows the next due times of each scheduled audit, or of those named, as the clocks in
its zone show them, and when each begins: later by its jitter. A time that does not
exist because clocks are put forward is due when they are; one that exists twice is
due the first time.`,
		Example: "  crosscheck schedules next\n  crosscheck schedules next nightly -n 20\n  crosscheck schedules next -o json",
	}, "", 3
	outputFlag(next, &nextOutput)
	next.Flags().IntVarP(&n, "number", "n", n, "how many of each")
	next.RunE = func(_ *cobra.Command, args []string) error { return a.nextDue(args, n, nextOutput) }
	return group(&cobra.Command{
		Use: "schedules", Short: "Show what is audited by itself, and when",
		Example: "  crosscheck schedules list\n  crosscheck schedules next",
	}, list, next)
}

// scheduled reads the schedules of the configuration in force.
func (a *app) scheduled() (configs.Config, []schedule.Audit, error) {
	cfg, err := a.load()
	if err != nil {
		return cfg, nil, err
	}
	lib, err := library(cfg)
	if err != nil {
		return cfg, nil, err
	}
	sup := supplies{log: a.logger(cfg.Log), catalog: lib.Catalog}
	if sup.redactor, err = passingRedactor(); err != nil {
		return cfg, nil, err
	}
	cs, err := collectors(cfg.Sources, sup)
	if err != nil {
		return cfg, nil, err
	}
	list, err := schedules(cfg, lib.Catalog, cs)
	if err == nil && len(list) == 0 {
		a.note("no schedules are configured in %s", name(cfg))
	}
	return cfg, list, err
}

// scheduleLine is one audit of `schedules list`.
type scheduleLine struct {
	Name         string            `json:"name"`
	Schedule     string            `json:"schedule"`
	Scope        audit.Scope       `json:"scope"`
	Next         time.Time         `json:"next,omitzero"` // due, in the zone
	Last         *audit.Occurrence `json:"last,omitempty"`
	LastComplete *scheduleRun      `json:"last_complete,omitempty"`
}

type scheduleRun struct {
	Run   string    `json:"run"`
	Ended time.Time `json:"ended"`
	Age   int64     `json:"age_seconds"`
}

func (a *app) listSchedules(ctx context.Context, output string) (err error) {
	if err := checkWord("output", output, "table", "json"); err != nil {
		return err
	}
	cfg, list, err := a.scheduled()
	if err != nil {
		return err
	}
	in := installation{cfg: cfg}
	if _, err := os.Stat(in.ledgerPath()); err == nil {
		if in.ledger, err = ledger.Open(ctx, in.ledgerPath()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, in.close()) }()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := []scheduleLine{}
	for _, s := range list {
		line, err := in.scheduleLine(ctx, s, a.now())
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	if output == "json" {
		return a.json(map[string]any{"schedules": lines})
	}
	t := newTable(a.out, "AUDIT", "SCHEDULE", "NEXT", "LAST DUE", "LAST COMPLETE RUN", "AGE")
	for _, l := range lines {
		last, run, age := "-", "none", "-"
		if l.Last != nil {
			last = string(l.Last.Status) + " " + audit.Stamp(l.Last.Due)
		}
		if r := l.LastComplete; r != nil {
			run, age = short(r.Run), (time.Duration(r.Age) * time.Second).String()
		}
		t.row(l.Name, l.Schedule, l.Next.Format(time.RFC3339), last, run, age)
	}
	return t.flush()
}

func (in *installation) scheduleLine(ctx context.Context, s schedule.Audit, now time.Time) (scheduleLine, error) {
	line := scheduleLine{Name: s.Name, Schedule: s.Times.String(), Scope: s.Scope, Next: s.Times.Next(now).In(s.Times.Zone())}
	if in.ledger == nil {
		return line, nil
	}
	last, err := in.ledger.Occurrences(ctx, audit.OccurrenceQuery{Audit: s.Name, Limit: 1, Statuses: []audit.DueStatus{
		audit.DueRunning, audit.DueWaiting, audit.DueDone, audit.DueFailed, audit.DueMissed, audit.DueSkipped,
	}})
	if err != nil {
		return line, err
	}
	if len(last) > 0 {
		line.Last = &last[0]
	}
	run, _, ok, err := in.ledger.LastOf(ctx, s.Name, 0)
	if ok {
		line.LastComplete = &scheduleRun{run.ID, run.Ended, int64(max(0, now.Sub(run.Ended)) / time.Second)}
	}
	return line, err
}

// dueLine is one due time of `schedules next`.
type dueLine struct {
	Audit string    `json:"audit"`
	Due   time.Time `json:"due"` // in the zone
	Begin time.Time `json:"begin"`
}

func (a *app) nextDue(names []string, n int, output string) error {
	if err := checkWord("output", output, "table", "json"); err != nil {
		return err
	}
	if n < 1 || n > 1000 {
		return fmt.Errorf("--number %d: expected 1 to 1000", n)
	}
	_, list, err := a.scheduled()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(s schedule.Audit) bool { return s.Name == name }) {
			return fmt.Errorf("no audit %q is scheduled: see `%s`", name, a.command("schedules list"))
		}
	}
	lines := []dueLine{}
	for _, s := range list {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		due := a.now()
		for range n {
			if due = s.Times.Next(due); due.IsZero() {
				break
			}
			lines = append(lines, dueLine{s.Name, due.In(s.Times.Zone()), s.Begin(due).In(s.Times.Zone())})
		}
	}
	if output == "json" {
		return a.json(map[string]any{"due": lines})
	}
	t := newTable(a.out, "AUDIT", "DUE", "BEGINS")
	for _, l := range lines {
		t.row(l.Audit, l.Due.Format("Mon 2006-01-02 15:04:05 -07:00"), l.Begin.Format("15:04:05"))
	}
	return t.flush()
}
