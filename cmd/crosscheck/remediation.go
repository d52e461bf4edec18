package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/aws"
	"github.com/crosscheck-dev/crosscheck/remediate/exec"
	"github.com/crosscheck-dev/crosscheck/remediate/kubernetes"
	"github.com/crosscheck-dev/crosscheck/remediate/ssm"
	"github.com/crosscheck-dev/crosscheck/remediate/webhook"
)

// errNotConfigured is what every repair meets unless it is wanted.
var errNotConfigured = errors.New("remediation is off: the configuration has no section remediation")

// runbooks are the embedded ones and those of the configured folder.
func runbooks(cfg configs.Config) ([]remediate.Runbook, error) {
	folders := []fs.FS{remediate.Embedded()}
	if r := cfg.Remediation; r != nil && r.Runbooks != "" {
		info, err := os.Stat(r.Runbooks)
		switch {
		case err != nil:
			return nil, fmt.Errorf("remediation.runbooks: %w", err)
		case !info.IsDir() || info.Mode().Perm()&0o022 != 0:
			return nil, fmt.Errorf("remediation.runbooks: %s must be a folder that only its owner may write", r.Runbooks)
		}
		if err := ownersAlone(r.Runbooks); err != nil {
			return nil, err
		}
		folders = append(folders, os.DirFS(r.Runbooks))
	}
	return remediate.Load(folders...)
}

// ownersAlone refuses runbooks that others may write.
func ownersAlone(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return fmt.Errorf("remediation.runbooks: %w", err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("remediation.runbooks: %w", err)
		}
		if info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("remediation.runbooks: %s must be a file that only its owner may write", file)
		}
	}
	return nil
}

// runners is the only registration of runners: one line each.
func (a *app) runners(r *configs.Remediation, sleep func(context.Context, time.Duration) error) (out map[string]remediate.Runner, secrets []string, err error) {
	out = map[string]remediate.Runner{}
	cloud, err := awsRunner(r)
	if err != nil {
		return nil, nil, fmt.Errorf("remediation.aws: %w", err)
	}
	for _, register := range []struct {
		name  string
		build func() (remediate.Runner, []string, error)
	}{
		{"aws", func() (remediate.Runner, []string, error) { return cloud, nil, nil }},
		{"ssm", func() (remediate.Runner, []string, error) {
			s, err := ssm.New(ssm.Config{Connect: cloud.Connect, Sleep: sleep})
			return s, nil, err
		}},
		{"kubernetes", func() (remediate.Runner, []string, error) { return kubernetesRunner(r) }},
		{"webhook", func() (remediate.Runner, []string, error) { return a.webhookRunner(r) }},
		{"exec", func() (remediate.Runner, []string, error) { return execRunner(r) }},
	} {
		runner, hidden, err := register.build()
		if err != nil {
			return nil, nil, fmt.Errorf("remediation: %s: %w", register.name, err)
		}
		out[register.name] = runner
		secrets = append(secrets, hidden...)
	}
	return out, secrets, nil
}

func awsRunner(r *configs.Remediation) (*aws.Runner, error) {
	cfg := aws.Config{Version: version()}
	for _, account := range r.AWS {
		region := ""
		if len(account.Regions) > 0 {
			region = account.Regions[0]
		}
		cfg.Accounts = append(cfg.Accounts, aws.Account{
			ID: account.Account, Region: region, Profile: account.Profile, RoleARN: account.Role.ARN,
			ExternalID: account.Role.ExternalID, Endpoint: account.Endpoint,
		})
	}
	return aws.New(cfg)
}

func kubernetesRunner(r *configs.Remediation) (remediate.Runner, []string, error) {
	cfg := kubernetes.Config{UserAgent: "crosscheck-repair/" + version()}
	for _, c := range r.Kubernetes {
		cfg.Clusters = append(cfg.Clusters, kubernetes.Cluster{Name: c.Name, Kubeconfig: c.Kubeconfig, Context: c.Context, InCluster: c.InCluster})
	}
	runner, err := kubernetes.New(cfg)
	return runner, nil, err
}

func (a *app) webhookRunner(r *configs.Remediation) (remediate.Runner, []string, error) {
	cfg := webhook.Config{Endpoints: map[string]webhook.Endpoint{}, Now: a.now, UserAgent: "crosscheck/" + version()}
	var secrets []string
	for _, w := range r.Webhooks {
		secret, err := w.Secret.Reveal()
		if err != nil {
			return nil, nil, err
		}
		if _, twice := cfg.Endpoints[w.Name]; twice {
			return nil, nil, fmt.Errorf("webhook %s is configured twice", w.Name)
		}
		cfg.Endpoints[w.Name] = webhook.Endpoint{URL: w.URL, Secret: secret}
		secrets = append(secrets, secret)
	}
	runner, err := webhook.New(cfg)
	return runner, secrets, err
}

func execRunner(r *configs.Remediation) (remediate.Runner, []string, error) {
	cfg := exec.Config{Env: map[string]string{}}
	var secrets []string
	if r.Exec != nil {
		cfg.Programs = r.Exec.Programs
		for name, secret := range r.Exec.Env {
			value, err := secret.Reveal()
			if err != nil {
				return nil, nil, err
			}
			cfg.Env[name] = value
			secrets = append(secrets, value)
		}
	}
	runner, err := exec.New(cfg)
	return runner, secrets, err
}

// repairEngine makes what repairs, if it is configured.
func (a *app) repairEngine(in *installation) (*remediate.Engine, error) {
	cfg, err := a.repairConfig(in)
	if err != nil {
		return nil, err
	}
	return remediate.New(cfg)
}

