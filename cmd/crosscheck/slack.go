package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/nudge"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// slack makes the sink that tells people.
func (a *app) slack(in *installation, cfg configs.Slack) (audit.Sink, error) {
	out := slack.Config{
		Channel: cfg.Channel, Owners: cfg.Owners, Alert: cfg.Alert, SkipQuiet: cfg.SkipQuiet, Details: cfg.Details, Buttons: !cfg.SigningSecret.IsZero(),
		Command: a.command, Now: a.now,
		Runs:  func(ctx context.Context, id string) (audit.Run, error) { return in.ledger.Run(ctx, id) },
		Asked: func(ctx context.Context, repair string) (string, error) { return in.ledger.Asked(ctx, "slack", repair) },
		About: in.violated,
	}
	if !cfg.Webhook.IsZero() {
		out.Webhook = cfg.Webhook.Reveal
	}
	if !cfg.Token.IsZero() {
		out.Token = cfg.Token.Reveal
	}
	return slack.New(out)
}

// violated finds the decision that a repair is about. Nothing is known of one that
// is not on record any more.
func (in *installation) violated(ctx context.Context, r audit.Repair) (v slack.Violated, err error) {
	d, rec, err := in.find(ctx, r.Decision)
	switch {
	case errors.As(err, new(*ledger.NotFoundError)):
		return v, nil
	case err != nil:
		return v, err
	}
	v.Violations = d.Violations
	v.Control, _ = rec.Catalog.Control(d.Control)
	return v, nil
}

// interactions makes the handler of Slack's buttons, nil where none is configured.
func (a *app) interactions(in *installation, decide slack.Decide) (*slack.Interactions, error) {
	cfg := in.cfg.Sinks.Slack
	if cfg == nil || cfg.SigningSecret.IsZero() {
		return nil, nil
	}
	people := map[string]slack.Person{}
	for id, p := range cfg.People {
		people[id] = slack.Person{ID: id, Name: p.Name, Roles: p.Roles}
	}
	return slack.NewInteractions(slack.InteractionsConfig{Secret: cfg.SigningSecret.Reveal, People: people, Decide: decide, Now: a.now, Log: in.log})
}

// nudging adds the sink that looks for owners to nudge, if one of the sinks tells them.
func (in *installation) nudging(list []audit.Sink) ([]audit.Sink, error) {
	cfg := in.cfg.Nudges
	var tell []string
	for _, s := range list {
		if a, ok := s.(audit.Announcer); ok && a.Announces(audit.OfNudge) {
			tell = append(tell, s.Name())
		}
	}
	if cfg.Off || len(tell) == 0 {
		return list, nil
	}
	s, err := nudge.New(nudge.Config{Ledger: in.ledger, Sinks: tell, Times: cfg.Times, Every: time.Duration(cfg.Days) * 24 * time.Hour})
	if err != nil {
		return nil, fmt.Errorf("nudges: %w", err)
	}
	return append(list, s), nil
}

// localSlack checks that the secrets of Slack are where they are said to be.
func localSlack(cfg *configs.Slack) error {
	if cfg == nil {
		return nil
	}
	var errs []error
	for _, s := range []configs.Secret{cfg.Webhook, cfg.Token, cfg.SigningSecret} {
		if s.IsZero() {
			continue
		}
		_, err := s.Reveal()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
