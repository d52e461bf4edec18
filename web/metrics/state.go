package metrics

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	fresh       = 5 * time.Second  // how long what was read is told again
	readWithin  = 15 * time.Second // and how long reading it may take
	maxAudits   = 50               // scheduled audits that have metrics of their own
	maxExpiring = 200              // credentials
)

// state reads what stands from the ledger when it is scraped.
type state struct {
	cfg   Config
	descs descs

	mu      sync.Mutex
	read    time.Time // when told was read
	told    []prometheus.Metric
	newest  int64              // the run that standing is of
	last    map[string]lastRun // by audit
	open    []audit.OpenTally
	counted []audit.RunTally
}

// lastRun is what is told of an audit's last complete run.
type lastRun struct {
	ended, took float64
	decisions   []decisionCount
	gaps        map[[2]string]int64 // by source and code
	calls       map[string][2]int64 // by source: requests and errors
}

// decisionCount is one control's part of a run.
type decisionCount struct {
	control                              string
	pass, fail, notEvaluated, ex, except int64
}

func newState(cfg Config) *state {
	return &state{cfg: cfg, descs: newDescs(), last: map[string]lastRun{}}
}

// Describe implements prometheus.Collector.
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs.all() {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Where the ledger cannot be read,
// nothing that stands is told but that.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	readable := 1.0
	if now := s.cfg.Now(); s.told == nil || now.Sub(s.read) >= fresh || now.Before(s.read) {
		ctx, stop := context.WithTimeout(context.Background(), readWithin)
		defer stop()
		told, err := s.gather(ctx)
		if err != nil {
			s.cfg.Log.WarnContext(ctx, "metrics: the ledger cannot be read", "error", err.Error())
			told, readable = nil, 0
		}
		s.read, s.told = now, told
	}
	for _, m := range s.told {
		ch <- m
	}
	ch <- prometheus.MustNewConstMetric(s.descs.readable, prometheus.GaugeValue, readable)
	s.credentials(ch)
}

// gather reads all that stands.
func (s *state) gather(ctx context.Context) ([]prometheus.Metric, error) {
	audits := s.audits()
	if err := s.stand(ctx, audits); err != nil {
		return nil, err
	}
	queues, qerr := s.cfg.Ledger.QueueTally(ctx)
	repairs, rerr := s.cfg.Ledger.RepairRates(ctx)
	if err := errors.Join(qerr, rerr); err != nil {
		return nil, err
	}
	g := &gathering{descs: &s.descs}
	for _, name := range audits {
		g.audit(name, s.last[name])
	}
	g.violations(s.open, s.cfg.Catalog())
	for _, t := range s.counted {
		g.counter(s.descs.runs, t.N, string(t.Trigger), string(t.Status))
	}
	g.deliveries(queues, s.cfg.Now())
	g.repairs(repairs)
	if s.cfg.Recurrence != nil {
		rate, err := s.cfg.Recurrence(ctx)
		if err != nil {
			return nil, err
		}
		g.gauge(s.descs.recurrence, rate)
	}
	return g.out, nil
}

// audits are the names that are told of: the scheduled ones, and that of no
// name, which is whatever was asked for by hand.
func (s *state) audits() []string {
	names := append([]string{""}, s.cfg.Audits()...)
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxAudits+1)]
}

// stand reads what changed since the run that was the newest before.
func (s *state) stand(ctx context.Context, audits []string) error {
	newest, err := s.cfg.Ledger.Newest(ctx)
	if err != nil {
		return err
	}
	for _, name := range audits {
		_, known := s.last[name]
		if known && newest == s.newest {
			continue
		}
		after := s.newest
		if !known {
			after = 0
		}
		run, _, ok, err := s.cfg.Ledger.LastOf(ctx, name, after)
		switch {
		case err != nil:
			return err
		case ok:
			s.last[name] = summarise(run)
		case !known:
			s.last[name] = lastRun{} // never
		}
	}
	if newest == s.newest && s.counted != nil {
		return nil
	}
	open, oerr := s.cfg.Ledger.OpenTally(ctx)
	counted, cerr := s.cfg.Ledger.RunTally(ctx)
	if err := errors.Join(oerr, cerr); err != nil {
		return err
	}
	s.newest, s.open, s.counted = newest, open, append([]audit.RunTally{}, counted...)
	return nil
}

func summarise(run audit.Run) lastRun {
	l := lastRun{
		ended: float64(run.Ended.Unix()), took: run.Ended.Sub(run.Started).Seconds(),
		gaps: map[[2]string]int64{}, calls: map[string][2]int64{},
	}
	for _, c := range run.Counts { // sorted by control
		if n := len(l.decisions); n == 0 || l.decisions[n-1].control != c.Control {
			l.decisions = append(l.decisions, decisionCount{control: c.Control})
		}
		d := &l.decisions[len(l.decisions)-1]
		d.pass += c.Pass
		d.fail += c.Fail
		d.notEvaluated += c.NotEvaluated
		d.ex += c.Excluded
		d.except += c.Excepted
	}
	for _, s := range run.Snapshots {
		source := audit.SourceOf(s.Origin)
		n := l.calls[source]
		for _, c := range s.Calls {
			n[0] += c.Requests
			n[1] += c.Errors
		}
		l.calls[source] = n
		for _, g := range s.Gaps {
			l.gaps[[2]string{source, string(g.Code)}]++
		}
	}
	return l
}

// credentials are read each time: they are files at most, and change by themselves.
func (s *state) credentials(ch chan<- prometheus.Metric) {
	if s.cfg.Credentials == nil {
		return
	}
	seen := map[[3]string]bool{}
	for _, c := range s.cfg.Credentials() {
		key := [3]string{c.Source, c.Name, c.Kind}
		if seen[key] || len(seen) == maxExpiring {
			continue
		}
		seen[key] = true
		ch <- prometheus.MustNewConstMetric(s.descs.expiry, prometheus.GaugeValue, float64(c.Expires.Unix()), c.Source, c.Name, c.Kind)
	}
}
