package netbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// TestDeletionBetweenPages: offset paging would miss as many as were deleted.
func TestDeletionBetweenPages(t *testing.T) {
	t.Parallel()
	s := as(t, "")
	var pages atomic.Int32
	cfg := config(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/ipam/ip-addresses/" && pages.Add(1) == 2 {
			s.Delete(r.URL.Path, 1, 2, 3, 4, 5, 200)
		}
		s.ServeHTTP(w, r)
	})))
	cfg.Page = 50
	w, col, err := collect(t, cfg)
	if err != nil || len(col.Gaps) > 0 {
		t.Fatalf("Collect() = %v, gaps %v", err, gaps(col))
	}
	// 1 to 5 were read before they went; 200 went before it was read.
	if got := count(w)["ipam.ipaddress"]; got != 250 {
		t.Errorf("%d addresses, want 250", got)
	}
	for _, c := range col.Types {
		if c.Type == "ipam.ipaddress" && c.Listed != 250 {
			t.Errorf("%d listed, want 250", c.Listed)
		}
	}
}

// TestChangeOfCounts: what is made between the counts and the list is counted again.
func TestChangeOfCounts(t *testing.T) {
	t.Parallel()
	s := as(t, "")
	var sites atomic.Int32
	cfg := config(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/dcim/sites/" || sites.Add(1) > 1 {
			s.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Replace(rec.Body.String(), `"device_count":32`, `"device_count":33`, 1))
	})))
	_, col, err := collect(t, cfg)
	if err != nil || len(col.Gaps) > 0 || sites.Load() != 2 {
		t.Errorf("Collect() = %v, gaps %v, sites asked %d times", err, gaps(col), sites.Load())
	}
}

// TestFewerThanCounted: what the first page promises and later ones lack is a gap.
func TestFewerThanCounted(t *testing.T) {
	t.Parallel()
	cfg := config("https://netbox.example")
	cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body := `{"netbox-version":"4.3.7","count":0,"results":[]}`
		if r.URL.Path == "/api/ipam/prefixes/" {
			body = `{"count":3,"results":[` + object(1) + `]}`
			if r.URL.Query().Get("id__gt") == "1" {
				body = `{"count":1,"results":[` + object(2) + `]}`
			}
		}
		return answer(r, http.StatusOK, "application/json", body), nil
	})}
	_, col, err := collect(t, cfg)
	if err != nil || !slices.Contains(gaps(col), "ipam.prefix Truncated GET /api/ipam/prefixes/: 2 read, 3 counted") {
		t.Errorf("Collect() = %v, gaps %v", err, gaps(col))
	}
}

func object(id int) string {
	return fmt.Sprintf(`{"id":%d,"name":"n%d","display":"n%d"}`, id, id, id)
}

