package audit_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// rendered compares what is rendered with what encoding/json makes of a verdict.
func rendered(t *testing.T, v audit.Verdict) {
	t.Helper()
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	wantOK, wantErr := audit.StoreVerdict(enc, v)
	got, ok, err := audit.AppendStored([]byte("before"), v)
	if err == nil && ok != wantOK || (err == nil) != (wantErr == nil) {
		t.Fatalf("rendered: %v, %v; encoding/json: %v, %v", ok, err, wantOK, wantErr)
	}
	if string(got) != "before"+want.String() {
		t.Fatalf("rendered:\n%s\nencoding/json:\n%s", got, want.String())
	}
}

// verdictOf has a and b wherever a string or a value can be.
func verdictOf(a, b string, x, y any, shape uint8) audit.Verdict {
	v := audit.Verdict{Resource: a, Name: b, Type: a, Origin: b, Owner: a, InputDigest: b, Tags: map[string]string{a: b}}
	if shape&1 != 0 {
		v.Decisions = append(v.Decisions, audit.Decision{Control: a, Outcome: audit.Pass, ID: b, ControlDigest: a})
	}
	if shape&2 != 0 {
		v.Decisions = append(v.Decisions, audit.Decision{Control: b, Outcome: audit.Fail, ControlDigest: a, Exception: b, Violations: []audit.Violation{
			{Message: a, Observed: x, Expected: y, Path: b}, {Message: b, Observed: y, Path: a, Exception: b},
		}})
	}
	if shape&4 != 0 {
		v.Decisions = append(v.Decisions, audit.Decision{Control: a, Outcome: audit.Outcome(b), SliceDigest: a, Violations: []audit.Violation{}, Reasons: []audit.Reason{{Code: a}, {Code: b, Where: a, Detail: b}}})
	}
	if shape&8 != 0 {
		v.Decisions = append(v.Decisions, audit.Decision{Control: b, Outcome: audit.Pass, SliceDigest: b})
	}
	return v
}

func TestRenderedAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"null": nil, "bool": true, "string": "<a href='ü'>", "integer": 7, "float": 1e21, "bytes": []byte("b"), "strings": []string{"b", "a"},
		"numbers": []any{json.Number("1"), json.Number("-0.5e+7"), json.Number(""), json.Number("12345678901234567890.0")},
		"objects": map[string]any{"b": []any{}, "a": map[string]any{}, "\u2028": nil, "\xff": "\xff", "nil": map[string]any(nil), "none": []any(nil)},
		"raw":     json.RawMessage(`{"b":[1,2.5,"x"],"c":null}`), "raw with space": json.RawMessage(" {\"b\" : 1,\n\"a\":\"\\u003c\"} "), "no raw": json.RawMessage(nil),
		"a struct": audit.Reason{Code: "<"}, "no number": json.Number("1x"), "no JSON": json.RawMessage(`{"a"`), "infinite": math.Inf(1), "in a list": []any{math.NaN()},
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for shape := range uint8(16) {
				rendered(t, verdictOf("a", "", value, "b", shape))
				rendered(t, verdictOf("é \"quoted\" \\ \u2029 \x7f \x01\n", "<&>", nil, value, shape))
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	f.Add("a", "ü<\"", `{"a":[1,null,"x"]}`, uint8(15))
	f.Add("\xff\u2028\\", "", `"\u2028\u00e9"`, uint8(6))
	f.Add("\\u0000", "\x00", " [ 1 ] ", uint8(7))
	f.Fuzz(func(t *testing.T, a, b, value string, shape uint8) {
		v, err := audit.DecodeJSON([]byte(value))
		if err != nil {
			v = json.Number(value)
		}
		rendered(t, verdictOf(a, b, v, json.RawMessage(value), shape))
	})
}
