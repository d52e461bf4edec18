package elastic_test

import (
	"encoding/json"
	"testing"

	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// mapped gives the fields of setup/mappings.json with their types.
func mapped(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(prefix string, o map[string]any)
	walk = func(prefix string, o map[string]any) {
		for name, v := range o {
			f := v.(map[string]any)
			if typ, ok := f["type"].(string); ok {
				out[prefix+name] = typ
				if f["enabled"] == false {
					out[prefix+name] = "disabled"
				}
			}
			if below, ok := f["properties"].(map[string]any); ok {
				walk(prefix+name+".", below)
			}
			if below, ok := f["fields"].(map[string]any); ok {
				walk(prefix+name+".", below)
			}
		}
	}
	var m struct {
		Dynamic    bool
		Properties map[string]any
	}
	m.Dynamic = true
	if err := json.Unmarshal(elastic.Mappings(), &m); err != nil || m.Dynamic {
		t.Fatalf("%v: dynamic is %v", err, m.Dynamic)
	}
	walk("", m.Properties)
	return out
}