// TestHostilePages: nonsense ends the list with a gap; the other types go on.
func TestHostilePages(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	tests := map[string]struct {
		page string
		want int // documents
	}{
		"no json":            {`<html>`, 0},
		"empty":              {``, 0},
		"an array":           {`[]`, 0},
		"no count":           {`{"results":[]}`, 0},
		"no results":         {`{"count":1}`, 0},
		"two counts":         {`{"count":2,"count":1,"results":[` + object(1) + `]}`, 0},
		"results twice":      {`{"count":1,"results":[` + object(1) + `],"results":[` + object(1) + `]}`, 0},
		"null results":       {`{"count":1,"results":null}`, 0},
		"negative count":     {`{"count":-1,"results":[]}`, 0},
		"count too small":    {`{"count":1,"results":[` + object(1) + "," + object(2) + `]}`, 0},
		"empty, yet counted": {`{"count":5,"results":[]}`, 0},
		"same id again":      {`{"count":2,"results":[` + object(1) + "," + object(1) + `]}`, 1},
		"ids fall":           {`{"count":2,"results":[` + object(7) + "," + object(3) + `]}`, 1},
		"the page again":     {`{"count":9,"results":[` + object(7) + `]}`, 1},
		"id zero":            {`{"count":1,"results":[` + object(0) + `]}`, 0},
		"id too large":       {`{"count":1,"results":[` + object(1<<31) + `]}`, 0},
		"id a fraction":      {`{"count":1,"results":[{"id":1.5}]}`, 0},
		"id a text":          {`{"count":1,"results":[{"id":"1"}]}`, 0},
		"no id":              {`{"count":1,"results":[{}]}`, 0},
		"no object":          {`{"count":1,"results":[7]}`, 0},
		"deep":               {`{"count":1,"results":[{"id":1,"x":` + deep + `}]}`, 0},
		"more than one":      {`{"count":0,"results":[]}{"count":0,"results":[]}`, 0},
		"too large":          {`{"count":1,"results":[{"id":1,"x":"` + strings.Repeat("x", 33<<20) + `"}]}`, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("https://netbox.example")
			cfg.HTTPClient = answers(map[string]string{"/api/ipam/prefixes/": tt.page, "/api/dcim/sites/": `{"count":1,"results":[` + object(5) + `]}`})
			w, col, err := collect(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(gaps(col), "ipam.prefix Failed GET /api/ipam/prefixes/") {
				t.Errorf("gaps %v, want one of prefixes", gaps(col))
			}
			if got := count(w); got["ipam.prefix"] != tt.want || got["dcim.site"] != 1 {
				t.Errorf("documents %v, want %d prefixes", got, tt.want)
			}
		})
	}
}

// TestEndlessList: a server that makes objects up does not fill the disk.
func TestEndlessList(t *testing.T) {
	t.Parallel()
	cfg := config("https://netbox.example")
	cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body := `{"netbox-version":"4.3.7","count":0,"results":[]}`
		if r.URL.Path == "/api/ipam/prefixes/" {
			var after int
			_, _ = fmt.Sscan(r.URL.Query().Get("id__gt"), &after)
			var objects []string
			for i := range 500 {
				objects = append(objects, object(after+i+1))
			}
			body = `{"count":1000,"results":[` + strings.Join(objects, ",") + `]}`
		}
		return answer(r, http.StatusOK, "application/json", body), nil
	})}
	w, col, err := collect(t, cfg)
	if n := count(w)["ipam.prefix"]; err != nil || n != 12_000 || !slices.Contains(gaps(col), "ipam.prefix Failed GET /api/ipam/prefixes/") {
		t.Errorf("Collect() = %v, %d prefixes, gaps %v", err, n, gaps(col))
	}
}

