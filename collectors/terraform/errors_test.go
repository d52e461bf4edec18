package terraform_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

func TestBadFiles(t *testing.T) {
	t.Parallel()
	state, err := os.ReadFile("testdata/state.tfstate")
	if err != nil {
		t.Fatal(err)
	}
	block := `{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":{}}]}`
	open := func(in terraform.Input) string {
		r, _ := in.Open()
		b, _ := io.ReadAll(r)
		return string(b)
	}
	tests := map[string]struct {
		content string
		want    []string // parts of the error
	}{
		"cut off":               {string(state[:20000]), []string{"cut off", "ends at byte 20000", "fetch it again"}},
		"cut off in a string":   {`{"version":4,"linea`, []string{"cut off", "byte 19"}},
		"encrypted":             {`{"serial":1,"lineage":"l","meta":{"key_provider.pbkdf2.a":"e30="},"encrypted_data":"AAAA","encryption_version":"v0"}`, []string{"OpenTofu has encrypted", "tofu show -json"}},
		"state version 3":       {`{"version":3,"terraform_version":"0.11.14","serial":1,"lineage":"l","modules":[]}`, []string{`version "3"`, "supported is 4", "rewrite it"}},
		"shown version 2":       {`{"format_version":"2.0","values":{}}`, []string{`format_version "2.0"`, "0.x and 1.x"}},
		"plan version 7":        {`{"format_version":"7.1","planned_values":{},"resource_changes":[]}`, []string{`format_version "7.1"`, "0.x and 1.x"}},
		"plan without version":  {`{"planned_values":{},"resource_changes":[]}`, []string{`format_version ""`}},
		"plan that ended badly": {`{"format_version":"1.2","planned_values":{},"errored":true}`, []string{"ended in an error", "plan again"}},
		"refresh-only plan":     {`{"format_version":"1.2","planned_values":{"root_module":{}},"prior_state":{"values":{"root_module":{"resources":[{"address":"x_y.n","mode":"managed","type":"x_y","name":"n","values":{}}]}}}}`, []string{"-refresh-only", "or give the state"}},
		"saved plan":            {"PK\x03\x04\x14\x00\x08\x00", []string{"saved plan", "terraform show -json"}},
		"plan log":              {"{\"@level\":\"info\",\"@message\":\"Terraform 1.11.4\"}\n{\"@level\":\"info\"}\n", []string{"log of `terraform plan -json`", "-out=FILE"}},
		"schemas":               {`{"format_version":"1.0","provider_schemas":{}}`, []string{"provider schemas"}},
		"validated":             {`{"format_version":"1.0","valid":true,"diagnostics":[]}`, []string{"terraform validate -json"}},
		"record of a backend":   {`{"version":3,"terraform_version":"1.11.4","backend":{"type":"s3"}}`, []string{"not the state", "terraform state pull"}},
		"HCL":                   {"# a bucket\nresource \"aws_s3_bucket\" \"b\" {\n}\n", []string{"HCL source", "terraform plan -out=FILE"}},
		"YAML":                  {"apiVersion: v1\nkind: Pod\n", []string{"neither a Terraform state nor a plan"}},
		"another JSON":          {`{"apiVersion":"v1","kind":"Pod"}`, []string{"neither a Terraform state nor a plan"}},
		"an array":              {`[1]`, []string{"neither a Terraform state nor a plan"}},
		"empty":                 {" \n", []string{"empty"}},
		"gzip":                  {"\x1f\x8b\x08\x00", []string{"gzip", "gunzip"}},
		"UTF-16":                {"\xff\xfe{\x00", []string{"UTF-16", "PowerShell", "UTF-8"}},
		"not JSON":              {`{"version":4,"resources":[nope]}`, []string{"not valid JSON", "byte 26"}},
		"two documents":         {open(stateOf("")) + `{}`, []string{"something follows"}},
		"not UTF-8":             {`{"version":4,"lineage":"l","resources":[{"mode":"man` + "\xff" + `aged"}]}`, []string{"not UTF-8", "as Terraform wrote it"}},
		"a key twice":           {`{"version":4,"lineage":"l","resources":[{"mode":"managed","mode":"data"}]}`, []string{"same key twice"}},
		"a key twice, deep":     {strings.Replace(open(stateOf(block)), `{}}]`, `{"a":{"b":1,"b":2}}}]`, 1), []string{"same key twice"}},
		"deep":                  {`{"version":4,"lineage":"l","outputs":` + strings.Repeat(`[`, 1000), []string{"nested deeper than 500 levels"}},
		"deep objects":          {`{"version":4,"lineage":"l","outputs":` + strings.Repeat(`{"a":`, 1000), []string{"nested deeper than 500 levels"}},
		"resources no list":     {`{"version":4,"lineage":"l","resources":{"a":1}}`, []string{"want an array, got an object"}},
		"a resource no object":  {`{"version":4,"lineage":"l","resources":["a"]}`, []string{"want an object, got a string"}},
		"an instance no object": {strings.Replace(open(stateOf(block)), `[{"attributes":{}}]`, `[true]`, 1), []string{"want an object"}},
		"values no object":      {strings.Replace(open(stateOf(block)), `{}}]`, `"x"}]`, 1), []string{"values of a resource are string"}},
		"no name":               {strings.Replace(open(stateOf(block)), `"n"`, `""`, 1), []string{"without address or name", "as Terraform wrote it"}},
		"no type":               {strings.Replace(open(stateOf(block)), `"x_y"`, `"x/y"`, 1), []string{"type is not a name"}},
		"no mode":               {strings.Replace(open(stateOf(block)), `"managed"`, `"other"`, 1), []string{"mode is neither"}},
		"odd index":             {strings.Replace(open(stateOf(block)), `"attributes":{}`, `"index_key":[1]`, 1), []string{"instance key"}},
		"odd paths":             {strings.Replace(open(stateOf(block)), `{}}]`, `{},"sensitive_attributes":[[{"type":"shrug"}]]}]`, 1), []string{"sensitive_attributes", "shrug"}},
		"paths no list":         {strings.Replace(open(stateOf(block)), `{}}]`, `{},"sensitive_attributes":"all"}]`, 1), []string{"sensitive_attributes", "want a list"}},
		"too large":             {`{"version":4,"lineage":"` + strings.Repeat("l", 1<<16) + `"}`, []string{"larger than 40000 bytes", "raise the limit"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := collector(t, terraform.Config{Inputs: []terraform.Input{input("env/prod.json", tt.content)}, MaxBytes: 40000})
			_, err := c.Collect(t.Context(), audit.Request{Origin: "terraform/test"}, &audittest.Writer{})
			var se *audit.SourceError
			var fe *terraform.FileError
			if !errors.As(err, &se) || !errors.As(err, &fe) {
				t.Fatalf("error %v is a %T, want a SourceError of a FileError", err, err)
			}
			if se.Code != audit.Failed || se.Operation != "read prod.json" || fe.Remedy == "" {
				t.Errorf("code %s, operation %q, remedy %q", se.Code, se.Operation, fe.Remedy)
			}
			for _, part := range append(tt.want, "env/prod.json: ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(dir+"/"+name[:strings.LastIndex(name, "/")], 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("none/readme.txt", "nothing")
	write("code/main.tf", "terraform {}\n")
	write("code/.terraform/terraform.tfstate", `{"version":3,"backend":{}}`)
	denied := terraform.Input{Path: "a.tfstate", Open: func() (io.ReadCloser, error) {
		return nil, fmt.Errorf("open a.tfstate: %w", fs.ErrPermission)
	}}
	tests := map[string]struct {
		files  []string
		inputs []terraform.Input
		code   audit.GapCode
		want   string
	}{
		"missing":            {[]string{dir + "/absent.tfstate"}, nil, audit.Failed, "no such file"},
		"no match":           {[]string{dir + "/*.tfstate"}, nil, audit.Failed, "no file matches"},
		"permission denied":  {nil, []terraform.Input{denied}, audit.AccessDenied, "permission denied"},
		"empty directory":    {[]string{dir + "/none"}, nil, audit.Failed, "a directory without any state or plan"},
		"directory of HCL":   {[]string{dir + "/code"}, nil, audit.Failed, "terraform plan -out=FILE"},
		"no regular file":    {[]string{os.DevNull}, nil, audit.Failed, "not a regular file"},
		"several, one cause": {nil, []terraform.Input{denied, {Path: "b.tfstate", Open: denied.Open}}, audit.AccessDenied, "permission denied"},
		"several causes":     {[]string{dir + "/absent.tfstate"}, []terraform.Input{denied}, audit.Failed, "permission denied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := collector(t, terraform.Config{Files: tt.files, Inputs: tt.inputs})
			_, err := c.Collect(t.Context(), audit.Request{Origin: "terraform/test"}, &audittest.Writer{})
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s that says %q", err, tt.code, tt.want)
			}
		})
	}
}

func TestOneBadFileOfSeveral(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	good := stateOf(`{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":{}}]}`)
	good.Path = "envs/a/terraform.tfstate"
	bad := input("envs/b/terraform.tfstate", `{"version":4,`)
	w, col := collect(t, terraform.Config{Inputs: []terraform.Input{good, bad}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if len(w.Resources) != 1 || col.Exhaustive {
		t.Errorf("%d resources, exhaustive = %v", len(w.Resources), col.Exhaustive)
	}
	want := []audit.Gap{{Origin: "terraform/test", Type: audit.AllTypes, Code: audit.Failed, Operation: "read b/terraform.tfstate"}}
	if diff := cmp.Diff(want, col.Gaps); diff != "" {
		t.Errorf("gaps differ (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "envs/b/terraform.tfstate: cut off") {
		t.Errorf("the log does not name the file and its fault: %s", log.String())
	}
	if len(col.Calls) != 2 || col.Calls[1].Errors != 1 || col.Calls[0].Items != 1 {
		t.Errorf("calls are %+v", col.Calls)
	}
}

// TestTimed has the reading of each file timed, and no file's name among what is told.
func TestTimed(t *testing.T) {
	t.Parallel()
	good, bad := stateOf(`{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":{}}]}`), input("b/terraform.tfstate", `{"version":4,`)
	c := collector(t, terraform.Config{Inputs: []terraform.Input{good, bad}})
	_, w, err := audittest.Timed(t, c, audit.Request{Origin: c.Origins()[0]}, &audittest.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	answered, failed := w.Told()
	if diff := cmp.Diff([]map[string]int{answered, failed}, []map[string]int{{"read": 1}, {"read": 1}}); diff != "" {
		t.Errorf("answered and failed (-got +want):\n%s", diff)
	}
}

func TestOneAddressTwice(t *testing.T) {
	t.Parallel()
	block := `{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":{}}]}`
	other := stateOf(block)
	other.Path = "b.tfstate"
	for name, tt := range map[string]struct {
		inputs []terraform.Input
		label  string
	}{
		"in one file":  {[]terraform.Input{stateOf(block + "," + block)}, "a.tfstate"},
		"in two files": {[]terraform.Input{stateOf(block), other}, "b.tfstate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, col := collect(t, terraform.Config{Inputs: tt.inputs})
			want := []audit.Gap{{Origin: "terraform/test", Type: "x_y", Code: audit.Failed, Operation: "read " + tt.label}}
			if diff := cmp.Diff(want, col.Gaps); diff != "" || len(w.Resources) != 1 || col.Types[0].Listed != 1 {
				t.Errorf("%d resources, types %v, gaps differ (-want +got):\n%s", len(w.Resources), col.Types, diff)
			}
		})
	}
}

// writer fails as the pipeline's does.
type writer struct{ err error }

func (w writer) Write(audit.Resource) error { return w.err }

func TestWriterFails(t *testing.T) {
	t.Parallel()
	c := collector(t, terraform.Config{Files: []string{"testdata/state.tfstate"}})
	full := &audit.StorageError{Doing: "spilling", Err: errors.New("no space left")}
	if _, err := c.Collect(t.Context(), audit.Request{}, writer{full}); !errors.Is(err, full) {
		t.Errorf("error %v, want %v: the run cannot go on", err, full)
	}
	col, err := c.Collect(t.Context(), audit.Request{}, writer{errors.New("document too long")})
	if err != nil || len(col.Gaps) != 25 || col.Exhaustive {
		t.Errorf("error %v and gaps %v, want a gap for each resource left out", err, col.Gaps)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Collect(ctx, audit.Request{}, &audittest.Writer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestFileChangesMeanwhile(t *testing.T) {
	t.Parallel()
	opened := 0
	in := terraform.Input{Path: "a.tfstate", Open: func() (io.ReadCloser, error) {
		opened++
		return stateOf(strings.Repeat(" ", opened)).Open()
	}}
	c := collector(t, terraform.Config{Inputs: []terraform.Input{in}})
	_, err := c.Collect(t.Context(), audit.Request{}, &audittest.Writer{})
	if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("error %v, want one that says so", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	ok := terraform.Config{Name: "n", Files: []string{"a"}, Redactor: redactor, Log: audittest.Log()}
	tests := map[string]struct {
		change func(*terraform.Config)
		want   string
	}{
		"fine":         {func(*terraform.Config) {}, ""},
		"no name":      {func(c *terraform.Config) { c.Name = " " }, "name"},
		"name":         {func(c *terraform.Config) { c.Name = "a\nb" }, "name"},
		"no files":     {func(c *terraform.Config) { c.Files = nil }, "files is empty"},
		"bad pattern":  {func(c *terraform.Config) { c.Files = []string{"[a"} }, "no path and no pattern"},
		"empty path":   {func(c *terraform.Config) { c.Files = []string{""} }, "no path and no pattern"},
		"no redactor":  {func(c *terraform.Config) { c.Redactor = nil }, "redactor"},
		"no log":       {func(c *terraform.Config) { c.Log = nil }, "log"},
		"negative":     {func(c *terraform.Config) { c.MaxBytes = -1 }, "max bytes"},
		"closed input": {func(c *terraform.Config) { c.Inputs = []terraform.Input{{Path: "a"}} }, "cannot be opened"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := ok
			tt.change(&cfg)
			_, err := terraform.New(cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
