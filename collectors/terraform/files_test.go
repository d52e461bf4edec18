package terraform_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state := func(name string) string {
		return `{"version":4,"serial":1,"lineage":"l","resources":[{"mode":"managed","type":"x_y","name":"` + name + `","instances":[{"attributes":{}}]}]}`
	}
	for name, content := range map[string]string{
		"envs/a/terraform.tfstate":        state("a"),
		"envs/b/terraform.tfstate":        state("b"),
		"envs/b/terraform.tfstate.backup": state("old"),
		"envs/b/.terraform/c.tfstate":     `{"version":3,"backend":{}}`,
		"envs/plan.json":                  `{"format_version":"1.2","planned_values":{}}`,
		"envs/package.json":               `{"name":"x","version":"1.0.0"}`,
		"envs/main.tf":                    `terraform {}`,
		"odd[name].tfstate":               state("odd"),
		"other.bin":                       state("other"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		files []string
		calls []string // operations
		names []string
	}{
		"one, by content and not by name":  {[]string{"other.bin"}, []string{"read other.bin"}, []string{"other"}},
		"a pattern":                        {[]string{"envs/*/terraform.tfstate"}, []string{"read a/terraform.tfstate", "read b/terraform.tfstate"}, []string{"a", "b"}},
		"a path that looks like a pattern": {[]string{"odd[name].tfstate"}, []string{"read odd[name].tfstate"}, []string{"odd"}},
		"a directory":                      {[]string{"envs"}, []string{"read a/terraform.tfstate", "read b/terraform.tfstate", "read plan.json"}, []string{"a", "b"}},
		"named twice":                      {[]string{"envs/a/terraform.tfstate", "envs/*/terraform.tfstate", "envs/a/../a/terraform.tfstate"}, []string{"read a/terraform.tfstate", "read b/terraform.tfstate"}, []string{"a", "b"}},
		"from two folders":                 {[]string{"other.bin", "envs/b/terraform.tfstate"}, []string{"read envs/b/terraform.tfstate", "read other.bin"}, []string{"b", "other"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var files []string
			for _, f := range tt.files {
				files = append(files, dir+"/"+f)
			}
			w, col := collect(t, terraform.Config{Files: files})
			var calls, names []string
			for _, c := range col.Calls {
				calls = append(calls, c.Operation)
			}
			for _, r := range w.Resources {
				names = append(names, r.Name)
			}
			slices.Sort(calls)
			slices.Sort(names)
			if diff := cmp.Diff(tt.calls, calls); diff != "" {
				t.Errorf("calls differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("names differ (-want +got):\n%s", diff)
			}
			if !col.Exhaustive || strings.Contains(strings.Join(calls, " "), dir) {
				t.Errorf("exhaustive = %v, calls %v", col.Exhaustive, calls)
			}
		})
	}
}

func TestBasisNamesAFewFiles(t *testing.T) {
	t.Parallel()
	var inputs []terraform.Input
	for i := range 5 {
		in := stateOf(`{"mode":"managed","type":"x_y","name":"n` + strconv.Itoa(i) + `","instances":[{"attributes":{}}]}`)
		in.Path = strconv.Itoa(i) + ".tfstate"
		inputs = append(inputs, in)
	}
	_, col := collect(t, terraform.Config{Inputs: inputs})
	if b := col.Types[0].Basis; col.Types[0].Listed != 5 || !strings.Contains(b, "2.tfstate") || !strings.HasSuffix(b, "2 more files") {
		t.Errorf("types are %+v", col.Types)
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		head string
		want bool
	}{
		"state":             {`{"version":4,"terraform_version":"1.11.4","serial":1`, true},
		"state, sorted":     {`{"check_results":null,"lineage":"l","outputs":{"a":`, true},
		"shown":             {`{"format_version":"1.0","terraform_version":"1.11.4","values":{"ou`, true},
		"plan":              {`{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{`, true},
		"plan, sorted":      {`{"applyable":true,"complete":true,"configuration":{`, true},
		"plan with a mark":  {"\xef\xbb\xbf{\"format_version\":\"1.2\"", true},
		"saved plan":        {"PK\x03\x04", true},
		"plan log":          {`{"@level":"info","@message":"x"}`, true},
		"encrypted":         {`{"meta":{},"encrypted_data":"x","encryption_version":"v0"}`, true},
		"HCL":               {"# c\n\nmodule \"a\" {\n", true},
		"manifest":          {`{"apiVersion":"v1","kind":"List","items":[`, false},
		"manifest, sorted":  {`{"items":[],"kind":"List"`, false},
		"YAML":              {"apiVersion: v1\nkind: Pod\n", false},
		"HCL in a manifest": {"kind: ConfigMap\ndata:\n  main.tf: |\n    resource \"a\" \"b\" {\n", false},
		"package":           {`{"name":"x","version":"1.0.0"}`, false},
		"nothing":           {"", false},
		"text":              {"hello", false},
		"plan in UTF-16":    {"\xff\xfe{\x00\"\x00f\x00o\x00r\x00m\x00a\x00t\x00_\x00v\x00e\x00r\x00s\x00i\x00o\x00n\x00\"\x00:\x00", true},
		"text in UTF-16":    {"\xff\xfeh\x00i\x00", false},
		"gzip":              {"\x1f\x8b", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := terraform.Looks([]byte(tt.head)); got != tt.want {
				t.Errorf("Looks() = %v, want %v", got, tt.want)
			}
		})
	}
}

