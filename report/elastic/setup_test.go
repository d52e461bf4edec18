package elastic_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

func states(t *testing.T, s *elastic.Sink, force bool) (out []string) {
	t.Helper()
	steps, err := s.SetUp(t.Context(), force)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		out = append(out, step.Kind+" "+string(step.State))
	}
	return out
}

// TestSetUp: what is missing is made, what is there is kept, what crosscheck made
// is brought up to date, what somebody else made or changed is not touched.
func TestSetUp(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := sink(t, elastic.Config{URLs: []string{f.URL}})
	kinds := []string{"ILM policy", "ingest pipeline", "component template", "component template", "index template", "index template", "data stream", "index", "transform", "transform start"}
	all := func(state string) (out []string) {
		for _, k := range kinds {
			out = append(out, k+" "+state)
		}
		return out
	}
	want := all("created")
	want[9] = "transform start started"
	if diff := cmp.Diff(states(t, s, false), want); diff != "" {
		t.Fatalf("at first (-got +want):\n%s", diff)
	}
	want = all("kept")
	want[9] = "transform start started" // the fake's never gets anywhere
	if diff := cmp.Diff(states(t, s, false), want); diff != "" {
		t.Fatalf("again (-got +want):\n%s", diff)
	}
	// Other days are asked for; the policy and the transform follow, which cannot be put again.
	s = sink(t, elastic.Config{URLs: []string{f.URL}, Retention: 800, View: 60})
	want[0], want[8] = "ILM policy updated", "transform updated"
	if diff := cmp.Diff(states(t, s, false), want); diff != "" {
		t.Errorf("with other days (-got +want):\n%s", diff)
	}
	if !f.did("POST /_transform/crosscheck.misconfiguration_latest-v2/_update") {
		t.Error("the transform was not updated")
	}
	// Somebody changes a template, a later crosscheck made another, and a third is not ours.
	edit := func(path string, change func(o map[string]any)) {
		f.mu.Lock()
		defer f.mu.Unlock()
		change(f.put[path])
	}
	edit("/_component_template/crosscheck@settings", func(o map[string]any) { o["template"] = map[string]any{"settings": map[string]any{}} })
	edit("/_index_template/logs-crosscheck.findings", func(o map[string]any) { o["_meta"].(map[string]any)["version"] = 99 })
	edit("/_ingest/pipeline/crosscheck@ingested", func(o map[string]any) { delete(o, "_meta") })
	want[0], want[1], want[3], want[4] = "ILM policy kept", "ingest pipeline not crosscheck's, kept", "component template changed by hand, kept", "index template of a newer crosscheck, kept"
	if got := states(t, s, false); !slices.Equal(got[:8], want[:8]) {
		t.Errorf("after others' changes (-got +want):\n%s", cmp.Diff(got[:8], want[:8]))
	}
	got := states(t, s, true)
	if got[3] != "component template updated" || got[6] != "data stream updated" || !f.did("POST /logs-crosscheck.findings-default/_rollover") {
		t.Errorf("forced: %v; the data stream must roll over to new mappings", got)
	}
}

// TestServerless: where there is no ILM the data stream keeps its own. The test
// server has none of this: these are the answers that Elastic documents.
func TestServerless(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(w http.ResponseWriter){
		"serverless": func(w http.ResponseWriter) {
			answer(w, 410, failure("api_not_available_exception", "Request for uri [/_ilm/policy/crosscheck] with method [GET] exists but is not available when running in serverless mode"))
		},
		"no handler": func(w http.ResponseWriter) {
			answer(w, 400, map[string]any{"error": "no handler found for uri [/_ilm/policy/crosscheck] and method [GET]"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.any = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/_ilm") {
					say(w)
				}
				return strings.HasPrefix(r.URL.Path, "/_ilm")
			}
			if got := states(t, sink(t, elastic.Config{URLs: []string{f.URL}}), false); got[0] != "ingest pipeline created" {
				t.Errorf("setup did %v", got)
			}
			template := f.put["/_index_template/logs-crosscheck.findings"]["template"].(map[string]any)
			settings := f.put["/_component_template/crosscheck@settings"]["template"].(map[string]any)["settings"].(map[string]any)["index"].(map[string]any)
			if template["lifecycle"].(map[string]any)["data_retention"] != "400d" || settings["lifecycle"] != nil {
				t.Errorf("the template is %v, the settings %v", template, settings)
			}
		})
	}
}

// TestRefused: without the privilege to set up, the delivery says who can, and is not tried in vain.
func TestRefused(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), newDesk(t)
	f.any = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			answer(w, 400, failure("illegal_argument_exception", "composable template [other] with overlapping patterns"))
		}
		return r.Method == http.MethodPut
	}
	rec := d.night(t, 0, audittest.Night{Listed: "a"})
	err := d.deliver(t, elastic.Config{URLs: []string{f.URL}}, rec)
	if err == nil || !report.IsPermanent(err) || !strings.Contains(err.Error(), "crosscheck elastic setup --print") || !strings.Contains(err.Error(), "overlapping patterns") {
		t.Errorf("Deliver() = %v", err)
	}
}

// TestPrint: what an administrator is given is what is sent, and holds no secret.
func TestPrint(t *testing.T) {
	t.Parallel()
	s := sink(t, elastic.Config{URLs: []string{"https://elastic.example.com"}, APIKey: "hunter2"})
	list := s.Requests(false)
	b, err := elastic.Print(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"PUT _ilm/policy/crosscheck\n{\n", "PUT _component_template/crosscheck@mappings\n", "PUT _data_stream/logs-crosscheck.findings-default\n\n",
		`"min_age": "400d"`, `"priority": 350`, `"dynamic": false`, `"max_age": "90d"`, "POST _transform/crosscheck.misconfiguration_latest-v2/_start\n",
	} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%q is not printed in:\n%s", want, b)
		}
	}
	if bytes.Contains(b, []byte("hunter2")) {
		t.Error("the key is printed")
	}
	for _, r := range list {
		if len(r.Body) > 0 && !json.Valid(r.Body) {
			t.Errorf("%s %s: no JSON", r.Method, r.Path)
		}
	}
	// The server finds its own settings in what is written as numbers.
	if !strings.Contains(string(b), `"total_fields"`) || strings.Count(string(b), "managed_by") != 7 {
		t.Errorf("%d things say who manages them", strings.Count(string(b), "managed_by"))
	}
}