// TestMissingFields: what adapters rely on and an object lacks is a gap of its document.
func TestMissingFields(t *testing.T) {
	t.Parallel()
	const whole = `"id":1,"name":"a","status":{"value":"active","label":"Active"},"primary_ip4":null,"primary_ip6":null,"site":null,"tags":[],"custom_fields":{"owner":null}`
	tests := map[string]struct {
		object string
		gaps   map[string]string
		name   string
	}{
		"nothing missing": {`{` + whole + `}`, nil, "a"},
		"unknown fields":  {`{` + whole + `,"new_in_4_9":{"x":[1]}}`, nil, "a"},
		"no name": {`{` + strings.Replace(whole, `"name":"a",`, `"display":"Device 1",`, 1) + `}`, map[string]string{
			"/data/name": "Failed netbox:name missing", "/name": "Failed netbox:name missing",
		}, "Device 1"},
		"unnamed":      {`{` + strings.Replace(whole, `"name":"a"`, `"name":null`, 1) + `}`, nil, "1"},
		"no address":   {`{` + strings.Replace(whole, `"primary_ip4":null,`, ``, 1) + `}`, map[string]string{"/data/primary_ip4": "Failed netbox:primary_ip4 missing"}, "a"},
		"no status":    {`{` + strings.Replace(whole, `"status":{"value":"active","label":"Active"},`, ``, 1) + `}`, map[string]string{"/data/status": "Failed netbox:status missing"}, "a"},
		"brief status": {`{` + strings.Replace(whole, `{"value":"active","label":"Active"}`, `"active"`, 1) + `}`, map[string]string{"/data/status": "Failed netbox:status is no choice"}, "a"},
		"null status":  {`{` + strings.Replace(whole, `{"value":"active","label":"Active"}`, `null`, 1) + `}`, map[string]string{"/data/status": "Failed netbox:status is no choice"}, "a"},
		"no tags": {`{` + strings.Replace(whole, `"tags":[],`, ``, 1) + `}`, map[string]string{
			"/data/tags": "Failed netbox:tags missing", "/tags": "Failed netbox:tags missing",
		}, "a"},
		"tags by id": {`{` + strings.Replace(whole, `"tags":[]`, `"tags":[7]`, 1) + `}`, map[string]string{
			"/data/tags": "Failed netbox:tags is no list of tags", "/tags": "Failed netbox:tags is no list of tags",
		}, "a"},
		"no owner defined": {`{` + strings.Replace(whole, `{"owner":null}`, `{}`, 1) + `}`, map[string]string{
			"/data/custom_fields/owner": "Failed netbox:custom_fields.owner missing", "/tags/owner": "Failed netbox:custom_fields.owner missing",
		}, "a"},
		"no custom fields": {`{` + strings.Replace(whole, `"custom_fields":{"owner":null}`, `"custom_fields":["FAKE"]`, 1) + `}`, map[string]string{
			"/data/custom_fields": "Failed netbox:custom_fields is no object", "/tags": "Failed netbox:custom_fields is no object",
		}, "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("https://netbox.example")
			cfg.HTTPClient = answers(map[string]string{"/api/dcim/devices/": `{"count":1,"results":[` + tt.object + `]}`})
			w, _, err := collect(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := w.Find(t, origin+"/dcim.device/1")
			want, _ := json.Marshal(tt.gaps)
			if got, _ := json.Marshal(r.Gaps); string(got) != string(want) || r.Name != tt.name {
				t.Errorf("gaps %s, want %s; name %q, want %q", got, want, r.Name, tt.name)
			}
			if strings.Contains(string(w.Lines[0]), "FAKE") {
				t.Errorf("a custom field left in plain: %s", w.Lines[0])
			}
		})
	}
}

// TestSecretsOnReceipt: an older or newer NetBox may ignore exclude=config_context.
func TestSecretsOnReceipt(t *testing.T) {
	t.Parallel()
	cfg := config("https://netbox.example")
	lines := logged(&cfg)
	cfg.HTTPClient = answers(map[string]string{"/api/dcim/devices/": `{"count":1,"results":[{"id":1,"name":"a","local_context_data":"CANARY1",
		"config_context":{"snmp":"CANARY2"},"custom_fields":{"note":"CANARY3","a/b~c":["CANARY4",{"d":"CANARY5"}],"*":"CANARY6","owner":"o@example"}}]}`})
	w, _, err := collect(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := w.Find(t, origin+"/dcim.device/1")
	if s := string(w.Lines[0]) + lines.String(); strings.Contains(s, "CANARY") || r.Tags["owner"] != "o@example" {
		t.Errorf("owner %q in %s", r.Tags["owner"], s)
	}
}

type full struct{ err error }

func (f full) Write(audit.Resource) error { return f.err }

func TestWriterFails(t *testing.T) {
	t.Parallel()
	disk := errors.New("no space left on device")
	_, err := collector(t, config(serve(t, as(t, "")))).Collect(t.Context(), audit.Request{Origin: origin}, full{disk})
	if !errors.Is(err, disk) {
		t.Errorf("Collect() = %v, want the writer's error", err)
	}
	if _, err := collector(t, config("https://netbox.example")).Collect(t.Context(), audit.Request{Origin: "netbox/other"}, full{}); err == nil {
		t.Error("another origin was collected")
	}
}
