package kubernetes

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v any
	if err := decode([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s is no object", text)
	}
	return m
}

// apply does to an object what the server does with a patch, lists joined by name.
func apply(t *testing.T, o, patch map[string]any) map[string]any {
	t.Helper()
	var join func(o, p any) any
	join = func(o, p any) any {
		switch p := p.(type) {
		case map[string]any:
			m, _ := o.(map[string]any)
			if m == nil {
				m = map[string]any{}
			}
			for k, v := range p {
				m[k] = join(m[k], v)
			}
			return m
		case []any:
			list, ok := o.([]any)
			if !ok || !named(p) {
				return p
			}
			for _, e := range p {
				if i := indexOf(list, nameOf(e)); i >= 0 {
					list[i] = join(list[i], e)
				} else {
					list = append(list, e)
				}
			}
			return list
		}
		return p
	}
	out, _ := join(o, patch).(map[string]any)
	return out
}

// TestRestore: whatever a patch did, what it named is as it was, and what others
// changed meanwhile stays.
func TestRestore(t *testing.T) {
	t.Parallel()
	const web = `{"kind":"Deployment","metadata":{"name":"web","namespace":"n"},"spec":{"replicas":2,"containers":[{"name":"a","securityContext":{"privileged":true,"runAsUser":0}},{"name":"b"}]}}`
	tests := map[string]struct{ object, patch, meanwhile, want string }{
		"a value":             {web, `{"spec":{"containers":[{"name":"a","securityContext":{"privileged":false}}]}}`, `{}`, web},
		"nothing before":      {web, `{"spec":{"containers":[{"name":"b","securityContext":{"privileged":false}}]}}`, `{}`, web},
		"several":             {web, `{"spec":{"containers":[{"name":"b","securityContext":{"privileged":false}},{"name":"a","securityContext":{"privileged":false}}],"paused":true}}`, `{}`, web},
		"an annotation":       {web, `{"metadata":{"annotations":{"crosscheck.dev/repair":"r"}}}`, `{}`, web},
		"beside what is new":  {web, `{"metadata":{"annotations":{"x":"r"}}}`, `{"metadata":{"annotations":{"y":"s"}}}`, `{"kind":"Deployment","metadata":{"annotations":{"y":"s"},"name":"web","namespace":"n"},"spec":{"replicas":2,"containers":[{"name":"a","securityContext":{"privileged":true,"runAsUser":0}},{"name":"b"}]}}`},
		"a list without name": {`{"spec":{"types":["Egress"]}}`, `{"spec":{"types":["Ingress"]}}`, `{}`, `{"spec":{"types":["Egress"]}}`},
		"null":                {`{"spec":{"x":null}}`, `{"spec":{"x":1}}`, `{}`, `{"spec":{"x":null}}`},
		"a large number":      {`{"spec":{"x":9007199254740993}}`, `{"spec":{"x":1}}`, `{}`, `{"spec":{"x":9007199254740993}}`},
		"names with slashes":  {`{"spec":{"a/b~c":{"d":"e"}}}`, `{"spec":{"a/b~c":{"d":"f"}}}`, `{}`, `{"spec":{"a/b~c":{"d":"e"}}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := fieldsOf(object(t, tt.patch), object(t, tt.object))
			b, err := json.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}
			var kept []field
			if err := json.Unmarshal(b, &kept); err != nil {
				t.Fatal(err)
			}
			now := apply(t, apply(t, object(t, tt.object), object(t, tt.patch)), object(t, tt.meanwhile))
			if cmp.Equal(now, object(t, tt.object)) {
				t.Fatal("the patch changes nothing")
			}
			for _, f := range kept {
				if err := f.restore(now); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(object(t, tt.want), now); diff != "" {
				t.Error(diff)
			}
			if !(&Runner{}).Same(stateOf(t, before), stateOf(t, fieldsOf(object(t, tt.patch), now))) {
				t.Error("what is captured afterwards is not what was captured before")
			}
			if (&Runner{}).Same(stateOf(t, before), stateOf(t, fieldsOf(object(t, tt.patch), apply(t, now, object(t, tt.patch))))) {
				t.Error("what the patch did counts as what was there before")
			}
		})
	}
}

func stateOf(t *testing.T, fields []field) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(state{true, fields})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMerge(t *testing.T) {
	t.Parallel()
	a := object(t, `{"kind":"D","spec":{"containers":[{"name":"a","x":1}]}}`)
	b := object(t, `{"kind":"D","spec":{"containers":[{"name":"b","x":1},{"name":"a","y":2}]}}`)
	got, err := merge(a, b, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object(t, `{"kind":"D","spec":{"containers":[{"name":"a","x":1,"y":2},{"name":"b","x":1}]}}`), got); diff != "" {
		t.Error(diff)
	}
	if _, err := merge(a, object(t, `{"kind":"E"}`), ""); err == nil {
		t.Error("two kinds are one patch")
	}
}

func FuzzFields(f *testing.F) {
	f.Add(`{"a":[{"name":"x","b":1}]}`, `{"a":[{"name":"x","b":2,"c":{}}]}`)
	f.Add(`{}`, `{"a":{"b":{"c":[]}}}`)
	f.Fuzz(func(t *testing.T, o, p string) {
		var object, patch any
		if decode([]byte(o), &object) != nil || decode([]byte(p), &patch) != nil {
			return
		}
		om, ok1 := object.(map[string]any)
		pm, ok2 := patch.(map[string]any)
		if !ok1 || !ok2 {
			return
		}
		for _, x := range fieldsOf(pm, om) {
			if len(x.Path) > 0 {
				_ = x.restore(om)
			}
		}
		_, _ = merge(om, pm, "")
		_ = t
	})
}
