package metrics_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web/metrics"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// ledger is what stands in a test. It counts what it is asked.
type ledger struct {
	newest int64
	last   map[string]audit.Run
	open   []audit.OpenTally
	queues []audit.QueueTally
	fail   error
	asked  map[string]int
}

func (l *ledger) count(what string) error {
	if l.asked == nil {
		l.asked = map[string]int{}
	}
	l.asked[what]++
	return l.fail
}

func (l *ledger) Newest(context.Context) (int64, error) { return l.newest, l.count("newest") }

func (l *ledger) LastOf(_ context.Context, name string, after int64) (audit.Run, int64, bool, error) {
	run, ok := l.last[name]
	return run, l.newest, ok && l.newest > after, l.count("last")
}

func (l *ledger) OpenTally(context.Context) ([]audit.OpenTally, error) {
	return l.open, l.count("open")
}

func (l *ledger) RunTally(context.Context) ([]audit.RunTally, error) {
	return []audit.RunTally{{Trigger: audit.Schedule, Status: audit.Complete, N: 7}}, l.count("runs")
}

func (l *ledger) QueueTally(context.Context) ([]audit.QueueTally, error) {
	return l.queues, l.count("queues")
}

func (l *ledger) RepairRates(context.Context) ([]audit.RepairRate, error) {
	return []audit.RepairRate{{Runbook: "close", State: audit.RepairFailed, Count: 1}, {Runbook: "tag", State: audit.RepairFailed, Count: 1}}, l.count("repairs")
}

func standing() *ledger {
	return &ledger{
		newest: 9,
		last: map[string]audit.Run{"nightly": {
			ID: "1", Started: now.Add(-2 * time.Hour), Ended: now.Add(-time.Hour),
			Counts: []audit.Count{
				{Control: "STO-001", Type: "a", Origin: "aws/1", Listed: 10, Pass: 6, Fail: 3, NotEvaluated: 1, Excepted: 1},
				{Control: "STO-001", Type: "b", Origin: "aws/1", Listed: 2, Excluded: 2},
				{Control: "STO-002", Type: "a", Origin: "aws/1", Listed: 1, Pass: 1},
			},
			Snapshots: []audit.Snapshot{{
				Origin: "aws/1/global", Gaps: []audit.Gap{{Origin: "aws/1/global", Type: "a", Code: audit.Throttled}, {Origin: "aws/1/global", Type: "b", Code: audit.Throttled}},
				Calls: []audit.Call{{Operation: "x", Requests: 5, Errors: 1}, {Operation: "y", Requests: 2}},
			}},
		}},
		open: []audit.OpenTally{
			{Control: "STO-001", Outcome: audit.Fail, N: 3}, {Control: "STO-001", Outcome: audit.Fail, Excepted: true, N: 1}, {Control: "OLD-001", Outcome: audit.NotEvaluated, N: 4},
		},
		queues: []audit.QueueTally{
			{Sink: "slack", Status: audit.Waiting, N: 2, Oldest: now.Add(-2 * time.Hour)},
			{Sink: "slack", Status: audit.Delivered, N: 5, Oldest: now.Add(-99 * time.Hour)},
			{Sink: "files", Status: audit.Delivered, N: 7, Oldest: now.Add(-99 * time.Hour)},
			{Sink: "elastic", Status: audit.Refused, N: 1, Oldest: now.Add(-5 * time.Hour)},
		},
	}
}

type clock struct{ at time.Time }

