package netbox_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

func TestNarrowed(t *testing.T) {
	t.Parallel()
	cfg := config(serve(t, play(t, netboxtest.Options{})))
	cfg.Page = 40
	audittest.Narrowed(t, collector(t, cfg), func(string) string { return "2147483646" })
}

// counted counts requests by path.
type counted struct {
	http.Handler
	mu    sync.Mutex
	paths map[string]int
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.paths[r.URL.Path]++
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, r)
}

// ask collects objects by the ends of their ids.
func ask(t *testing.T, cfg netbox.Config, objects ...string) (*audittest.Writer, audit.Collection, error) {
	t.Helper()
	req := audit.Request{Origin: origin}
	for _, o := range objects {
		req.Resources = append(req.Resources, origin+"/"+o)
	}
	slices.Sort(req.Resources)
	w := &audittest.Writer{}
	col, err := collector(t, cfg).Collect(t.Context(), req, w)
	return w, col, err
}

func TestCallsOfOneObject(t *testing.T) {
	t.Parallel()
	c := &counted{Handler: play(t, netboxtest.Options{}), paths: map[string]int{}}
	w, col, err := ask(t, config(serve(t, c)), "ipam.ipaddress/7", "ipam.ipaddress/8", "ipam.ipaddress/999999")
	if err != nil || len(w.Resources) != 2 || len(col.Gaps)+len(col.Types) > 0 || !slices.Equal(col.Absent, []string{origin + "/ipam.ipaddress/999999"}) {
		t.Errorf("%d documents, absent %v, gaps %v, types %v, %v", len(w.Resources), col.Absent, col.Gaps, col.Types, err)
	}
	want := map[string]int{"/api/status/": 1, "/api/users/tokens/": 1, "/api/users/users/": 2, "/api/ipam/ip-addresses/": 1}
	if diff := cmp.Diff(c.paths, want); diff != "" {
		t.Errorf("requests (-got +want):\n%s", diff)
	}
}

// TestHiddenIsNotAbsent asks with tokens that may not see everything for what
// there is not: only where all of the type is known to be seen is it absent.
func TestHiddenIsNotAbsent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		label, object, asserted string
		absent                  bool
		gaps                    []string
	}{
		"address, everything may be hidden": {"auditor", "ipam.ipaddress/999999", "", false, []string{"ipam.ipaddress Unproven GET /api/ipam/ip-addresses/: constrained permissions cannot be excluded"}},
		"an object that is shown":           {"auditor", "ipam.ipaddress/7", "", false, nil},
		"what is no number":                 {"", "ipam.ipaddress/seven", "", false, nil},
		"what would be another number":      {"", "ipam.ipaddress/007", "", false, nil},
		"a type that is not read":           {"", "dcim.cable/1", "", false, nil},
		"all are asserted to be seen":       {"auditor", "ipam.ipaddress/999999", "ipam.ipaddress", true, nil},
		"as many as sites count":            {"auditor", "dcim.device/999999", "dcim.site", true, nil},
		"sites that may be hidden count": {
			"auditor", "dcim.device/999999", "", false,
			[]string{"dcim.device Unproven GET /api/dcim/devices/" + unproven + "; the sum of device_count over 3 sites is 58, but what counts them may be hidden too"},
		},
		"machines, and clusters are denied": {
			"auditor", "virtualization.virtualmachine/999999", "dcim.site", false,
			[]string{"virtualization.virtualmachine Unproven GET /api/virtualization/virtual-machines/" + unproven},
		},
		"sites count more":   {"zero-devices", "dcim.device/7", "", false, []string{devices}},
		"devices are denied": {"no-permissions", "dcim.device/7", "", false, []string{"dcim.device AccessDenied GET /api/dcim/devices/"}},
		"the administrator":  {"", "dcim.device/999999", "", true, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(serve(t, as(t, tt.label)))
			if tt.label == "auditor" {
				cfg.Token = netboxtest.AuditorToken
			}
			if tt.asserted != "" {
				cfg.Asserted = []netbox.Assertion{{Type: tt.asserted, By: "Ylva Brandt", Reason: "I granted the token's permissions", On: audittest.Moment}}
			}
			_, col, err := ask(t, cfg, tt.object)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(col.Absent) > 0; got != tt.absent {
				t.Errorf("absent: %v, want %v", col.Absent, tt.absent)
			}
			if diff := cmp.Diff(gaps(col), tt.gaps); diff != "" {
				t.Errorf("gaps (-got +want):\n%s", diff)
			}
		})
	}
}
