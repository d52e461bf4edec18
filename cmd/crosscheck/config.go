package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

func (a *app) configCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "config", Short: "Work with the configuration",
		Example: "  crosscheck config check",
	}, &cobra.Command{
		Use: "check", Short: "Check the configuration and all that it refers to", Args: cobra.NoArgs,
		Long: `Reads the configuration, the library with its parameters and the exceptions,
prepares every control for every type that it names, and sees whether runbooks,
secrets, Terraform files, kubeconfigs, profiles of AWS and certificates are where they
are said to be. It asks no source anything.`,
		Example: "  crosscheck config check\n  crosscheck --config prod.yaml config check",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.checkConfig(cmd.Context()) },
	})
}

func (a *app) checkConfig(ctx context.Context) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	lib, err := library(cfg)
	if err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		return err
	}
	if err := e.Check(ctx); err != nil {
		return fmt.Errorf("library: %w", err)
	}
	x, xerr := exceptions(cfg, lib.Catalog)
	sup := supplies{log: a.logger(cfg.Log), catalog: lib.Catalog}
	if sup.redactor, err = passingRedactor(); err != nil {
		return err
	}
	cs, cerr := collectors(cfg.Sources, sup)
	_, serr := schedules(cfg, lib.Catalog, cs)
	if err := errors.Join(xerr, cerr, serr, local(cfg.Sources), a.checkElastic(cfg.Sinks.Elastic, sup.log), localSlack(cfg.Sinks.Slack),
		a.checkRepairs(&installation{cfg: cfg, log: sup.log, library: lib})); err != nil {
		return err
	}
	t := newTable(a.out, "ORIGIN")
	for _, c := range cs {
		for _, o := range c.Origins() {
			t.row(o)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\n%s: %s, %s, data in %s\n", name(cfg), plural(int64(len(lib.Catalog.Controls)), "control"),
		plural(int64(len(x.List)), "exception"), cfg.DataDir)
	return err
}

// checkRepairs makes what repairs, as far as it can be made without a ledger.
func (a *app) checkRepairs(in *installation) error {
	if in.cfg.Remediation == nil {
		return nil
	}
	_, err := a.repairEngine(in)
	return errors.Join(err, localProfiles("remediation.aws", in.cfg.Remediation.AWS))
}

func name(cfg configs.Config) string {
	if cfg.File == "" {
		return "the demo"
	}
	return cfg.File
}
