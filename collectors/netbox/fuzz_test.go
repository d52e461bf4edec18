package netbox_test

import (
	"bytes"
	"net/http"
	"os"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
)

// FuzzPage feeds one page to every list: whatever it holds, documents are
// valid, ids unique, and a type is either whole or has a gap.
func FuzzPage(f *testing.F) {
	for _, file := range []string{
		"recorded/dcim/sites__limit=50.json", "recorded/virtualization/clusters__limit=50.json",
		"recorded/users/tokens__limit=50.json", "recorded/users/permissions__limit=50.json",
		"recorded-faults/dcim/devices__limit=50__zero-devices.json", "recorded-faults/dcim/devices__limit=50__expired.json",
	} {
		b, err := os.ReadFile(recorded + "/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"count":1,"results":[{"id":1,"name":null,"tags":[{"slug":"a","name":"\u0000"}],"custom_fields":{"owner":"o","x":["s"]},"local_context_data":{"a":"b"}}]}`))
	f.Add([]byte(`{"count":2,"results":[{"id":2},{"id":1}]}`))
	f.Fuzz(func(t *testing.T, page []byte) {
		cfg := config("https://netbox.example")
		cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := string(page)
			if r.URL.Path == "/api/status/" {
				body = `{"netbox-version":"4.3.7"}`
			}
			return answer(r, http.StatusOK, "application/json", body), nil
		})}
		c, err := netbox.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := &audittest.Writer{}
		col, err := c.Collect(t.Context(), audit.Request{Origin: origin}, w)
		if err != nil {
			t.Fatalf("Collect() = %v", err)
		}
		w.Sort()
		for i, line := range w.Lines {
			if _, err := audit.ParseResource(line); err != nil {
				t.Fatal(err)
			}
			if i > 0 && bytes.Equal(line, w.Lines[i-1]) {
				t.Fatalf("twice: %s", line)
			}
		}
		whole := completeness(col)
		for _, g := range col.Gaps {
			if whole[g.Type] != "" {
				t.Errorf("%s is %s and has a gap: %v", g.Type, whole[g.Type], g)
			}
			delete(whole, g.Type)
		}
		for typ, known := range whole {
			if known == "" {
				t.Errorf("%s is not known to be whole and has no gap", typ)
			}
		}
	})
}