// generator is a state of many instances that is never whole in memory.
type generator struct {
	left    int
	pending []byte
}

func (g *generator) Read(p []byte) (int, error) {
	if len(g.pending) == 0 {
		if g.left == 0 {
			return 0, io.EOF
		}
		g.left--
		g.pending = fmt.Appendf(nil, `{"index_key":%d,"attributes":{"pad":%q}},`, g.left, pad)
		if g.left == 0 {
			g.pending = append(g.pending[:len(g.pending)-1], "]}]}"...)
		}
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

func (g *generator) Close() error { return nil }

var pad = strings.Repeat("p", 4000)

// meter samples the heap while documents pass.
type meter struct {
	n    int
	peak uint64
}

func (m *meter) Write(audit.Resource) error {
	if m.n++; m.n%2000 == 0 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		m.peak = max(m.peak, s.HeapAlloc)
	}
	return nil
}

// A block of 8,000 instances, 32 MB, is read in a few. The test runs alone, so that the heap is its own.
func TestMemoryIsBounded(t *testing.T) {
	in := terraform.Input{Path: "large.tfstate", Open: func() (io.ReadCloser, error) {
		return &generator{left: 8_000, pending: []byte(`{"version":4,"lineage":"l","resources":[{"mode":"managed","type":"x_y","name":"n","instances":[`)}, nil
	}}
	var m meter
	c := collector(t, terraform.Config{Inputs: []terraform.Input{in}})
	if _, err := c.Collect(t.Context(), audit.Request{}, &m); err != nil {
		t.Fatal(err)
	}
	if m.n != 8_000 || m.peak > 16<<20 {
		t.Errorf("%d instances, %d MiB of heap at most, want 8000 and at most 16", m.n, m.peak>>20)
	}
}

func TestLinksInADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/d", 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"whole.tfstate": "../kept", "broken.tfstate": "../gone"} {
		if err := os.Symlink(target, dir+"/d/"+link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/kept", []byte(`{"version":4,"lineage":"l","resources":[{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":{}}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w, col := collect(t, terraform.Config{Files: []string{dir + "/d"}})
	want := []audit.Gap{{Origin: "terraform/test", Type: audit.AllTypes, Code: audit.Failed, Operation: "read broken.tfstate"}}
	if diff := cmp.Diff(want, col.Gaps); diff != "" || len(w.Resources) != 1 {
		t.Errorf("%d resources, gaps differ (-want +got):\n%s", len(w.Resources), diff)
	}
}
