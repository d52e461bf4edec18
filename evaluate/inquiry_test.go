package evaluate_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// TestUnread: what is read of a document with holes step by step is what all of it holds.
func TestUnread(t *testing.T) {
	t.Parallel()
	d := seeded(11)
	for range 5000 {
		doc := map[string]any{"data": d.value(4), "gaps": map[string]any{}, "redacted": []any{}, "tags": map[string]any{"a~/b": "x"}}
		var pointers []string
		for range d.IntN(6) {
			switch {
			case len(pointers) > 0 && d.IntN(3) == 0: // below, above or beside another
				p := pick(d, pointers)
				pointers = append(pointers, pick(d, []string{p, p + "/x", p + "/0", p[:strings.LastIndex(p, "/")+1] + "y", p[:max(strings.LastIndex(p, "/"), 0)]}))
			case d.IntN(8) == 0:
				pointers = append(pointers, pick(d, []string{"/tags/a~0~1b", "/tags/none", "/data", "/gaps/x"}))
			default:
				pointers = append(pointers, "/data"+d.pointer(doc["data"]))
			}
		}
		line, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		where, err := evaluate.Unread(line, pointers)
		if err != nil {
			t.Fatal(err)
		}
		if where != "" {
			t.Fatalf("%s with holes at %q: %s differs", line, pointers, where)
		}
	}
}

// pointer is one into a value, or to what is not there.
func (d dice) pointer(v any) string {
	switch x := v.(type) {
	case map[string]any:
		keys := []string{"none"}
		for k := range x {
			keys = append(keys, k)
		}
		k := pick(d, keys)
		if d.IntN(4) == 0 {
			return "/" + escape.Replace(k)
		}
		return "/" + escape.Replace(k) + d.pointer(x[k])
	case []any:
		i := d.IntN(len(x) + 1)
		if i == len(x) || d.IntN(4) == 0 {
			return "/" + strconv.Itoa(i)
		}
		return "/" + strconv.Itoa(i) + d.pointer(x[i])
	}
	return pick(d, []string{"", "/below"})
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
