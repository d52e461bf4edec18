package netbox_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

// TestOriginUnreadable goes through each recorded failure that leaves nothing to read.
func TestOriginUnreadable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code audit.GapCode
		says string
	}{
		"anon":                 {audit.Unauthenticated, "did not take the token"},
		"bearer":               {audit.Unauthenticated, "v2 tokens"},
		"badtoken":             {audit.Unauthenticated, "does not know the token"},
		"shorttoken":           {audit.Unauthenticated, "does not know the token"},
		"inactive-user":        {audit.Unauthenticated, "user is inactive"},
		"expired":              {audit.Unauthenticated, "token has expired"},
		"allowed-ips-mismatch": {audit.AccessDenied, "allowed IPs"},
		"bad-host":             {audit.Failed, "ALLOWED_HOSTS"},
		"database-down":        {audit.Failed, "its database does not answer"},
		"redis-down":           {audit.Failed, "answered 500"},
	}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			cfg := config(serve(t, as(t, label)))
			log := logged(&cfg)
			w, col, err := collect(t, cfg)
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.code || se.Operation != "GET /api/status/" || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Collect() = %v, want %s, %q", err, tt.code, tt.says)
			}
			if len(w.Resources) > 0 || len(col.Calls) != 1 || col.Calls[0].Errors != 1 {
				t.Errorf("%d resources, calls %v", len(w.Resources), col.Calls)
			}
			if strings.Contains(err.Error()+log.String(), netboxtest.AdminToken) {
				t.Error("the token is in the error or the log")
			}
		})
	}
}

// What gaps of narrow tokens say.
const (
	unproven = ": constrained permissions cannot be excluded"
	devices  = "dcim.device Truncated GET /api/dcim/devices/: 0 read, but the sum of device_count over 3 sites is 58"
	sites    = "dcim.site Unproven GET /api/dcim/sites/" + unproven
	nosites  = "dcim.site AccessDenied GET /api/dcim/sites/"
	clusters = "virtualization.cluster AccessDenied GET /api/virtualization/clusters/"
	machines = "virtualization.virtualmachine AccessDenied GET /api/virtualization/virtual-machines/"
	prefixes = "ipam.prefix AccessDenied GET /api/ipam/prefixes/"
	address  = "ipam.ipaddress AccessDenied GET /api/ipam/ip-addresses/"
)

// TestNarrowTokens: a token that sees less gives population gaps, never a smaller estate.
func TestNarrowTokens(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want map[string]int
		gaps []string
	}{
		"constrained-rtm1": {
			map[string]int{"dcim.device": 19},
			[]string{"dcim.device Unproven GET /api/dcim/devices/" + unproven, nosites, address, prefixes, clusters, machines},
		},
		"zero-devices": {map[string]int{"dcim.site": 3}, []string{devices, sites, address, prefixes, clusters, machines}},
		"vrf-null-only": {
			map[string]int{"ipam.ipaddress": 238},
			[]string{"dcim.device AccessDenied GET /api/dcim/devices/", nosites, "ipam.ipaddress Unproven GET /api/ipam/ip-addresses/" + unproven, prefixes, clusters, machines},
		},
		"devices-only": {
			map[string]int{"dcim.device": 58},
			[]string{"dcim.device Unproven GET /api/dcim/devices/" + unproven, nosites, address, prefixes, clusters, machines},
		},
		"no-permissions": {
			map[string]int{},
			[]string{"dcim.device AccessDenied GET /api/dcim/devices/", nosites, address, prefixes, clusters, machines},
		},
		"auditor": {
			map[string]int{"dcim.device": 58, "dcim.site": 3, "ipam.ipaddress": 251, "ipam.prefix": 22, "virtualization.virtualmachine": 25},
			[]string{
				"dcim.device Unproven GET /api/dcim/devices/" + unproven + "; the sum of device_count over 3 sites is 58, but what counts them may be hidden too",
				sites,
				"ipam.ipaddress Unproven GET /api/ipam/ip-addresses/" + unproven,
				"ipam.prefix Unproven GET /api/ipam/prefixes/" + unproven,
				clusters,
				"virtualization.virtualmachine Unproven GET /api/virtualization/virtual-machines/" + unproven,
			},
		},
	}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			w, col, err := collect(t, config(serve(t, as(t, label))))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(count(w), tt.want); diff != "" {
				t.Errorf("documents (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(gaps(col), tt.gaps); diff != "" {
				t.Errorf("gaps (-got +want):\n%s", diff)
			}
			for _, c := range col.Types {
				if c.Completeness != "" {
					t.Errorf("%s is %s: %s", c.Type, c.Completeness, c.Basis)
				}
			}
			if len(col.Types) != len(estate) {
				t.Errorf("answerable for %d types, want %d", len(col.Types), len(estate))
			}
		})
	}
}

