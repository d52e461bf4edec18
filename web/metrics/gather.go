package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// repairStates are all there are: one that nothing is in is told as 0.
var repairStates = []audit.RepairState{
	audit.RepairSuggested, audit.RepairRequested, audit.RepairApproved, audit.RepairDenied, audit.RepairExpired, audit.RepairBlocked,
	audit.RepairActing, audit.RepairUnknown, audit.RepairActed, audit.RepairVerified, audit.RepairFailed, audit.RepairRolledBack, audit.RepairStuck,
	audit.RepairSettling, audit.RepairSettled,
}

// descs are the metrics that are read from the ledger.
type descs struct {
	readable, decisions, excepted, gaps, sourceRequests, sourceErrors *prometheus.Desc
	lastComplete, lastTook, open, runs, deliveries, oldest, repairs   *prometheus.Desc
	byRunbook                                                         *prometheus.Desc
	recurrence, expiry                                                *prometheus.Desc
}

func newDescs() descs {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return descs{
		readable:       d("crosscheck_ledger_readable", "1 where the ledger could be read for this scrape."),
		decisions:      d("crosscheck_decisions", "Decisions of the last complete run of an audit; no name: of the last of everything by hand.", "audit", "control", "outcome"),
		excepted:       d("crosscheck_decisions_excepted", "Failed decisions of the last complete run that an exception covers.", "audit", "control"),
		gaps:           d("crosscheck_gaps", "Population gaps of the last complete run: what should have been listed and was not.", "audit", "source", "code"),
		sourceRequests: d("crosscheck_source_requests", "Requests that the last complete run made.", "audit", "source"),
		sourceErrors:   d("crosscheck_source_errors", "Requests of the last complete run that failed.", "audit", "source"),
		lastComplete:   d("crosscheck_last_complete_run_timestamp_seconds", "When the last complete run of an audit ended; 0: there is none. Its age is time() minus this.", "audit"),
		lastTook:       d("crosscheck_last_complete_run_duration_seconds", "How long the last complete run of an audit took.", "audit"),
		open:           d("crosscheck_violations_open", "Violations that are open.", "severity", "outcome", "excepted"),
		runs:           d("crosscheck_runs_total", "Runs on record.", "trigger", "status"),
		deliveries:     d("crosscheck_deliveries", "Deliveries on record.", "sink", "status"),
		oldest:         d("crosscheck_delivery_oldest_waiting_seconds", "Age of the oldest delivery that waits for a sink; 0: none does.", "sink"),
		repairs:        d("crosscheck_repairs", "Repairs on record.", "state"),
		byRunbook:      d("crosscheck_runbook_repairs", "Repairs on record by runbook: the rate of success is verified over verified, failed, rolled_back, stuck, settling and settled.", "runbook", "state"),
		recurrence:     d("crosscheck_recurrence_ratio", "Of the violations that owners were told of, the part that came back."),
		expiry:         d("crosscheck_credential_expiry_timestamp_seconds", "When a credential stops working, where that can be known without asking anybody.", "source", "name", "kind"),
	}
}

func (d *descs) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.readable, d.decisions, d.excepted, d.gaps, d.sourceRequests, d.sourceErrors, d.lastComplete, d.lastTook, d.open, d.runs,
		d.deliveries, d.oldest, d.repairs, d.byRunbook, d.recurrence, d.expiry,
	}
}

// gathering turns what was read into metrics.
type gathering struct {
	descs *descs
	out   []prometheus.Metric
}

func (g *gathering) gauge(d *prometheus.Desc, v float64, labels ...string) {
	g.out = append(g.out, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, valid(labels)...))
}

func (g *gathering) counter(d *prometheus.Desc, v int64, labels ...string) {
	g.out = append(g.out, prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), valid(labels)...))
}

// repairs gives each state, also where there is none, and each runbook that was used.
func (g *gathering) repairs(rates []audit.RepairRate) {
	all := map[audit.RepairState]int64{}
	for _, r := range rates {
		all[r.State] += r.Count
		g.gauge(g.descs.byRunbook, float64(r.Count), r.Runbook, string(r.State))
	}
	for _, state := range repairStates {
		g.gauge(g.descs.repairs, float64(all[state]), string(state))
	}
}

// valid makes of a ledger's text what a label may be.
func valid(labels []string) []string {
	for i, l := range labels {
		if r := []rune(l); len(r) > 200 || string(r) != l { // also what is no UTF-8
			labels[i] = string(r[:min(len(r), 200)])
		}
	}
	return labels
}

func (g *gathering) audit(name string, l lastRun) {
	if name == "" && l.ended == 0 {
		return // nobody has to audit by hand
	}
	g.gauge(g.descs.lastComplete, l.ended, name)
	if l.ended == 0 {
		return
	}
	g.gauge(g.descs.lastTook, l.took, name)
	for _, d := range l.decisions {
		for _, o := range []struct {
			outcome audit.Outcome
			n       int64
		}{{audit.Pass, d.pass}, {audit.Fail, d.fail}, {audit.NotEvaluated, d.notEvaluated}, {audit.Excluded, d.ex}} {
			g.gauge(g.descs.decisions, float64(o.n), name, d.control, string(o.outcome))
		}
		g.gauge(g.descs.excepted, float64(d.except), name, d.control)
	}
	for key, n := range l.gaps {
		g.gauge(g.descs.gaps, float64(n), name, key[0], key[1])
	}
	for source, n := range l.calls {
		g.gauge(g.descs.sourceRequests, float64(n[0]), name, source)
		g.gauge(g.descs.sourceErrors, float64(n[1]), name, source)
	}
}

// violations sums by severity. That of a control which the library has no more is unknown.
func (g *gathering) violations(open []audit.OpenTally, catalog audit.Catalog) {
	type key struct{ severity, outcome, excepted string }
	severities := map[string]string{}
	sums := map[key]int64{}
	for _, s := range []string{"critical", "high", "medium", "low"} {
		sums[key{s, "fail", "no"}] = 0
	}
	for _, c := range catalog.Controls {
		severities[c.ID] = string(c.Severity)
	}
	for _, t := range open {
		k := key{severities[t.Control], string(t.Outcome), "no"}
		if k.severity == "" {
			k.severity = "unknown"
		}
		if t.Excepted {
			k.excepted = "yes"
		}
		sums[k] += t.N
	}
	for k, n := range sums {
		g.gauge(g.descs.open, float64(n), k.severity, k.outcome, k.excepted)
	}
}

func (g *gathering) deliveries(queues []audit.QueueTally, now time.Time) {
	oldest := map[string]float64{}
	for _, t := range queues {
		g.gauge(g.descs.deliveries, float64(t.N), t.Sink, string(t.Status))
		if age := now.Sub(t.Oldest).Seconds(); t.Status == audit.Waiting {
			oldest[t.Sink] = max(age, 0)
		} else if _, known := oldest[t.Sink]; !known {
			oldest[t.Sink] = 0
		}
	}
	for sink, age := range oldest {
		g.gauge(g.descs.oldest, age, sink)
	}
}
