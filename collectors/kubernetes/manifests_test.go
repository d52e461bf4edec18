package kubernetes_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

const twoDocuments = `# a shop
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {owner: shop}
spec: {type: LoadBalancer, ports: [{port: 80}]}
--- # next
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
`

func TestManifests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.yaml")
	if err := os.WriteFile(path, []byte(twoDocuments), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := kubernetes.NewManifests(kubernetes.ManifestConfig{
		Files: []kubernetes.Manifest{{Path: path}, {Path: "-", Open: opener(twoDocuments)}}, Redactor: audit.NewRedactor(make([]byte, 16)),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := audittest.Collector(t, m)
	if w := got["kubernetes/"+path]; w == nil || len(w.Resources) != 2 {
		t.Errorf("origins %v, want one with two resources for %s", m.Origins(), path)
	}
	r := got["kubernetes/-"].Find(t, "kubernetes/-/v1/Service/shop/web")
	if diff := cmp.Diff(r.Tags, map[string]string{"owner": "shop"}); diff != "" {
		t.Errorf("tags (-got +want):\n%s", diff)
	}
}

func TestManifestForms(t *testing.T) {
	t.Parallel()
	cm := func(name string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, name)
	}
	tests := map[string]struct {
		text string
		want []string // native ids with their types
	}{
		"yaml":                       {twoDocuments, []string{"apps/v1/Deployment/web", "v1/Service/shop/web"}},
		"windows lines":              {strings.ReplaceAll(twoDocuments, "\n", "\r\n"), []string{"apps/v1/Deployment/web", "v1/Service/shop/web"}},
		"byte order mark":            {"\xef\xbb\xbf" + cm("a"), []string{"v1/ConfigMap/a"}},
		"empty documents":            {"---\n---\n# nothing\n---\n" + cm("a") + "\n---\n\n---\n", []string{"v1/ConfigMap/a"}},
		"null document":              {"null\n---\n" + cm("a"), []string{"v1/ConfigMap/a"}},
		"directive":                  {"%YAML 1.1\n---\n" + "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", []string{"v1/Pod/a"}},
		"end marks":                  {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n...\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n...\n", []string{"v1/Pod/a", "v1/Pod/b"}},
		"content on the separator":   {"--- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n--- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", []string{"v1/Pod/a", "v1/Pod/b"}},
		"separator within a text":    {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    x: |\n      ---\n      y\n", []string{"v1/Pod/a"}},
		"flow":                       {"{apiVersion: v1, kind: Pod, metadata: {name: a}}", []string{"v1/Pod/a"}},
		"json values":                {cm("a") + cm("b") + "\n" + cm("c"), []string{"v1/ConfigMap/a", "v1/ConfigMap/b", "v1/ConfigMap/c"}},
		"json documents":             {cm("a") + "\n---\n" + cm("b"), []string{"v1/ConfigMap/a", "v1/ConfigMap/b"}},
		"list":                       {`{"apiVersion":"v1","items":[` + cm("a") + "," + cm("b") + `],"kind":"List"}`, []string{"v1/ConfigMap/a", "v1/ConfigMap/b"}},
		"list in yaml":               {"apiVersion: v1\nkind: List\nitems:\n- " + cm("a") + "\n", []string{"v1/ConfigMap/a"}},
		"empty list":                 {"apiVersion: v1\nkind: List\nitems:\n---\n" + cm("a"), []string{"v1/ConfigMap/a"}},
		"list of one kind":           {`{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a","namespace":"n"}}]}`, []string{"v1/Pod/n/a"}},
		"list in a list":             {`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"List","items":[` + cm("a") + `]}]}`, []string{"v1/ConfigMap/a"}},
		"generated names":            {"apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: go-}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {generateName: go-, namespace: ci}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {generateName: go-}\n", []string{"batch/v1/Job/ci/go-", "batch/v1/Job/go-", "batch/v1/Job/go-#2"}},
		"anchors":                    {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: &l {x: y}\nspec: {a: *l, b: {<<: *l, z: w}}\n", []string{"v1/Pod/a"}},
		"last line without its end ": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}", []string{"v1/Pod/a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, err := collect(t, manifests(t, tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range w.Resources {
				got = append(got, strings.TrimPrefix(r.ID, "kubernetes/deploy/app.yaml/"))
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("resources (-got +want):\n%s", diff)
			}
		})
	}
}

// What YAML means is what it means to kubectl: otherwise a gate would judge
// another object than the cluster gets.
func TestYAMLMeansWhatKubectlTakesItFor(t *testing.T) {
	t.Parallel()
	w, _, err := collect(t, manifests(t, `apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {hostNetwork: yes, hostPID: on, quoted: "yes", off: off, mode: 0644, hex: 0x1f, ratio: 1.50, big: 18446744073709551615, none: ~, date: 2026-11-21, 8080: port, true: x, text: "1"}
`))
	if err != nil {
		t.Fatal(err)
	}
	line, err := w.Resources[0].Line()
	if err != nil {
		t.Fatal(err)
	}
	const want = `"spec":{"8080":"port","big":18446744073709551615,"date":"2026-11-21","false":false,"hex":31,"hostNetwork":true,"hostPID":true,"mode":420,"none":null,"quoted":"yes","ratio":1.5,"text":"1","true":"x"}`
	if !strings.Contains(string(line), want) {
		t.Errorf("got %s\nwant it to hold %s", line, want)
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	t.Parallel()
	const good = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\n---\n"
	tests := map[string]struct{ text, want string }{
		"empty":                  {"", "holds no Kubernetes object"},
		"only comments":          {"# hello\n---\n", "holds no Kubernetes object"},
		"a scalar":               {good + "hello", "document 2, from line 5: is not an object"},
		"a list":                 {good + "- a\n- b", "document 2, from line 5: is not an object"},
		"no kind":                {good + "apiVersion: v1\nmetadata: {name: a}", "document 2, from line 5: kind is missing"},
		"no apiVersion":          {good + "kind: Pod\nmetadata: {name: a}", "apiVersion of \"Pod\" is missing"},
		"something else":         {good + "version: 3\nservices: {}", "apiVersion and kind are missing"},
		"wrong apiVersion":       {"apiVersion: a/b/c\nkind: Pod\nmetadata: {name: a}", "apiVersion \"a/b/c\""},
		"wrong kind":             {"apiVersion: v1\nkind: \"Pod\\e[2J\"\nmetadata: {name: a}", "is not one word"},
		"no metadata":            {good + "apiVersion: v1\nkind: Pod", "Pod: metadata is missing"},
		"no name":                {good + "apiVersion: v1\nkind: Pod\nmetadata: {}", "Pod: metadata.name is missing"},
		"name is a number":       {"apiVersion: v1\nkind: Pod\nmetadata: {name: 1}", "put it in quotes"},
		"name is a path":         {"apiVersion: v1\nkind: Pod\nmetadata: {name: a/b}", "no cluster accepts"},
		"namespace is a list":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: []}", "metadata.namespace is not a string"},
		"the same twice":         {good + good, "document 2, from line 5: Pod \"good\" is in document 1 already"},
		"kustomization":          {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []", "kubectl kustomize"},
		"template":               {good + "apiVersion: v1\nkind: {{ .Values.kind }}\n", "helm template"},
		"bad yaml":               {good + "a: b\n c: d\n", "document 2, from line 5: is not YAML: line 6"},
		"key twice":              {good + "apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a}", "line 7: key \"kind\" already set in map"},
		"key twice, many":        {strings.Repeat("a: b\n", 5000), "and 49"},
		"key twice, two types":   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {1: a, \"1\": b}", "has the key \"1\" twice"},
		"key twice in json":      {`{"apiVersion":"v1","kind":"Pod","kind":"Pod","metadata":{"name":"a"}}`, "has the key \"kind\" twice"},
		"key is a map":           {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {~: a}", "keys are strings"},
		"infinity":               {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {a: .inf}", "infinity"},
		"json cut off":           {`{"apiVersion":"v1","kind":"Pod","metadata":{"na`, "cut off"},
		"bad json":               {"{\"apiVersion\":\"v1\",\n\"kind\":\"Pod\",\n\"metadata\":{\"name\":\"a\"},}", "is not JSON: line 3"},
		"not text":               {"apiVersion: v1\nkind: \xff\n", "UTF-8"},
		"zero bytes":             {"apiVersion: v1\nkind: a\x00b\n", "UTF-8"},
		"item without a kind":    {`{"apiVersion":"v1","kind":"List","items":[{"metadata":{"name":"a"}}]}`, "item 1: apiVersion and kind are missing"},
		"item is null":           {`{"apiVersion":"v1","kind":"List","items":[null]}`, "item 1: is null"},
		"items is a map":         {`{"apiVersion":"v1","kind":"List","items":{}}`, "no list of objects"},
		"lists in lists":         {strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 6) + strings.Repeat(`]}`, 6), "too deep in other lists"},
		"alias bomb":             {bomb(), "alias"},
		"alias of itself":        {"a: &a [*a]", "contains itself"},
		"unknown alias":          {"a: *a", "unknown anchor"},
		"nested deep":            {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "deeper than 200"},
		"nested deeper":          {"a: " + strings.Repeat("[", 1_000_000), "max depth"},
		"nested deep in json":    {strings.Repeat(`{"a":`, 1_000_000), "deeper than 200"},
		"long aliases":           {"a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 90) + "*a]", "when its aliases are written out"},
		"huge yaml":              {"a: " + strings.Repeat("x", 5<<20), "document 1: is over 4 MiB"},
		"huge yaml of lines":     {good + strings.Repeat("a: b\n", 1<<20), "document 2: is over 4 MiB"},
		"huge json":              {`{"a":"` + strings.Repeat("x", 33<<20), "document 1: is over 32 MiB"},
		"many values":            {`{"a":[` + strings.Repeat("1,", 2_500_000) + `1]}`, "more than 2000000 values"},
		"many wrong documents":   {strings.Repeat("a: b\n---\n", 100_000), "document 10, from line 19"},
		"bad document, then not": {"a: b\n---\n" + good, "document 1, from line 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, err := collect(t, manifests(t, tt.text))
			var se *audit.SourceError
			switch {
			case err == nil:
				t.Fatalf("Collect() succeeded, want an error with %q", tt.want)
			case !errors.As(err, &se) || se.Code != audit.Failed || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "deploy/app.yaml: "):
				t.Errorf("Collect() = %.600v, want an error of deploy/app.yaml with %q", err, tt.want)
			case len(err.Error()) > 2000:
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
			if strings.Contains(tt.text, "name: good") && len(w.Resources) != 1 {
				t.Errorf("%d resources, want the good one", len(w.Resources))
			}
		})
	}
}

// bomb stands for 10^9 strings in a few hundred bytes.
func bomb() string {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		text += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	return text
}

// A hostile file costs bounded memory, however large it is.
func TestManifestMemory(t *testing.T) {
	line := strings.Repeat("x", 1<<20)
	endless := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("apiVersion: "), &repeat{text: line, left: 200})), nil
	}
	m, err := kubernetes.NewManifests(kubernetes.ManifestConfig{Files: []kubernetes.Manifest{{Path: "big.yaml", Open: endless}}, Redactor: audit.NewRedactor(make([]byte, 16))})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	started := time.Now()
	_, _, err = collect(t, m)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "big.yaml: document 1: is over 4 MiB") {
		t.Errorf("Collect() = %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 || time.Since(started) > 10*time.Second {
		t.Errorf("200 MB were refused after %d MiB and %s", used>>20, time.Since(started))
	}
}

// repeat gives a text again and again.
type repeat struct {
	text string
	left int
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	if r.at += n; r.at == len(r.text) {
		r.at = 0
		r.left--
	}
	return n, nil
}

func TestManifestFiles(t *testing.T) {
	t.Parallel()
	redactor := audit.NewRedactor(make([]byte, 16))
	for name, cfg := range map[string]kubernetes.ManifestConfig{
		"no files":    {Redactor: redactor},
		"no redactor": {Files: []kubernetes.Manifest{{Path: "a"}}},
		"no path":     {Files: []kubernetes.Manifest{{}}, Redactor: redactor},
		"twice":       {Files: []kubernetes.Manifest{{Path: "a"}, {Path: "a"}}, Redactor: redactor},
	} {
		if _, err := kubernetes.NewManifests(cfg); err == nil {
			t.Errorf("%s: NewManifests() succeeded", name)
		}
	}
	m, err := kubernetes.NewManifests(kubernetes.ManifestConfig{Files: []kubernetes.Manifest{{Path: "nowhere/a\nb.yaml"}}, Redactor: redactor})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Origins()[0], `kubernetes/"nowhere/a\nb.yaml"`; got != want {
		t.Errorf("origin %q, want %q", got, want)
	}
	if _, _, err := collect(t, m); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Collect() of no file = %v", err)
	}
	full := &audit.StorageError{Doing: "spilling", Err: errors.New("no space left on device")}
	pod := manifests(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")
	if _, err := pod.Collect(t.Context(), audit.Request{Origin: pod.Origins()[0]}, &fullDisk{err: full}); !errors.Is(err, full) {
		t.Errorf("Collect() onto a full disk = %v, want %v", err, full)
	}
	if _, err := pod.Collect(t.Context(), audit.Request{Origin: "kubernetes/other"}, &fullDisk{}); err == nil {
		t.Error("Collect() of another origin succeeded")
	}
}

func TestLooksLikeManifest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want bool
	}{
		"yaml":                {twoDocuments, true},
		"beginning of yaml":   {twoDocuments[:60], true},
		"json":                {`{"apiVersion":"v1","kind":"Pod","metadata":{"na`, true},
		"json, items first":   {`{"apiVersion":"v1","items":[{}],"kind":"List"}`, true},
		"flow yaml":           {"{apiVersion: v1, kind: Pod}", true},
		"quoted keys":         {"\"apiVersion\": v1\n'kind': Pod\n", true},
		"kind is missing":     {"apiVersion: v1\nmetadata:\n  name: a\n", true},
		"terraform plan":      {`{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{"kind":"x","apiVersion":"y"}}`, false},
		"terraform state":     {`{"version":4,"terraform_version":"1.11.4","resources":[{"kind":"x","apiVersion":"v1"}]}`, false},
		"state of kubernetes": {`{"version": 4, "resources": [{"attributes": {"manifest": {"apiVersion": "v1", "kind": "Pod", "spec": {}}}}]}`, false},
		"compose":             {"version: '3'\nservices:\n  web:\n    kind: x\n    apiVersion: y\n", false},
		"helm chart":          {"apiVersion: v2\nname: shop\nversion: 1.0.0\n", false},
		"values":              {"replicas: 2\nspec: x\n", false},
		"empty":               {"", false},
		"text":                {"hello", false},
		"empty object":        {"{}", false},
		"binary":              {"\x00\x01", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := kubernetes.LooksLikeManifest([]byte(tt.text)); got != tt.want {
				t.Errorf("LooksLikeManifest() = %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzManifests(f *testing.F) {
	for _, text := range []string{
		twoDocuments, "", "---\n--- #\n", "%YAML 1.1\n---\na: b", bomb(), "{a: b}\n", `{"a":1}{"a":2}`, "a: &a [*a]", "? {a: b}\n: c", "\xef\xbb\xbf{}",
		`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]}`, "a: !!binary AA==\nb: !!timestamp 2026-11-21\nc: !!float 1\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		kubernetes.LooksLikeManifest(text)
		w, col, err := collect(t, manifests(t, string(text)))
		var se *audit.SourceError
		if err != nil && !errors.As(err, &se) {
			t.Fatalf("Collect() = %v, want an error of the source", err)
		}
		if err == nil && len(w.Resources) == 0 {
			t.Fatal("nothing was read, and nothing said so")
		}
		var listed int64
		for _, tc := range col.Types {
			listed += tc.Listed
		}
		if listed != int64(len(w.Resources)) {
			t.Fatalf("%d listed, %d documents", listed, len(w.Resources))
		}
		for i, line := range w.Lines {
			if _, err := audit.ParseResource(line); err != nil {
				t.Fatalf("document %d: %v", i, err)
			}
		}
	})
}
