package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// seldom is an installation without sinks but files, with one schedule that is given.
func seldom(t *testing.T, cron string) home {
	t.Helper()
	h := newHome(t)
	writeInstallation(t, h.dir)
	h.write(t, "crosscheck.yaml", seldomConfig(cron))
	return h
}

func seldomConfig(cron string) string {
	return "version: 1\nentity: E\nsystem: S\nlibrary: library\nsources: {terraform: [{name: t, files: [t.tfstate]}]}\nsinks: {files: {}}\napi: {listen: '127.0.0.1:0'}\n" +
		"log: {format: json}\nschedules:\n  - name: a\n    cron: '" + cron + "'\n    backoff: 1s\n"
}

func openLedger(t *testing.T, h home) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// latest is how it stands with the latest due time.
func latest(t *testing.T, l *ledger.Ledger) (o audit.Occurrence) {
	t.Helper()
	list, err := l.Occurrences(t.Context(), audit.OccurrenceQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		o = list[0]
	}
	return o
}

// TestDaemonAndSystemd: what systemd is told from start to stop, with a reload of
// a file that is wrong between, which changes nothing.
func TestDaemonAndSystemd(t *testing.T) {
	t.Parallel()
	h := seldom(t, "*/2 * * * * *")
	s := listenAs(t, h.path("notify"))
	cmd, stderr := startDaemon(t, h, "NOTIFY_SOCKET="+s.name, "WATCHDOG_USEC=3000000")
	s.expect(t, "READY=1")
	s.expect(t, "WATCHDOG=1\nSTATUS=auditing: a")
	l := openLedger(t, h)
	await(t, "an audit", func() bool { return latest(t, l).Status == audit.DueDone })
	h.write(t, "crosscheck.yaml", seldomConfig("*/2 * * * * *")+"  - name: b\n    cron: 61 * * * *\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "RELOADING=1\nMONOTONIC_USEC=")
	s.expect(t, "READY=1")
	if got := s.expect(t, "WATCHDOG=1\nSTATUS="); !strings.Contains(got, "the configuration file is wrong, the old one is in force") {
		t.Errorf("systemd is told %q", got)
	}
	refused := time.Now()
	await(t, "an audit by the old configuration", func() bool { o := latest(t, l); return o.Status == audit.DueDone && o.Due.After(refused) })
	h.write(t, "crosscheck.yaml", seldomConfig("0 0 1 1 *"))
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "RELOADING=1")
	for ready, status := false, ""; !ready || !strings.HasSuffix(status, "-01-01T00:00:00Z"); { // in any order
		got := s.next(t)
		ready = ready || got == "READY=1"
		if after, ok := strings.CutPrefix(got, "WATCHDOG=1\nSTATUS=the next audit begins at "); ok {
			status = after
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=340000000")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{
		`"msg":"audit begins","audit":"a","trigger":"schedule"`, `"msg":"audit ended","audit":"a","run":"`, fmt.Sprintf(`"fail":%d`, volumes),
		`"msg":"configuration refused: the old one stays in force","file":"crosscheck.yaml","line":14,"field":"schedules[1].cron","error":"cron expression`,
		`"msg":"configuration reloaded"`, `"msg":"daemon stopped"`,
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("not logged: %s\n%s", want, stderr)
		}
	}
}

// TestDaemonWaits for an audit that somebody runs by hand, whose process has the
// lock, and lets nobody run a second daemon.
func TestDaemonWaits(t *testing.T) {
	t.Parallel()
	h := seldom(t, "*/2 * * * * *")
	l := openLedger(t, h)
	byHand, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := byHand.Begin(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := startDaemon(t, h)
	var waits audit.Occurrence
	await(t, "an audit that waits", func() bool { waits = latest(t, l); return waits.Status == audit.DueRunning })
	await(t, "a later due time", func() bool { return time.Since(waits.Due) > 3*time.Second })
	if o := latest(t, l); o.Status == audit.DueDone {
		t.Errorf("%+v, beside another audit", o)
	}
	if out := h.exits(t, []int{exitError}, nil, "daemon"); !strings.Contains(string(out.stderr), fmt.Sprintf("another daemon is running: process %d holds", cmd.Process.Pid)) {
		t.Errorf("a second daemon says %s", out.stderr)
	}
	if err := byHand.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the audit that waited", func() bool {
		list, err := l.Occurrences(t.Context(), audit.OccurrenceQuery{Audit: "a", Since: waits.Due, Until: waits.Due})
		return err == nil && len(list) == 1 && list[0].Status == audit.DueDone
	})
	stopDaemon(t, cmd, stderr)
	if n := strings.Count(stderr.String(), "waiting for another process that audits"); n != 1 {
		t.Errorf("it says %d times that it waits", n)
	}
}

