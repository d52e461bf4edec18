package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

func (a *app) elasticCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "elastic", Short: "Set Elasticsearch and Kibana up for what is delivered there",
		Example: "  crosscheck elastic setup\n  crosscheck elastic setup --print\n  crosscheck elastic kibana > crosscheck.ndjson",
	}, a.elasticSetupCmd(), a.elasticKibanaCmd())
}

// elasticFlags are those of setting up.
type elasticFlags struct {
	print     bool
	lifecycle bool
	force     bool
	output    string
}

func (a *app) elasticSetupCmd() *cobra.Command {
	var f elasticFlags
	cmd := &cobra.Command{
		Use: "setup", Short: "Create what runs are delivered to, or print it for an administrator", Args: cobra.NoArgs,
		Long: `Creates what sinks.elasticsearch needs: an ILM policy (or, in a cluster without ILM,
the data stream's own lifecycle) that keeps history for 400 days or more, an ingest
pipeline, component and index templates, the data stream, and the transform that
holds the current state. The first delivery does the same unless setup: manual is
configured.

It may be run again at any time. What crosscheck made is brought up to date; what
somebody changed by hand is kept and said, unless --force. Changes of your own
belong in the component template crosscheck@custom, which it never touches.

--print asks the cluster nothing: it prints the requests as Kibana's Dev Tools takes
them, or with -o json for a program.`,
		Example: `  crosscheck elastic setup
  crosscheck elastic setup --print
  crosscheck elastic setup --print -o json
  crosscheck elastic setup --print --no-ilm`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.setUpElastic(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.print, "print", false, "print the requests, send none")
	cmd.Flags().BoolVar(&f.lifecycle, "no-ilm", false, "with --print: for a cluster without ILM, such as Elastic Cloud Serverless")
	cmd.Flags().BoolVar(&f.force, "force", false, "also replace what was changed by hand")
	outputFlag(cmd, &f.output)
	return cmd
}

func (a *app) setUpElastic(ctx context.Context, f elasticFlags) error {
	switch {
	case f.print && f.force:
		return errors.New("--print and --force: expected one of them")
	case f.lifecycle && !f.print:
		return errors.New("--no-ilm belongs to --print: otherwise the cluster is asked")
	}
	if err := checkWord("output", f.output, "table", "json"); err != nil {
		return err
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	if cfg.Sinks.Elastic == nil {
		return errors.New("no sinks.elasticsearch is configured: see configs/crosscheck.example.yaml, and name the configuration with --config")
	}
	if f.print { // the requests hold no secret: none is read
		cfg.Sinks.Elastic.APIKey, cfg.Sinks.Elastic.Username, cfg.Sinks.Elastic.Password = configs.Secret{}, "", configs.Secret{}
	}
	s, err := a.elastic(*cfg.Sinks.Elastic, a.logger(cfg.Log))
	if err != nil {
		return fmt.Errorf("sinks.elasticsearch: %w", err)
	}
	if f.print {
		return a.printSetup(s.Requests(f.lifecycle), f.output)
	}
	steps, err := s.SetUp(ctx, f.force)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return a.json(map[string]any{"steps": steps})
	}
	t := newTable(a.out, "KIND", "NAME", "STATE")
	for _, step := range steps {
		t.row(step.Kind, step.Name, string(step.State))
	}
	return t.flush()
}

func (a *app) printSetup(requests []elastic.Request, output string) error {
	if output == "json" {
		return a.json(map[string]any{"requests": requests})
	}
	b, err := elastic.Print(requests)
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

func (a *app) elasticKibanaCmd() *cobra.Command {
	return &cobra.Command{
		Use: "kibana", Short: "Print dashboards and searches for Kibana", Args: cobra.NoArgs,
		Long: `Prints data views, saved searches and dashboards for Kibana 8 as NDJSON. Import it in
Stack Management, Saved Objects, or by

  curl -H 'kbn-xsrf: true' -F file=@crosscheck.ndjson \
    'https://kibana.example.com/api/saved_objects/_import?overwrite=true'`,
		Example: "  crosscheck elastic kibana > crosscheck.ndjson",
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(configs.Kibana())
			return err
		},
	}
}

// elastic makes the sink of a cluster.
func (a *app) elastic(cfg configs.Elasticsearch, log *slog.Logger) (*elastic.Sink, error) {
	c := elastic.Config{
		URLs: cfg.URLs, CloudID: cfg.CloudID, Username: cfg.Username, CAFile: cfg.CAFile, Proxy: cfg.Proxy,
		Namespace: cfg.Namespace, Retention: cfg.Retention, View: cfg.View, Passes: cfg.Passes, Manual: cfg.Manual,
		UserAgent: "crosscheck/" + version(), Now: a.now, Log: log,
	}
	for _, secret := range []struct {
		from configs.Secret
		into *string
	}{{cfg.APIKey, &c.APIKey}, {cfg.Password, &c.Password}} {
		if secret.from.IsZero() {
			continue
		}
		var err error
		if *secret.into, err = secret.from.Reveal(); err != nil {
			return nil, err
		}
	}
	return elastic.New(c)
}

// checkElastic sees whether what the sink needs is where it is said to be, and asks no cluster anything.
func (a *app) checkElastic(cfg *configs.Elasticsearch, log *slog.Logger) error {
	if cfg == nil {
		return nil
	}
	if err := localAuthority(cfg.CAFile); err != nil {
		return fmt.Errorf("sinks.elasticsearch.ca_file: %w", err)
	}
	_, err := a.elastic(*cfg, log)
	if err != nil && !errors.As(err, new(*configs.Error)) {
		err = fmt.Errorf("sinks.elasticsearch: %w", err)
	}
	return err
}
