package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/report"
)

// cutting is how long deliveries, requests and the like get once they are cut.
const cutting = 20 * time.Second

func (a *app) daemonCmd() *cobra.Command {
	return &cobra.Command{
		Use: "daemon", Short: "Audit by schedule, and deliver", Args: cobra.NoArgs,
		Long: `Runs the configured schedules, one audit at a time, and delivers what is owed to
sinks, until it is stopped. What became of each due time is on record: what was
missed while nothing ran is made up for or announced.

SIGTERM and SIGINT stop it: an audit that runs gets daemon.grace to end, deliveries
wait in the ledger for the next start. SIGHUP reads the configuration again; one that
is wrong is logged, and the old one stays in force. It speaks to systemd
(Type=notify, WatchdogSec=).

Exit codes: 0 it was stopped; 1 it could not start, or another daemon has the data_dir.`,
		Example: `  crosscheck --config /etc/crosscheck/crosscheck.yaml daemon
  crosscheck schedules next
  systemctl reload crosscheck`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			return a.daemon(cmd.Context(), hup, os.Getenv)
		},
	}
}

// daemon audits by schedule. What the API shows of it is state; what it may
// start is perform.
type daemon struct {
	app     *app
	dataDir string
	ledger  *ledger.Ledger // of schedules and deliveries; runs have their own
	sched   *schedule.Scheduler
	notify  *notifier
	slot    chan struct{} // held by whoever audits
	ran     func(name string, run audit.Run, took time.Duration, err error)
	http    *answering
	repairs chan struct{} // has repairs looked at

	mu  sync.Mutex
	now force
	is  daemonState
}

// force is the configuration in force with what delivers by it.
type force struct {
	in      *installation
	box     *report.Outbox
	audits  []schedule.Audit
	handler http.Handler
	buttons interface{ Wait() } // Slack's; nil where there are none
	cut     func()
	done    chan struct{} // closed once it delivers no more
}

// daemonState is how it stands with the daemon.
type daemonState struct {
	Started     time.Time
	Config      string    // the file in force; empty: the demo
	Loaded      time.Time // when it was read
	ConfigError string    // why what is in the file now is not in force; empty: it is
	Running     string    // the audit that is being run, "manual" for one that is not scheduled; empty: none
	Since       time.Time // when that began
	Next        time.Time // when something is begun next, zero: nothing is scheduled
	Looked      time.Time // when the scheduler looked at the clock last: it does twice a minute
	Stopping    bool
	Audits      []schedule.Audit
}

// state may be asked at any time.
func (d *daemon) state() daemonState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.is
}

func (d *daemon) set(change func(*daemonState)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.is)
}

// inForce is the installation that the daemon works by. It changes with a reload.
func (d *daemon) inForce() force {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *daemon) log() *slog.Logger { return d.inForce().in.log }

// daemon runs until ctx ends. hup has it read the configuration again.
func (a *app) daemon(ctx context.Context, hup <-chan os.Signal, getenv func(string) string) (err error) {
	cfg, err := a.read()
	if err != nil {
		return err
	}
	d := &daemon{app: a, dataDir: cfg.DataDir, slot: make(chan struct{}, 1), repairs: make(chan struct{}, 1)}
	a.patience = &remediate.Patience{}
	if d.http, err = d.answers(cfg); err != nil {
		return err
	}
	if d.ledger, err = ledger.Open(ctx, filepath.Join(cfg.DataDir, "ledger.db")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.ledger.Close()) }()
	release, err := d.ledger.Attending()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	f, err := d.prepare(cfg)
	if err != nil {
		return err
	}
	if d.notify, err = newNotifier(getenv); err != nil {
		f.in.log.WarnContext(ctx, "systemd", "error", err.Error())
		d.notify, err = &notifier{}, nil
	}
	if d.sched, err = d.scheduler(f); err != nil {
		return err
	}
	return d.serve(ctx, hup, f)
}

// prepare makes all that a configuration needs, or says what is wrong with it.
// Nothing works by it yet.
func (d *daemon) prepare(cfg configs.Config) (force, error) {
	if cfg.DataDir != d.dataDir {
		return force{}, fmt.Errorf("data_dir is %s now, and was %s: restart the daemon to move", cfg.DataDir, d.dataDir)
	}
	// Whoever may ask without a token depends on where it listens, which a reload cannot change.
	if old := d.inForce().in; old != nil && (cfg.API.Listen != old.cfg.API.Listen || !reflect.DeepEqual(cfg.API.TLS, old.cfg.API.TLS)) {
		return force{}, fmt.Errorf("api.listen or api.tls is not what it was (%s): restart the daemon to move", old.cfg.API.Listen)
	}
	if cfg.Log.Unset {
		cfg.Log.Level = "info"
	}
	in, err := d.app.prepareAs(cfg)
	if err != nil {
		return force{}, err
	}
	in.ledger = d.ledger
	_, xerr := exceptions(cfg, in.library.Catalog)
	sup := supplies{log: in.log, catalog: in.library.Catalog}
	if sup.redactor, err = passingRedactor(); err != nil {
		return force{}, err
	}
	cs, cerr := collectors(cfg.Sources, sup)
	f := force{in: in, done: make(chan struct{})}
	var serr, berr error
	if cerr == nil {
		f.audits, serr = schedules(cfg, in.library.Catalog, cs)
	}
	f.box, berr = d.app.outbox(in, &packs{}, nil)
	if err := errors.Join(xerr, cerr, serr, berr); err != nil {
		return f, err
	}
	f.handler, f.buttons, err = d.handler(f)
	return f, err
}

