package web_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/crosscheck-dev/crosscheck/web"
)

// openAPI is the document.
var openAPI = sync.OnceValue(func() map[string]any {
	b, err := web.Document()
	if err != nil {
		panic(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		panic(err)
	}
	return v.(map[string]any)
})

// at follows keys, and references.
func at(v any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ := resolve(v)
		v = m[k]
	}
	m, _ := resolve(v)
	return m
}

func resolve(v any) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if ref, is := m["$ref"].(string); is {
		return at(openAPI(), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), true
	}
	return m, ok
}

// conforms holds an answer against what the document says of its route.
func conforms(t *testing.T, route string, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	problem := map[string]any{"$ref": "#/components/schemas/Problem"}
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	method, path, known := strings.Cut(route, " ")
	if !known { // no route of the table
		if w.Code < 400 {
			t.Errorf("%s %s: %d without a route", r.Method, r.URL, w.Code)
		}
		validate(t, problem, w.Body.Bytes())
		return
	}
	op := at(openAPI(), "paths", path, strings.ToLower(method))
	response := at(op, "responses", strconv.Itoa(w.Code))
	if response == nil {
		if response = at(op, "responses", "default"); w.Code < 400 {
			t.Errorf("%s: the document has no %d", route, w.Code)
			return
		}
	}
	content, _ := response["content"].(map[string]any)
	media, ok := content[kind]
	if w.Body.Len() > 0 && r.Method != http.MethodHead && !ok {
		t.Errorf("%s: %d is %q: the document says %v", route, w.Code, kind, content)
		return
	}
	if schema, ok := at(media)["schema"]; ok && strings.HasSuffix(kind, "json") && r.Method != http.MethodHead {
		validate(t, schema, w.Body.Bytes())
	}
	if h := w.Header(); h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s: headers %v", route, h)
	}
}

func validate(t *testing.T, schema any, body []byte) {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	root := map[string]any{"components": openAPI()["components"], "allOf": []any{schema}}
	if err := c.AddResource("mem://answer", root); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("mem://answer")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = compiled.Validate(v)
	}
	if err != nil {
		t.Errorf("%s: %v", body, err)
	}
}

// TestDocumentHasEveryRoute walks the table and the document both ways.
func TestDocumentHasEveryRoute(t *testing.T) {
	t.Parallel()
	params := regexp.MustCompile(`\{(\w+)\}`)
	described, ids := map[string]bool{}, map[any]bool{}
	for path, item := range openAPI()["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
			id := at(op)["operationId"]
			if id == nil || ids[id] {
				t.Errorf("%s %s: operationId %v is missing or given twice", method, path, id)
			}
			ids[id] = true
		}
	}
	for _, rt := range web.RouteTable() {
		name := rt[0] + " " + rt[1]
		if !described[name] {
			t.Errorf("%s is not in the document", name)
		}
		delete(described, name)
		op := at(openAPI(), "paths", rt[1], strings.ToLower(rt[0]))
		_, open := op["security"]
		role, _ := op["x-role"].(string)
		switch web.Role(rt[2]) {
		case "", "signed":
			if !open || role != "" {
				t.Errorf("%s needs no token, and the document says otherwise", name)
			}
		case "scraper":
			if open || !strings.HasPrefix(role, "viewer") {
				t.Errorf("%s: the document says x-role %q", name, role)
			}
		default:
			if open || role != rt[2] {
				t.Errorf("%s needs %s: the document says x-role %q", name, rt[2], role)
			}
		}
		var want []string
		for _, m := range params.FindAllStringSubmatch(rt[1], -1) {
			want = append(want, m[1])
		}
		if diff := cmp.Diff(parameters(op, "path"), want); diff != "" {
			t.Errorf("%s: parameters of the path (-document +table):\n%s", name, diff)
		}
	}
	for name := range described {
		t.Errorf("%s is in the document, and not in the table", name)
	}
}

func parameters(op map[string]any, in string) (out []string) {
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		if m := at(p); m["in"] == in {
			out = append(out, m["name"].(string))
		}
	}
	slices.Sort(out)
	return out
}

// TestDocumentHasEveryParameter asks each handler which parameters it knows.
func TestDocumentHasEveryParameter(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, rt := range web.RouteTable() {
		if rt[0] != http.MethodGet || strings.HasSuffix(rt[1], "z") || rt[1] == "/metrics" {
			continue
		}
		w := s.as(roleFor(rt[2]), rt[0], fill(rt[1])+"?zzz=1", "")
		_, known, _ := strings.Cut(decode[web.Problem](t, w).Detail, "is not known: expected ")
		var got []string
		if known != "none" {
			got = strings.Split(known, ", ")
		}
		if diff := cmp.Diff(parameters(at(openAPI(), "paths", rt[1], "get"), "query"), got); w.Code != http.StatusBadRequest || diff != "" {
			t.Errorf("%s: %d, parameters (-document +handler):\n%s", rt[1], w.Code, diff)
		}
	}
}

// TestDocumentIsOpenAPI holds the few rules that clients rest on: references
// lead somewhere, and what is required is described.
func TestDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	if v := openAPI()["openapi"]; v != "3.1.0" {
		t.Errorf("openapi: %v", v)
	}
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && at(openAPI(), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
				t.Errorf("%s: %s leads nowhere", where, ref)
			}
			required, _ := v["required"].([]any)
			properties, described := v["properties"].(map[string]any)
			for _, name := range required {
				if _, ok := properties[name.(string)]; described && !ok {
					t.Errorf("%s: %v is required, and not described", where, name)
				}
			}
			for k, x := range v {
				walk(where+"/"+k, x)
			}
		case []any:
			for i, x := range v {
				walk(where+"/"+strconv.Itoa(i), x)
			}
		}
	}
	walk("", openAPI())
}

// fill puts something that is there into a path.
func fill(path string) string {
	path = strings.NewReplacer("controls/{id}", "controls/STO-001", "jobs/{id}", "jobs/none", "decisions/{id}", "decisions/"+decID, "{run}", runID, "{id}", runID).Replace(path)
	return path
}

func roleFor(role string) web.Role {
	switch role {
	case "", "signed", "scraper":
		return web.Viewer
	}
	return web.Role(role)
}