// repairConfig is what the engine works by.
func (a *app) repairConfig(in *installation) (remediate.Config, error) {
	r := in.cfg.Remediation
	if r == nil {
		return remediate.Config{}, errNotConfigured
	}
	books, err := runbooks(in.cfg)
	if err != nil {
		return remediate.Config{}, err
	}
	list, secrets, err := a.runners(r, pause)
	if err != nil {
		return remediate.Config{}, err
	}
	box, err := a.outbox(in, &packs{}, nil)
	if err != nil {
		return remediate.Config{}, err
	}
	if err := usable(r, books, in.library.Catalog); err != nil {
		return remediate.Config{}, err
	}
	return remediate.Config{
		Runbooks: books, Uses: usesOf(r.Use), Runners: list, Ledger: in.ledger, Switches: in.ledger, Judge: judge{a, in},
		Claim: func() (func() error, error) { return in.ledger.Claim("repairs") }, StopFile: stopFile(in.cfg), Approvers: r.Approvers,
		Patience: a.patience, RequestTTL: r.RequestTTL, ApprovalTTL: r.ApprovalTTL, Failures: r.Failures, Sinks: box.Announcers(audit.OfRepair),
		Secrets: secrets, Now: a.now, Sleep: pause, Log: in.log,
	}, nil
}

// usable refuses runbooks in use that could never act: bound to controls which the
// library does not have, or with nothing that they may act on.
func usable(r *configs.Remediation, books []remediate.Runbook, catalog audit.Catalog) error {
	none := map[string]bool{
		"aws": len(r.AWS) == 0, "ssm": len(r.AWS) == 0, "kubernetes": len(r.Kubernetes) == 0,
	}
	keys := map[string]string{"ssm": "aws"}
	for _, b := range books {
		use, used := r.Use[b.ID]
		if !used {
			continue
		}
		if !slices.ContainsFunc(b.Controls, func(id string) bool { _, ok := catalog.Control(id); return ok }) {
			return fmt.Errorf("remediation.use.%s: the library has none of its controls (%s)", b.ID, strings.Join(b.Controls, ", "))
		}
		if none[b.Runner] && use.Mode != string(audit.ModeSuggest) {
			return fmt.Errorf("remediation.use.%s: mode %s acts with credentials of its own, and remediation.%s has none", b.ID, use.Mode, cmp.Or(keys[b.Runner], b.Runner))
		}
	}
	return nil
}

// stopFile is the kill switch that needs no program.
func stopFile(cfg configs.Config) string {
	if r := cfg.Remediation; r != nil && r.StopFile != "" {
		return r.StopFile
	}
	return filepath.Join(cfg.DataDir, "repairs.stop")
}

func usesOf(in map[string]configs.Use) map[string]remediate.Use {
	out := map[string]remediate.Use{}
	for id, u := range in {
		use := remediate.Use{
			Mode: audit.RepairMode(u.Mode), MaxTargets: u.MaxTargets, MaxPercent: u.MaxPercent, Origins: remediate.List(u.Origins),
			Namespaces: remediate.List(u.Namespaces), Tags: remediate.TagList(u.Tags), With: u.With,
		}
		for _, w := range u.Windows {
			use.Windows = append(use.Windows, remediate.Window(w))
		}
		out[id] = use
	}
	return out
}

// pause waits, unless the program is to end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// whoami is who uses this program, as the kernel knows it: who logged in, which
// sudo and su do not change and which cannot be set from the environment, or the
// user of the process where nobody logged in. Linux lets a process name its login
// uid once where it has none, so that it proves nothing among those who may write
// the ledger in a container or a service.
func whoami() (string, error) {
	uid := strconv.Itoa(os.Getuid())
	if b, err := os.ReadFile("/proc/self/loginuid"); err == nil {
		if login := strings.TrimSpace(string(b)); login != "" && login != "4294967295" {
			uid = login
		}
	}
	if _, err := strconv.ParseUint(uid, 10, 32); err != nil {
		return "", fmt.Errorf("who uses this program cannot be told: %w", err)
	}
	if u, err := user.LookupId(uid); err == nil && u.Username != "" {
		return "user:" + u.Username, nil
	}
	return "uid:" + uid, nil // one without a name on this machine
}

// takeFurther asks for the repairs of the last complete run, as far as their
// modes go, takes every repair as far as it goes now, and delivers what that
// owes to sinks. The daemon does the same after each run.
func (a *app) takeFurther(ctx context.Context, in *installation) (moved []audit.Repair, err error) {
	e, err := a.repairEngine(in)
	if err != nil {
		return nil, err
	}
	last, ok, err := in.ledger.LastComplete(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		rec, err := in.record(ctx, last)
		if err != nil {
			return nil, err
		}
		if moved, err = e.Consider(ctx, rec); err != nil {
			return moved, err
		}
	}
	after, err := e.Run(ctx)
	moved = slices.DeleteFunc(moved, func(r audit.Repair) bool {
		return slices.ContainsFunc(after, func(x audit.Repair) bool { return x.ID == r.ID })
	})
	return append(moved, after...), errors.Join(err, a.deliverOwed(ctx, in))
}

// deliverOwed tries once all that sinks are owed.
func (a *app) deliverOwed(ctx context.Context, in *installation) error {
	box, err := a.outbox(in, &packs{}, nil)
	if err != nil {
		return err
	}
	return box.Flush(ctx)
}