// enforce has the daemon work by a configuration from now on.
func (d *daemon) enforce(ctx context.Context, f force) error {
	if err := d.sched.Replace(f.audits); err != nil {
		return err
	}
	d.http.replace(f)
	d.app.measured.Reloaded(true)
	delivering, cut := context.WithCancel(ctx)
	f.cut = cut
	d.mu.Lock()
	old := d.now
	d.now = f
	d.is.Config, d.is.Loaded, d.is.ConfigError, d.is.Audits = f.in.cfg.File, d.app.now().UTC(), "", f.audits
	d.mu.Unlock()
	go func() {
		defer close(f.done)
		_ = f.box.Run(delivering) // nil, always
	}()
	if old.cut != nil {
		old.cut()
	}
	for _, w := range f.in.cfg.Warnings {
		f.in.log.WarnContext(ctx, "configuration", "warning", w)
	}
	if len(f.audits) == 0 {
		f.in.log.WarnContext(ctx, "no schedules are configured: nothing is audited by itself")
	}
	return nil
}

// serve is the daemon at work.
func (d *daemon) serve(ctx context.Context, hup <-chan os.Signal, f force) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	lasting := context.WithoutCancel(ctx) // deliveries and answers go on while the last audit ends
	d.set(func(s *daemonState) { s.Started = d.app.now().UTC() })
	if err := d.enforce(lasting, f); err != nil {
		return err
	}
	shut, err := d.http.serve(lasting, f, fail)
	if err != nil {
		return err
	}
	f.in.log.InfoContext(ctx, "daemon started", "version", version(), "config", name(f.in.cfg), "data_dir", d.dataDir, "schedules", len(f.audits))
	var wg sync.WaitGroup
	wg.Go(func() { d.sched.Run(ctx) })
	wg.Go(func() { d.reloads(ctx, hup) })
	d.tendSoon() // what a daemon that was killed left is settled first
	wg.Go(func() { d.tend(ctx) })
	d.told(d.notify.ready())
	<-ctx.Done()
	d.set(func(s *daemonState) { s.Stopping = true })
	grace := f.in.cfg.Daemon.Grace
	d.log().InfoContext(lasting, "daemon stops", "audit", d.state().Running, "grace", grace.String())
	d.told(d.notify.stopping(grace + 2*cutting))
	wg.Wait()
	now := d.inForce()
	now.cut()
	pause, over := context.WithTimeout(lasting, cutting)
	defer over()
	select {
	case <-now.done:
	case <-pause.Done():
		d.log().WarnContext(lasting, "a delivery does not end: it is made again after the next start")
	}
	shut()
	if now.buttons != nil {
		now.buttons.Wait()
	}
	d.log().InfoContext(lasting, "daemon stopped")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// reloads reads the configuration again each time it is asked to.
func (d *daemon) reloads(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			d.reload(ctx)
		}
	}
}

// reload puts what is in the file into force, if it is in order.
func (d *daemon) reload(ctx context.Context) {
	d.told(d.notify.reloading())
	defer func() { d.told(d.notify.ready()) }()
	cfg, err := d.app.read()
	var f force
	if err == nil {
		f, err = d.prepare(cfg)
	}
	if err == nil {
		err = d.enforce(context.WithoutCancel(ctx), f)
	}
	if err != nil {
		d.app.measured.Reloaded(false)
		d.set(func(s *daemonState) { s.ConfigError = err.Error() })
		d.refused(ctx, err)
		return
	}
	d.log().InfoContext(ctx, "configuration reloaded", "config", name(cfg), "schedules", len(f.audits))
}

// refused logs each thing that is wrong with a configuration.
func (d *daemon) refused(ctx context.Context, err error) {
	const message = "configuration refused: the old one stays in force"
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			d.refused(ctx, e)
		}
		return
	}
	if at := (*configs.Error)(nil); errors.As(err, &at) {
		d.log().ErrorContext(ctx, message, "file", at.File, "line", at.Line, "field", at.Field, "error", at.Message)
		return
	}
	d.log().ErrorContext(ctx, message, "error", err.Error())
}

// told logs that systemd could not be told.
func (d *daemon) told(err error) {
	if err != nil {
		d.log().Warn("systemd", "error", err.Error())
	}
}