// TestOddities: what a NetBox may do and is no failure.
func TestOddities(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"custom-status", "forwarded-host", "keyset", "max-page-size-20"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			w, col, err := collect(t, config(serve(t, as(t, label))))
			if err != nil || len(col.Gaps) > 0 {
				t.Fatalf("Collect() = %v, gaps %v", err, gaps(col))
			}
			if diff := cmp.Diff(count(w), estate); diff != "" {
				t.Errorf("documents (-got +want):\n%s", diff)
			}
			found := false
			for _, r := range w.Resources {
				status, _ := r.Data.(map[string]any)["status"].(map[string]any)
				found = found || status["value"] == "quarantined"
				if len(r.Gaps) > 0 {
					t.Errorf("%s has gaps: %v", r.ID, r.Gaps)
				}
			}
			if found != (label == "custom-status") {
				t.Errorf("a device of the custom status quarantined: %v", found)
			}
		})
	}
}

func TestAuditorIdentity(t *testing.T) {
	t.Parallel()
	cfg := config(serve(t, play(t, netboxtest.Options{})))
	cfg.Token = netboxtest.AuditorToken
	_, col, err := collect(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if col.Identity != "ofalk (user 3, token 4)" || len(notices(col)) != 0 {
		t.Errorf("identity %q, notices %v: want ofalk, whose token cannot write", col.Identity, col.Notices)
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	on := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	word := func(types ...string) (out []netbox.Assertion) {
		for _, typ := range types {
			out = append(out, netbox.Assertion{Type: typ, By: "Ylva Brandt", Reason: "I granted the token's permissions", On: on})
		}
		return out
	}
	const basis = "asserted by Ylva Brandt on 2026-11-02: I granted the token's permissions"
	tests := map[string]struct {
		label    string
		asserted []netbox.Assertion
		typ      string
		want     audit.Completeness
		basis    string
		notices  []string
	}{
		"addresses": {"auditor", word("ipam.ipaddress"), "ipam.ipaddress", audit.Asserted, basis, nil},
		"sites, and devices follow": {
			"auditor", word("dcim.site"), "dcim.device", audit.Reconciled, "the sum of device_count over 3 sites is 58", nil,
		},
		"sites, but machines need clusters": {"auditor", word("dcim.site"), "virtualization.virtualmachine", "", "", nil},
		"refuted by counts":                 {"zero-devices", word("dcim.device"), "dcim.device", "", "", []string{"netbox_assertion_refuted"}},
		"refuted by a denial":               {"constrained-rtm1", word("dcim.site"), "dcim.site", "", "", []string{"netbox_assertion_refuted"}},
		"unneeded": {
			"", word("ipam.prefix"), "ipam.prefix", audit.Proved, "GET /api/users/users/: user admin is a superuser",
			[]string{"netbox_token_writes", "netbox_assertion_unneeded"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(serve(t, as(t, tt.label)))
			cfg.Asserted = tt.asserted
			if tt.label == "auditor" {
				cfg.Token = netboxtest.AuditorToken
			}
			_, col, err := collect(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range col.Types {
				if c.Type == tt.typ && (c.Completeness != tt.want || c.Basis != tt.basis) {
					t.Errorf("%s is %q (%s), want %q (%s)", tt.typ, c.Completeness, c.Basis, tt.want, tt.basis)
				}
			}
			hidden := false
			for _, g := range col.Gaps {
				hidden = hidden || g.Type == tt.typ
			}
			if hidden != (tt.want == "") {
				t.Errorf("gaps %v", gaps(col))
			}
			if diff := cmp.Diff(notices(col), tt.notices); diff != "" {
				t.Errorf("notices (-got +want):\n%s", diff)
			}
		})
	}
}

// without answers as next does, but denies some paths.
func without(next http.Handler, paths ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, path := range paths {
			if r.URL.Path == path {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"detail":"You do not have permission to perform this action."}`))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// TestPermissionsOfTheOwnUser proves by grants, one table for what NetBox can say.
func TestPermissionsOfTheOwnUser(t *testing.T) {
	t.Parallel()
	const grant = `"id":3,"enabled":true,"object_types":["dcim.device","dcim.site"],"actions":["view"],"groups":[{"id":2}],"users":[]`
	const proof = "GET /api/users/permissions/: permission 3 lets user ofalk view all"
	tests := map[string]struct {
		permission string
		want       audit.Completeness
		basis      string
		gap        string
	}{
		"null":              {`{` + grant + `,"constraints":null}`, audit.Proved, proof, ""},
		"empty object":      {`{` + grant + `,"constraints":{}}`, audit.Proved, proof, ""},
		"one empty of two":  {`{` + grant + `,"constraints":[{"site__slug":"ham1"},{}]}`, audit.Proved, proof, ""},
		"constrained":       {`{` + grant + `,"constraints":{"site__slug":"ham1"}}`, "", "", "the token's permission is constrained"},
		"list of one":       {`{` + grant + `,"constraints":[{"site__slug":"ham1"}]}`, "", "", "the token's permission is constrained"},
		"empty list":        {`{` + grant + `,"constraints":[]}`, "", "", "the token's permission is constrained"},
		"not said":          {`{` + grant + `}`, "", "", "the token's permission is constrained"},
		"disabled":          {strings.Replace(`{`+grant+`,"constraints":null}`, "true", "false", 1), "", "", "cannot be excluded"},
		"another's":         {strings.Replace(`{`+grant+`,"constraints":null}`, `{"id":2}`, `{"id":9}`, 1), "", "", "cannot be excluded"},
		"another action":    {strings.Replace(`{`+grant+`,"constraints":null}`, `"view"`, `"add"`, 1), "", "", "cannot be excluded"},
		"another type":      {strings.Replace(`{`+grant+`,"constraints":null}`, `"dcim.device",`, ``, 1), "reconciled", "the sum of device_count over 3 sites is 58", ""},
		"to the user":       {strings.Replace(`{`+grant+`,"constraints":null}`, `"groups":[{"id":2}],"users":[]`, `"groups":[],"users":[{"id":3}]`, 1), audit.Proved, proof, ""},
		"without an id":     {strings.Replace(`{`+grant+`,"constraints":null}`, `"id":3,`, ``, 1), "", "", "cannot be excluded"},
		"of another nature": {`{"id":3,"enabled":true,"object_types":"dcim.device","actions":{"view":1},"groups":7}`, "", "", "cannot be excluded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// ofalk's token, with the right to read users and permissions as well.
			everything := as(t, "")
			cfg := config(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/users/permissions/" {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"count":1,"next":null,"previous":null,"results":[` + tt.permission + `]}`))
					return
				}
				r.Header.Set("Authorization", "Token "+netboxtest.AdminToken)
				everything.ServeHTTP(w, r)
			})))
			cfg.Token = netboxtest.AuditorToken
			_, col, err := collect(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(col.Types, func(c audit.TypeCount) bool { return c.Type == "dcim.device" })
			if c := col.Types[i]; c.Completeness != tt.want || c.Basis != tt.basis {
				t.Errorf("devices are %q (%s), want %q (%s)", c.Completeness, c.Basis, tt.want, tt.basis)
			}
			said := ""
			if i := slices.IndexFunc(col.Gaps, func(g audit.Gap) bool { return g.Type == "dcim.device" }); i >= 0 {
				said = col.Gaps[i].Operation
			}
			if tt.gap == "" && said != "" || !strings.Contains(said, tt.gap) {
				t.Errorf("gap of devices: %q, want %q", said, tt.gap)
			}
		})
	}
}

// TestUnknownUser: a NetBox that ignores is_superuser, or hides users, proves nothing.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	everything := as(t, "")
	tests := map[string]http.Handler{
		"users denied": without(everything, "/api/users/users/"),
		"filter ignored": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			q.Del("is_superuser")
			r.URL.RawQuery = q.Encode()
			everything.ServeHTTP(w, r)
		}),
		"tokens denied": without(everything, "/api/users/tokens/"),
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			_, col, err := collect(t, config(s.URL))
			if err != nil {
				t.Fatal(err)
			}
			if len(col.Gaps) != len(estate) {
				t.Errorf("gaps %v, want one for each type", gaps(col))
			}
			if known := col.Identity == "admin (user 1, token 1)"; known == (name == "tokens denied") {
				t.Errorf("identity %q", col.Identity)
			}
		})
	}
}
