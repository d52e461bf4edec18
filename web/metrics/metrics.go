// Package metrics counts what crosscheck does and what stands, for Prometheus.
// What stands is read from the ledger when it is asked for, so that a restart
// forgets nothing.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Ledger is what stands on record.
type Ledger interface {
	Standing
	// Newest numbers the latest run on record. What Standing tells changes with it alone.
	Newest(ctx context.Context) (seq int64, err error)
	QueueTally(ctx context.Context) ([]audit.QueueTally, error)
	// RepairRates counts the repairs of each runbook by their state.
	RepairRates(ctx context.Context) ([]audit.RepairRate, error)
}

// Standing is what changes only when a run is recorded.
type Standing interface {
	// LastOf is the last complete run of an audit with a number above after.
	LastOf(ctx context.Context, audit string, after int64) (run audit.Run, seq int64, ok bool, err error)
	OpenTally(ctx context.Context) ([]audit.OpenTally, error)
	RunTally(ctx context.Context) ([]audit.RunTally, error)
}

// Credential is what stops working at a moment that is known.
type Credential struct {
	Source  string // aws, kubernetes; or api, for our own certificate
	Name    string // as configured
	Kind    string // certificate, token, session
	Expires time.Time
}

// Config says what is counted.
type Config struct {
	Ledger      Ledger
	Audits      func() []string // names of the scheduled audits; nil: none
	Catalog     func() audit.Catalog
	Credentials func() []Credential                        // may be nil; reads files at most
	Recurrence  func(ctx context.Context) (float64, error) // may be nil; of what owners were told, the part that came back
	Version     string
	Now         func() time.Time
	Log         *slog.Logger
}

// Metrics implements audit.Observer, and counts what else it is told.
type Metrics struct {
	cfg      Config
	registry *prometheus.Registry

	runs, stages, calls, decided, tries, requests *prometheus.HistogramVec
	requested                                     *prometheus.CounterVec
	reloaded, reloadedAt                          prometheus.Gauge
}

// seconds are buckets from a tenth of a second to six hours.
var seconds = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 21600}

// New checks the configuration. Nothing is read before the first scrape.
func New(cfg Config) (*Metrics, error) {
	if cfg.Ledger == nil || cfg.Catalog == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("metrics: Ledger, Catalog, Now and Log are required")
	}
	if cfg.Audits == nil {
		cfg.Audits = func() []string { return nil }
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		cfg: cfg, registry: prometheus.NewPedanticRegistry(),
		runs:   histogram("crosscheck_run_duration_seconds", "Audits that ended since the start, by what they came to; failed: nothing was recorded.", seconds, "trigger", "outcome"),
		stages: histogram("crosscheck_stage_duration_seconds", "Steps of audits: collect (one origin of a source), decide, record.", seconds, "stage", "source", "result"),
		calls: histogram("crosscheck_source_call_duration_seconds",
			"Requests to sources since the start, each with the reading of its answer, as the calls of a snapshot count them: for AWS with all attempts and the waits between them, for NetBox each attempt, for Kubernetes each page of a list, for Terraform a file.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}, "source", "operation", "result"),
		decided: histogram("crosscheck_decision_duration_seconds", "Time of one decision: that of a block of documents, divided by its decisions.",
			[]float64{1e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, 1}),
		tries:      histogram("crosscheck_delivery_try_duration_seconds", "Tries to deliver since the start: delivered, retried or refused.", seconds, "sink", "result"),
		requests:   histogram("crosscheck_http_request_duration_seconds", "Requests answered since the start.", []float64{.005, .025, .1, .5, 1, 5, 30, 60}, "route"),
		requested:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "crosscheck_http_requests_total", Help: "Requests answered since the start."}, []string{"route", "status"}),
		reloaded:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "crosscheck_config_reload_success", Help: "1 where the configuration last read is in force, 0 where it was wrong and the one before is."}),
		reloadedAt: prometheus.NewGauge(prometheus.GaugeOpts{Name: "crosscheck_config_reload_timestamp_seconds", Help: "When the configuration was read last."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "crosscheck_build_info", Help: "The version that runs.", ConstLabels: prometheus.Labels{"version": cfg.Version},
	})
	build.Set(1)
	m.reloaded.Set(1) // what was read at the start is in force
	var errs []error
	for _, c := range []prometheus.Collector{
		m.runs, m.stages, m.calls, m.decided, m.tries, m.requests, m.requested, m.reloaded, m.reloadedAt, build, newState(cfg),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, m.registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: logging{m.cfg.Log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 20 * time.Second,
	})
}

// Gather gives what a scrape would be answered.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

// logging has the library's errors where all others are.
type logging struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l logging) Println(v ...any) { l.log.Warn("metrics", "error", v) }

// Observe implements audit.Observer.
func (m *Metrics) Observe(o audit.Observation) {
	if o.Stage == "run" {
		outcome := string(o.Status)
		if outcome == "" {
			outcome = "failed"
		}
		m.runs.WithLabelValues(string(o.Trigger), outcome).Observe(o.Took.Seconds())
		return
	}
	result := "ok"
	if o.Err != nil {
		result = "failed"
	}
	if o.Stage == "request" {
		m.calls.WithLabelValues(audit.SourceOf(o.Origin), o.Operation, result).Observe(o.Took.Seconds())
		return
	}
	m.stages.WithLabelValues(o.Stage, audit.SourceOf(o.Origin), result).Observe(o.Took.Seconds())
}

// Decided is told how long a number of decisions took together. That what is
// observed is their mean is what makes it cheap enough: a slow decision shows
// where most of its block, some hundred documents of one origin, is slow.
func (m *Metrics) Decided(decisions int, took time.Duration) {
	m.decided.WithLabelValues().Observe(took.Seconds() / float64(decisions))
}

// Tried is told of each try to deliver.
func (m *Metrics) Tried(sink, result string, took time.Duration) {
	m.tries.WithLabelValues(sink, result).Observe(took.Seconds())
}

// Requested is told of each request that was answered. route is one of the
// table's, or empty.
func (m *Metrics) Requested(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route).Observe(took.Seconds())
	m.requested.WithLabelValues(route, class(status)).Inc()
}

// class keeps the number of label values small.
func class(status int) string {
	switch {
	case status >= 500:
		return "5xx"
	case status >= 400:
		return "4xx"
	case status >= 300:
		return "3xx"
	}
	return "2xx"
}

// Reloaded is told whether the configuration that was read is good.
func (m *Metrics) Reloaded(good bool) {
	m.reloadedAt.Set(float64(m.cfg.Now().Unix()))
	if good {
		m.reloaded.Set(1)
	} else {
		m.reloaded.Set(0)
	}
}
