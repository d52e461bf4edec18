package netbox_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

const (
	recorded = "../../testdata/netbox"
	origin   = "netbox/nordhafen"
)

// config is that of a collector of the server at url; change what a test is about.
func config(url string) netbox.Config {
	return netbox.Config{
		Name: "nordhafen", URL: url, Token: netboxtest.AdminToken,
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(),
		Wait: func(context.Context, time.Duration) error { return nil },
	}
}

func play(t *testing.T, o netboxtest.Options) *netboxtest.Server {
	t.Helper()
	s, err := netboxtest.New(os.DirFS(recorded), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// as plays NetBox back as the administrator's token sees it under a label.
func as(t *testing.T, label string) *netboxtest.Server {
	t.Helper()
	return play(t, netboxtest.Options{Tokens: map[string]string{netboxtest.AdminToken: label, netboxtest.AuditorToken: "auditor"}})
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func collector(t *testing.T, cfg netbox.Config) *netbox.Collector {
	t.Helper()
	c, err := netbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func collect(t *testing.T, cfg netbox.Config) (*audittest.Writer, audit.Collection, error) {
	t.Helper()
	w := &audittest.Writer{}
	col, _, err := audittest.Timed(t, collector(t, cfg), audit.Request{Origin: origin}, w)
	w.Sort()
	return w, col, err
}

func count(w *audittest.Writer) map[string]int {
	out := map[string]int{}
	for _, r := range w.Resources {
		out[r.Type]++
	}
	return out
}

func completeness(col audit.Collection) map[string]audit.Completeness {
	out := map[string]audit.Completeness{}
	for _, t := range col.Types {
		out[t.Type] = t.Completeness
	}
	return out
}

// gaps renders gaps as "type code operation", sorted.
func gaps(col audit.Collection) (out []string) {
	for _, g := range col.Gaps {
		out = append(out, fmt.Sprint(g.Type, " ", g.Code, " ", g.Operation))
	}
	slices.Sort(out)
	return out
}

func notices(col audit.Collection) (out []string) {
	for _, n := range col.Notices {
		out = append(out, n.Code)
	}
	return out
}

var estate = map[string]int{
	"dcim.device": 58, "dcim.site": 3, "ipam.ipaddress": 251, "ipam.prefix": 22,
	"virtualization.cluster": 2, "virtualization.virtualmachine": 25,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	cfg := config(serve(t, play(t, netboxtest.Options{})))
	cfg.Page = 40 // several pages, the last one short
	w := audittest.Collector(t, collector(t, cfg))[origin]
	if diff := cmp.Diff(count(w), estate); diff != "" {
		t.Errorf("documents (-got +want):\n%s", diff)
	}
	for _, line := range w.Lines {
		for _, secret := range []string{"FAKE", "breakglass", "vault:kv", netboxtest.AdminToken} {
			if bytes.Contains(line, []byte(secret)) {
				t.Errorf("%q left the collector: %.300s", secret, line)
			}
		}
		if bytes.Contains(line, []byte(`"config_context"`)) {
			t.Errorf("a rendered context left the collector: %.200s", line)
		}
	}
	for _, r := range w.Resources {
		if len(r.Gaps) > 0 {
			t.Errorf("%s has gaps: %v", r.ID, r.Gaps)
		}
	}
}

func TestCollection(t *testing.T) {
	t.Parallel()
	url := serve(t, play(t, netboxtest.Options{}))
	_, col, err := collect(t, config(url))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]audit.Completeness{}
	for typ := range estate {
		want[typ] = audit.Proved
	}
	if diff := cmp.Diff(completeness(col), want); diff != "" {
		t.Errorf("completeness (-got +want):\n%s", diff)
	}
	if col.Identity != "admin (user 1, token 1)" || col.Endpoint != url || len(col.Gaps) != 0 {
		t.Errorf("identity %q, endpoint %q, gaps %v", col.Identity, col.Endpoint, col.Gaps)
	}
	if diff := cmp.Diff(notices(col), []string{"netbox_token_writes"}); diff != "" {
		t.Errorf("notices (-got +want):\n%s", diff)
	}
	i := slices.IndexFunc(col.Calls, func(c audit.Call) bool { return c.Operation == "GET /api/dcim/devices/" })
	if i < 0 {
		t.Fatalf("no call of devices in %v", col.Calls)
	}
	call := audit.Call{
		Operation: "GET /api/dcim/devices/", Permission: "dcim.view_device", Requests: 1, Items: 58,
		Parameters: map[string]string{"exclude": "config_context", "id__gt": "last id read", "limit": "500", "ordering": "id"},
	}
	if diff := cmp.Diff(col.Calls[i], call); diff != "" {
		t.Errorf("call (-got +want):\n%s", diff)
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	w, _, err := collect(t, config(serve(t, play(t, netboxtest.Options{}))))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]audit.Resource{}
	for _, r := range w.Resources {
		named[r.Type+" "+r.Name] = r
	}
	tests := map[string]struct {
		tags     map[string]string
		redacted []string
	}{
		"dcim.device ham1-db02": {
			map[string]string{"legacy": "Legacy", "owner": "pieter.dewit", "pci": "PCI"},
			[]string{
				"/data/custom_fields/bmc_credential", "/data/custom_fields/runbook",
				"/data/custom_fields/depends_on/0/display", "/data/custom_fields/depends_on/0/name", "/data/custom_fields/depends_on/0/url",
				"/data/custom_fields/depends_on/0/description", "/data/custom_fields/escalation_contact/name",
			},
		},
		"dcim.device ham1-jump01": {
			map[string]string{"exception-approved": "Exception approved", "legacy": "Legacy", "owner": "jonas.keller"},
			[]string{"/data/local_context_data/local_admin/password", "/data/local_context_data/local_admin/user", "/data/local_context_data/ntp/0"},
		},
		"virtualization.virtualmachine bastion-euc1": {
			map[string]string{"internet-facing": "Internet-facing", "managed-by-terraform": "Managed by Terraform", "owner": "ylva.brandt"},
			[]string{"/data/custom_fields/edr/vendor"},
		},
		"virtualization.virtualmachine wiki": {map[string]string{}, nil},
		"ipam.prefix 10.20.20.0/23":          {map[string]string{"owner": "ylva.brandt"}, nil},
		"ipam.ipaddress 10.20.20.1/23":       {map[string]string{}, nil},
		"virtualization.cluster eks-prod-euc1": {
			map[string]string{"managed-by-terraform": "Managed by Terraform"}, nil,
		},
		"dcim.site HAM1": {map[string]string{}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ok := named[name]
			if !ok {
				t.Fatal("not collected")
			}
			if diff := cmp.Diff(r.Tags, tt.tags); diff != "" {
				t.Errorf("tags (-got +want):\n%s", diff)
			}
			for _, pointer := range tt.redacted {
				if !slices.Contains(r.Redacted, pointer) {
					t.Errorf("%s is not redacted; redacted are %v", pointer, r.Redacted)
				}
			}
			if len(tt.redacted) == 0 && len(r.Redacted) > 0 {
				t.Errorf("redacted %v, want nothing", r.Redacted)
			}
		})
	}
}

func TestJoinKeys(t *testing.T) {
	t.Parallel()
	w, _, err := collect(t, config(serve(t, play(t, netboxtest.Options{}))))
	if err != nil {
		t.Fatal(err)
	}
	bastion := w.Find(t, origin+"/virtualization.virtualmachine/22")
	fields := bastion.Data.(map[string]any)["custom_fields"].(map[string]any)
	for field, want := range map[string]string{"aws_instance_id": "i-0052541cc39e7e5d0", "terraform_address": "aws_instance.bastion", "owner": "ylva.brandt"} {
		if fields[field] != want {
			t.Errorf("custom field %s is %v, want %s: it is joined by", field, fields[field], want)
		}
	}
	if i := slices.IndexFunc(w.Resources, func(r audit.Resource) bool { return r.Name == "" }); i >= 0 {
		t.Errorf("%s has no name", w.Resources[i].ID)
	}
}

func TestFieldsByConfiguration(t *testing.T) {
	t.Parallel()
	cfg := config(serve(t, play(t, netboxtest.Options{})))
	cfg.PlainFields, cfg.SecretFields = []string{"runbook", "bmc_credential"}, []string{"owner", "bmc_credential"}
	w, _, err := collect(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(w.Resources, func(r audit.Resource) bool { return r.Name == "ham1-db02" })
	r := w.Resources[i]
	if slices.Contains(r.Redacted, "/data/custom_fields/runbook") {
		t.Error("runbook is redacted, though the configuration calls it plain")
	}
	for _, pointer := range []string{"/data/custom_fields/owner", "/tags/owner", "/data/custom_fields/bmc_credential"} {
		if !slices.Contains(r.Redacted, pointer) {
			t.Errorf("%s is not redacted", pointer)
		}
	}
	if !strings.HasPrefix(r.Tags["owner"], audit.TokenPrefix) {
		t.Errorf("tag owner is %q", r.Tags["owner"])
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	on := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		change func(*netbox.Config)
		want   string // "" for no error
	}{
		"valid":             {func(*netbox.Config) {}, ""},
		"below a path":      {func(c *netbox.Config) { c.URL = "https://dc.example/netbox/" }, ""},
		"no name":           {func(c *netbox.Config) { c.Name = "" }, "name"},
		"name with a slash": {func(c *netbox.Config) { c.Name = "a/b" }, "name"},
		"no url":            {func(c *netbox.Config) { c.URL = "" }, "url: want https"},
		"ftp":               {func(c *netbox.Config) { c.URL = "ftp://netbox.example" }, "url: want https"},
		"broken url":        {func(c *netbox.Config) { c.URL = "https://u:hunter2@[::1" }, "cannot be parsed"},
		"password in url":   {func(c *netbox.Config) { c.URL = "https://u:hunter2@netbox.example" }, "give the token instead"},
		"query":             {func(c *netbox.Config) { c.URL = "https://netbox.example/?a=b" }, "query"},
		"api":               {func(c *netbox.Config) { c.URL = "https://netbox.example/api/" }, "ends in /api"},
		"no token":          {func(c *netbox.Config) { c.Token = "" }, "token is required"},
		"newline in token":  {func(c *netbox.Config) { c.Token = "hunter2\n" }, "white space"},
		"page":              {func(c *netbox.Config) { c.Page = 1001 }, "page is 1001"},
		"two clients":       {func(c *netbox.Config) { c.CAFile, c.HTTPClient = "ca.pem", &http.Client{} }, "exclude each other"},
		"no redactor":       {func(c *netbox.Config) { c.Redactor = nil }, "redactor"},
		"assertion": {func(c *netbox.Config) {
			c.Asserted = []netbox.Assertion{{"ipam.ipaddress", "Y. Brandt", "own the permissions", on}}
		}, ""},
		"assertion of nobody": {func(c *netbox.Config) { c.Asserted = []netbox.Assertion{{"ipam.ipaddress", " ", "because", on}} }, "by, reason and on"},
		"assertion without day": {func(c *netbox.Config) {
			c.Asserted = []netbox.Assertion{{Type: "ipam.ipaddress", By: "Y", Reason: "r"}}
		}, "by, reason and on"},
		"assertion of a typo": {func(c *netbox.Config) { c.Asserted = []netbox.Assertion{{"ipam.adress", "Y", "r", on}} }, `"ipam.adress"`},
		"assertion twice": {func(c *netbox.Config) {
			c.Asserted = []netbox.Assertion{{"dcim.site", "Y", "r", on}, {"dcim.site", "Z", "r", on}}
		}, "twice"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("https://netbox.example")
			tt.change(&cfg)
			_, err := netbox.New(cfg)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("New() = %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("New() = %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("New() = %v: a secret in an error", err)
			}
		})
	}
}

// logged collects log lines, to see that no secret is among them.
func logged(cfg *netbox.Config) *bytes.Buffer {
	var buf bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return &buf
}

// roundTrip is an HTTP client of a func.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}
}

// answers is an HTTP client that answers paths as given; others are an empty list.
func answers(byPath map[string]string) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body := `{"count":0,"next":null,"previous":null,"results":[]}`
		if r.URL.Path == "/api/status/" {
			body = `{"netbox-version":"4.3.7"}`
		}
		for _, path := range slices.Sorted(maps.Keys(byPath)) {
			if path == r.URL.Path {
				body = byPath[path]
			}
		}
		return answer(r, http.StatusOK, "application/json", body), nil
	})}
}