func site(t *testing.T, l metrics.Ledger, c *clock) *metrics.Metrics {
	t.Helper()
	m, err := metrics.New(metrics.Config{
		Ledger: l, Audits: func() []string { return []string{"nightly", "weekly"} }, Version: "v1",
		Catalog: func() audit.Catalog {
			return audit.Catalog{Controls: []audit.Control{{ID: "STO-001", Severity: "critical"}}}
		},
		Credentials: func() []metrics.Credential {
			return []metrics.Credential{{Source: "kubernetes", Name: "prod", Kind: "certificate", Expires: now.Add(time.Hour)}, {Source: "kubernetes", Name: "prod", Kind: "certificate"}}
		},
		Recurrence: func(context.Context) (float64, error) { return 0.25, nil },
		Now:        func() time.Time { return c.at }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape gives what is answered, by name with labels.
func scrape(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("%d %v: %s", w.Code, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, x := range f.Metric {
			var labels []string
			for _, l := range x.Label {
				labels = append(labels, l.GetValue())
			}
			out[name+"{"+strings.Join(labels, ",")+"}"] = x.GetGauge().GetValue() + x.GetCounter().GetValue() + float64(x.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestStanding(t *testing.T) {
	t.Parallel()
	got := scrape(t, site(t, standing(), &clock{now}))
	for name, want := range map[string]float64{
		"crosscheck_decisions{nightly,STO-001,pass}":                                  6, // labels are sorted by name: audit, control, outcome
		"crosscheck_decisions{nightly,STO-001,fail}":                                  3,
		"crosscheck_decisions{nightly,STO-001,not_evaluated}":                         1,
		"crosscheck_decisions{nightly,STO-001,excluded}":                              2,
		"crosscheck_decisions{nightly,STO-002,pass}":                                  1,
		"crosscheck_decisions_excepted{nightly,STO-001}":                              1,
		"crosscheck_gaps{nightly,Throttled,aws}":                                      2,
		"crosscheck_source_requests{nightly,aws}":                                     7,
		"crosscheck_source_errors{nightly,aws}":                                       1,
		"crosscheck_last_complete_run_timestamp_seconds{nightly}":                     float64(now.Add(-time.Hour).Unix()),
		"crosscheck_last_complete_run_timestamp_seconds{weekly}":                      0,
		"crosscheck_last_complete_run_duration_seconds{nightly}":                      3600,
		"crosscheck_violations_open{no,fail,critical}":                                3,
		"crosscheck_violations_open{yes,fail,critical}":                               1,
		"crosscheck_violations_open{no,not_evaluated,unknown}":                        4,
		"crosscheck_violations_open{no,fail,low}":                                     0,
		"crosscheck_runs_total{complete,schedule}":                                    7,
		"crosscheck_deliveries{slack,waiting}":                                        2,
		"crosscheck_deliveries{elastic,refused}":                                      1,
		"crosscheck_delivery_oldest_waiting_seconds{slack}":                           7200,
		"crosscheck_delivery_oldest_waiting_seconds{files}":                           0,
		"crosscheck_repairs{failed}":                                                  2,
		"crosscheck_repairs{stuck}":                                                   0,
		"crosscheck_runbook_repairs{tag,failed}":                                      1,
		"crosscheck_recurrence_ratio{}":                                               0.25,
		"crosscheck_credential_expiry_timestamp_seconds{certificate,prod,kubernetes}": float64(now.Add(time.Hour).Unix()),
		"crosscheck_ledger_readable{}":                                                1,
		"crosscheck_config_reload_success{}":                                          1,
		"crosscheck_build_info{v1}":                                                   1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if _, ok := got["crosscheck_last_complete_run_timestamp_seconds{}"]; ok {
		t.Error("told of audits by hand, of which there was none")
	}
}

// TestReadAgain has the ledger asked no more than it must.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	l, c := standing(), &clock{now}
	m := site(t, l, c)
	scrape(t, m)
	scrape(t, m)
	if l.asked["queues"] != 1 || l.asked["open"] != 1 || l.asked["last"] != 3 {
		t.Errorf("within five seconds: %v", l.asked)
	}
	c.at = now.Add(6 * time.Second)
	l.queues[0].N = 3
	if got := scrape(t, m); got["crosscheck_deliveries{slack,waiting}"] != 3 || l.asked["open"] != 1 || l.asked["last"] != 3 {
		t.Errorf("no new run: %v, asked %v", got["crosscheck_deliveries{slack,waiting}"], l.asked)
	}
	c.at = now.Add(12 * time.Second)
	run := l.last["nightly"]
	run.Ended = now
	l.last["nightly"], l.newest, l.open[0].N = run, 10, 99
	got := scrape(t, m)
	if got["crosscheck_last_complete_run_timestamp_seconds{nightly}"] != float64(now.Unix()) || got["crosscheck_violations_open{no,fail,critical}"] != 99 {
		t.Errorf("after a new run: %v", got)
	}
	c.at = now.Add(-time.Hour) // the clock was set back
	l.queues[0].N = 4
	if got := scrape(t, m); got["crosscheck_deliveries{slack,waiting}"] != 4 {
		t.Error("what was read is told for an hour")
	}
}

// TestUnreadable tells nothing that stands rather than what stood.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	l, c := standing(), &clock{now}
	m := site(t, l, c)
	scrape(t, m)
	l.fail, c.at = errors.New("disk"), now.Add(time.Minute)
	got := scrape(t, m)
	if v, ok := got["crosscheck_ledger_readable{}"]; !ok || v != 0 {
		t.Errorf("readable: %v %v", v, ok)
	}
	if _, ok := got["crosscheck_decisions{nightly,STO-001,pass}"]; ok {
		t.Error("decisions are told that could not be read")
	}
	l.fail = nil
	if got := scrape(t, m); got["crosscheck_ledger_readable{}"] != 1 || got["crosscheck_decisions{nightly,STO-001,pass}"] != 6 {
		t.Error("not told again once it can be read")
	}
}

func TestToldOf(t *testing.T) {
	t.Parallel()
	m := site(t, standing(), &clock{now})
	m.Observe(audit.Observation{Stage: "collect", Origin: "aws/1/global", Took: time.Second})
	m.Observe(audit.Observation{Stage: "collect", Origin: "aws/2/global", Took: time.Second, Err: errors.New("x")})
	m.Observe(audit.Observation{Stage: "decide", Took: time.Second})
	m.Observe(audit.Observation{Stage: "request", Origin: "aws/1/global", Operation: "iam:ListUsers", Took: time.Second})
	m.Observe(audit.Observation{Stage: "request", Origin: "aws/2/global", Operation: "iam:ListUsers", Took: time.Second})
	m.Observe(audit.Observation{Stage: "request", Origin: "netbox/main", Operation: "GET /api/status/", Took: time.Second, Err: errors.New("x")})
	m.Observe(audit.Observation{Stage: "run", Trigger: audit.Schedule, Status: audit.Complete, Took: time.Second})
	m.Observe(audit.Observation{Stage: "run", Trigger: audit.Manual, Took: time.Second, Err: errors.New("x")})
	m.Decided(100, time.Second)
	m.Tried("slack", "retried", time.Second)
	m.Requested("GET /api/v1/runs", 404, time.Millisecond)
	m.Reloaded(false)
	got := scrape(t, m)
	for name, want := range map[string]float64{
		"crosscheck_stage_duration_seconds{ok,aws,collect}":                       1,
		"crosscheck_stage_duration_seconds{failed,aws,collect}":                   1,
		"crosscheck_stage_duration_seconds{ok,,decide}":                           1,
		"crosscheck_run_duration_seconds{complete,schedule}":                      1,
		"crosscheck_source_call_duration_seconds{iam:ListUsers,ok,aws}":           2,
		"crosscheck_source_call_duration_seconds{GET /api/status/,failed,netbox}": 1,
		"crosscheck_run_duration_seconds{failed,manual}":                          1,
		"crosscheck_decision_duration_seconds{}":                                  1,
		"crosscheck_delivery_try_duration_seconds{retried,slack}":                 1,
		"crosscheck_http_requests_total{GET /api/v1/runs,4xx}":                    1,
		"crosscheck_http_request_duration_seconds{GET /api/v1/runs}":              1,
		"crosscheck_config_reload_success{}":                                      0,
		"crosscheck_config_reload_timestamp_seconds{}":                            float64(now.Unix()),
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
}

// TestHostileNames has what a ledger calls things be no more than a label.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	l := standing()
	l.queues = []audit.QueueTally{{Sink: "a\"b\n\xff", Status: "waiting", N: 1, Oldest: now}, {Sink: strings.Repeat("x", 999), Status: "waiting", N: 1, Oldest: now}}
	if got := scrape(t, site(t, l, &clock{now})); got["crosscheck_deliveries{a\"b\n\uFFFD,waiting}"] != 1 || got["crosscheck_deliveries{"+strings.Repeat("x", 200)+",waiting}"] != 1 {
		t.Errorf("%v", got)
	}
}
