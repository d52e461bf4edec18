package netboxtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

const recorded = "../../../testdata/netbox"

func start(t *testing.T, o netboxtest.Options) *netboxtest.Server {
	t.Helper()
	s, err := netboxtest.New(os.DirFS(recorded), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func as(label string) netboxtest.Options {
	return netboxtest.Options{Tokens: map[string]string{netboxtest.AdminToken: label}}
}

func get(t *testing.T, s http.Handler, host, target, authorization string) (int, []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://"+host+target, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, b
}

func admin(t *testing.T, s http.Handler, target string) (int, []byte) {
	t.Helper()
	return get(t, s, "127.0.0.1:8001", target, "Token "+netboxtest.AdminToken)
}

type page struct {
	Count    int     `json:"count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []struct {
		ID           int64          `json:"id"`
		Name         string         `json:"name"`
		CustomFields map[string]any `json:"custom_fields"`
		Context      map[string]any `json:"config_context"`
	} `json:"results"`
}

func list(t *testing.T, s http.Handler, target string) page {
	t.Helper()
	code, body := admin(t, s, target)
	var p page
	if err := json.Unmarshal(body, &p); err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d %v %.200s", target, code, err, body)
	}
	return p
}

// TestSameBytes holds what is computed here against what the real one answered.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ target, file string }{
		"first page":   {"/api/dcim/devices/?limit=50", "recorded/dcim/devices__limit=50.json"},
		"second page":  {"/api/dcim/devices/?offset=50&limit=50", "recorded/dcim/devices__limit=50,offset=50.json"},
		"middle page":  {"/api/ipam/ip-addresses/?limit=50&offset=100", "recorded/ipam/ip-addresses__limit=50,offset=100.json"},
		"by id":        {"/api/dcim/devices/?limit=50&ordering=id&id__gt=40", "recorded/dcim/devices__limit=50,ordering=id,id__gt=40.json"},
		"default size": {"/api/dcim/devices/?limit=abc", ""},
		"status":       {"/api/status/", "recorded/status__none.json"},
	}
	s := start(t, netboxtest.Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.file == "" {
				if p := list(t, s, tt.target); len(p.Results) != 50 {
					t.Errorf("%d results, want 50", len(p.Results))
				}
				return
			}
			want, err := os.ReadFile(recorded + "/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if code, got := admin(t, s, tt.target); code != http.StatusOK || !bytes.Equal(got, want) {
				t.Errorf("%d, and the bytes differ: %s", code, cmp.Diff(string(got), string(want)))
			}
		})
	}
}

func TestPagingByID(t *testing.T) {
	t.Parallel()
	s := start(t, netboxtest.Options{})
	all := list(t, s, "/api/ipam/ip-addresses/?limit=100&ordering=id&id__gt=0")
	if all.Count != 251 || len(all.Results) != 100 || all.Next == nil || !strings.Contains(*all.Next, "?id__gt=0&limit=100&offset=100&ordering=id") {
		t.Errorf("first page: count %d, %d results, next %v", all.Count, len(all.Results), all.Next)
	}
	rest := list(t, s, "/api/ipam/ip-addresses/?limit=100&ordering=id&id__gt=200")
	if rest.Count != 51 || rest.Next != nil {
		t.Errorf("the count is %d and next %v, want the remainder, 51, and none", rest.Count, rest.Next)
	}
	s.Delete("/api/ipam/ip-addresses/", 250, 251)
	if rest = list(t, s, "/api/ipam/ip-addresses/?limit=100&ordering=id&id__gt=200"); rest.Count != 49 {
		t.Errorf("after a deletion the count is %d, want 49", rest.Count)
	}
	p := list(t, s, "/api/dcim/devices/?limit=5000&exclude=config_context&stauts=offline")
	if p.Count != 58 || len(p.Results) != 58 || p.Results[0].Context != nil {
		t.Errorf("count %d, %d results, config context %v", p.Count, len(p.Results), p.Results[0].Context)
	}
}

func TestInstanceIDs(t *testing.T) {
	t.Parallel()
	s := start(t, netboxtest.Options{
		InstanceIDs: map[string]string{"172.31.18.14": "i-0aaaaaaaaaaaaaaaa", "172.31.18.177": "i-0bbbbbbbbbbbbbbbb", "172.31.20.24": "i-0cccccccccccccccc"},
		Keep:        []string{"bastion-euc1"},
	})
	got := map[string]any{}
	for _, m := range list(t, s, "/api/virtualization/virtual-machines/?limit=100").Results {
		got[m.Name] = m.CustomFields["aws_instance_id"]
	}
	for name, want := range map[string]any{
		"ip-172-31-18-14.eu-central-1.compute.internal":  "i-0aaaaaaaaaaaaaaaa",
		"ip-172-31-18-37.eu-central-1.compute.internal":  "i-005f2ab04c20eceea", // no instance with its address
		"ip-172-31-18-177.eu-central-1.compute.internal": nil,                   // none was recorded
		"bastion-euc1": "i-0052541cc39e7e5d0", // kept
	} {
		if got[name] != want {
			t.Errorf("%s: instance id %v, want %v", name, got[name], want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		label, target string
		status        int
		detail        string // in the body
		count         int
	}{
		"narrow by id":             {"constrained-rtm1", "/api/dcim/devices/?limit=500&ordering=id&id__gt=0", 200, "", 19},
		"narrow, not recorded":     {"constrained-rtm1", "/api/ipam/prefixes/?limit=500", 403, "permission", 0},
		"narrow, status":           {"constrained-rtm1", "/api/status/", 200, "4.3.7", 0},
		"narrow, none":             {"zero-devices", "/api/dcim/devices/?limit=500", 200, "", 0},
		"narrow, counts":           {"zero-devices", "/api/dcim/sites/?limit=500", 200, "", 3},
		"narrow, addresses":        {"vrf-null-only", "/api/ipam/ip-addresses/?limit=500&ordering=id&id__gt=0", 200, "", 238},
		"first page only recorded": {"auditor", "/api/ipam/ip-addresses/?limit=500", 200, "", 251},
		"auditor's machines":       {"auditor", "/api/virtualization/virtual-machines/?limit=500", 200, "", 25},
		"auditor's clusters":       {"auditor", "/api/virtualization/clusters/?limit=500", 403, "permission", 0},
		"expired, anywhere":        {"expired", "/api/virtualization/clusters/?limit=500", 403, "Token expired", 0},
		"database down":            {"database-down", "/api/status/", 500, "connection failed", 0},
		"redis down":               {"redis-down", "/api/dcim/sites/?limit=7", 500, "<!DOCTYPE html>", 0},
		"bad host":                 {"bad-host", "/api/dcim/sites/?limit=7", 400, "Bad Request", 0},
		"small pages":              {"max-page-size-20", "/api/dcim/devices/?limit=500", 200, "", 58},
		"links elsewhere":          {"forwarded-host", "/api/dcim/devices/?limit=10", 200, "http://localhost:9999/api/dcim/devices/?limit=10&offset=10", 58},
		"unknown object":           {"", "/api/dcim/devices/999999/", 404, "No Device matches", 0},
		"one object":               {"", "/api/users/users/3/", 200, "ofalk", 0},
		"unknown path":             {"", "/api/nothing/", 404, "Not found", 0},
		"no slash":                 {"", "/api/dcim/devices?limit=50", 301, "/api/dcim/devices/?limit=50", 0},
		"superuser":                {"", "/api/users/users/?id=1&is_superuser=true", 200, "admin", 1},
		"no superuser":             {"", "/api/users/users/?id=1&is_superuser=false", 200, "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, body := admin(t, start(t, as(tt.label)), tt.target)
			var p page
			_ = json.Unmarshal(body, &p) // HTML is no page
			if code != tt.status || !strings.Contains(string(body), tt.detail) || p.Count != tt.count {
				t.Errorf("%d, count %d: %.200s", code, p.Count, body)
			}
		})
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	s := start(t, netboxtest.Options{})
	for authorization, want := range map[string]string{
		"":                                       "credentials were not provided",
		"Token 0000":                             "Invalid token",
		"Bearer " + netboxtest.AdminToken:        "credentials were not provided",
		"Token " + netboxtest.AuditorToken:       `"count":58`,
		"Token " + netboxtest.AdminToken:         `"count":58`,
		"Token " + netboxtest.AdminToken + " \n": "Invalid token",
	} {
		if _, body := get(t, s, "127.0.0.1:8001", "/api/dcim/devices/?limit=50", authorization); !strings.Contains(string(body), want) {
			t.Errorf("%q: %.100s, want %s", authorization, body, want)
		}
	}
}