// TestDaemonFails: an audit that cannot be made is on record as failed, announced
// and tried again, and the daemon goes on.
func TestDaemonFails(t *testing.T) {
	t.Parallel()
	h := seldom(t, "*/20 * * * * *")
	l := openLedger(t, h)
	cmd, stderr := startDaemon(t, h)
	await(t, "the schedule", func() bool { return latest(t, l).Status == audit.Scheduled })
	if err := os.Rename(h.path("library"), h.path("away")); err != nil {
		t.Fatal(err)
	}
	var failed audit.Occurrence
	await(t, "a failure", func() bool { failed = latest(t, l); return failed.Status == audit.DueWaiting })
	if !strings.Contains(failed.Detail, "library") || failed.Tries < 1 {
		t.Errorf("on record is %+v", failed)
	}
	if err := os.Rename(h.path("away"), h.path("library")); err != nil {
		t.Fatal(err)
	}
	await(t, "an audit", func() bool { return latest(t, l).Status == audit.DueDone })
	stopDaemon(t, cmd, stderr)
	if !strings.Contains(stderr.String(), `"msg":"audit failed","audit":"a"`) {
		t.Errorf("not logged:\n%s", stderr)
	}
}

// inProcess is a daemon without its process, at a moment.
func inProcess(t *testing.T, h home) *daemon {
	t.Helper()
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, now: time.Now, config: h.path("crosscheck.yaml"), engine: "vm"}
	cfg, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{app: a, dataDir: cfg.DataDir, slot: make(chan struct{}, 1), repairs: make(chan struct{}, 1), ledger: openLedger(t, h), notify: &notifier{}}
	if d.http, err = d.answers(cfg); err != nil {
		t.Fatal(err)
	}
	f, err := d.prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if d.sched, err = d.scheduler(f); err != nil {
		t.Fatal(err)
	}
	if err := d.enforce(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now := d.inForce()
		now.cut()
		<-now.done
	})
	return d
}

// TestPerform: a fault of one audit is its own, and so is a limit of its time.
func TestPerform(t *testing.T) {
	t.Parallel()
	d := inProcess(t, seldom(t, "0 0 1 1 *"))
	var told []string
	d.ran = func(name string, run audit.Run, _ time.Duration, err error) {
		told = append(told, fmt.Sprint(name, " ", run.Status, " ", err))
	}
	order := audit.Order{Trigger: audit.Schedule, Audit: "a"}
	_, err := d.perform(t.Context(), order, 0, func(context.Context, string) error { panic("a fault") })
	if err == nil || !strings.Contains(err.Error(), "internal error, please report it: a fault") {
		t.Errorf("perform() = %v", err)
	}
	_, err = d.perform(t.Context(), order, 1, func(ctx context.Context, _ string) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "took longer than 1ns") {
		t.Errorf("perform() = %v", err)
	}
	ctx, cut := context.WithCancelCause(t.Context())
	_, err = d.perform(ctx, order, 0, func(context.Context, string) error { cut(schedule.ErrStopped); return nil })
	if !errors.Is(err, schedule.ErrStopped) {
		t.Errorf("perform() = %v", err)
	}
	run, err := d.perform(t.Context(), order, time.Hour, nil)
	if err != nil || run.Status != audit.Complete || run.Audit != "a" {
		t.Errorf("perform() = %s of %q, %v", run.Status, run.Audit, err)
	}
	if len(told) != 4 || told[3] != "a complete <nil>" {
		t.Errorf("told: %q", told)
	}
}

// TestReloadRefused: what is wrong is in the state, until it is mended.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	h := seldom(t, "0 0 1 1 *")
	d := inProcess(t, h)
	before := d.state()
	for name, tt := range map[string]struct{ config, want string }{
		"no yaml":         {"version: [", "crosscheck.yaml:2: no YAML"},
		"data_dir":        {seldomConfig("0 0 1 1 *") + "data_dir: elsewhere\n", "restart the daemon to move"},
		"address":         {strings.Replace(seldomConfig("0 0 1 1 *"), "127.0.0.1:0", "127.0.0.1:1", 1), "restart the daemon to move"},
		"certificate":     {strings.Replace(seldomConfig("0 0 1 1 *"), "127.0.0.1:0'", "127.0.0.1:0', tls: {cert_file: c.pem, key_file: k.pem}", 1), "restart the daemon to move"},
		"unknown control": {seldomConfig("0 0 1 1 *") + "    scope: {controls: [XXX-999]}\n", "crosscheck.yaml:13: schedules[0].scope:"},
		"unknown origin":  {seldomConfig("0 0 1 1 *") + "    scope: {origins: [aws/1/x]}\n", "crosscheck.yaml:13: schedules[0].scope:"},
		"no library":      {strings.Replace(seldomConfig("0 0 1 1 *"), "library: library", "library: none", 1), "library"},
		"exceptions":      {seldomConfig("0 0 1 1 *") + "exceptions: none.yaml\n", "none.yaml"},
	} {
		h.write(t, "crosscheck.yaml", tt.config)
		d.reload(t.Context())
		if s := d.state(); !strings.Contains(s.ConfigError, tt.want) || !s.Loaded.Equal(before.Loaded) {
			t.Errorf("%s: %q, loaded %s; want %q", name, s.ConfigError, s.Loaded, tt.want)
		}
	}
	h.write(t, "crosscheck.yaml", seldomConfig("0 0 1 2 *"))
	d.reload(t.Context())
	if s := d.state(); s.ConfigError != "" || s.Loaded.Equal(before.Loaded) || s.Audits[0].Times.String() != "0 0 1 2 * UTC" {
		t.Errorf("mended: %+v", s)
	}
}
