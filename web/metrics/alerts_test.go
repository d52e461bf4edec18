package metrics_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const alerts = "../../configs/prometheus/alerts.yaml"

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	b, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// TestAlertsNameRealMetrics holds every metric and label that an alert names
// against what is answered to a scrape.
func TestAlertsNameRealMetrics(t *testing.T) {
	t.Parallel()
	m := site(t, standing(), &clock{now})
	m.Decided(1, time.Second)
	m.Observe(audit.Observation{Stage: "decide"})
	labels := map[string][]string{} // by metric
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, l := range f.Metric[0].Label {
			labels[f.GetName()] = append(labels[f.GetName()], l.GetName())
		}
		labels[f.GetName()] = append(labels[f.GetName()], "le")
	}
	metric := regexp.MustCompile(`(crosscheck_[a-z_]+)(\{[^}]*\})?`)
	label := regexp.MustCompile(`([a-z_]+)(=~|!=|=)`)
	for _, r := range rules(t) {
		found := metric.FindAllStringSubmatch(r.Expr, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric of ours", r.Alert)
		}
		for _, f := range found {
			name := strings.TrimSuffix(f[1], "_bucket")
			known, ok := labels[name]
			if !ok {
				t.Errorf("%s names %s, which is not told", r.Alert, f[1])
			}
			for _, l := range label.FindAllStringSubmatch(f[2], -1) {
				if !slices.Contains(known, l[1]) {
					t.Errorf("%s: %s has no label %s", r.Alert, name, l[1])
				}
			}
		}
	}
}

// TestAlertsAreWhole has each alert say what is wrong and what to do, and be tested.
func TestAlertsAreWhole(t *testing.T) {
	t.Parallel()
	tested, err := os.ReadFile("../../configs/prometheus/alerts.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list := rules(t)
	if len(list) < 8 {
		t.Errorf("%d alerts", len(list))
	}
	seen := map[string]bool{}
	for _, r := range list {
		if seen[r.Alert] || r.Annotations["summary"] == "" || r.Annotations["runbook"] == "" || strings.Contains(r.Annotations["runbook"], "\n") ||
			!slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
			t.Errorf("%+v", r)
		}
		seen[r.Alert] = true
		if !strings.Contains(string(tested), "alertname: "+r.Alert+"\n") {
			t.Errorf("%s is not tested to fire", r.Alert)
		}
	}
}
