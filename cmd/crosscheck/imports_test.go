package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/crosscheck-dev/crosscheck/"

// allowed says which packages of ours a package may import, beside its own
// parents. A folder stands for all packages below it.
var allowed = map[string][]string{
	"audit":      {},
	"configs":    {},
	"policies":   {"audit"},
	"evaluate":   {"audit", "policies", "evaluate/vm", "evaluate/lookup", "evaluate/plan"},
	"collectors": {"audit", "configs"},
	"report":     {"audit", "configs"},
	"evidence":   {"audit", "configs"},
	"remediate":  {"audit", "configs"},
	"web":        {"audit", "configs"},
	"testdata":   {},
	"cmd":        {"audit", "configs", "policies", "evaluate", "collectors", "report", "evidence", "remediate", "web", "testdata"},
}

// TestImports holds the layers apart: siblings never meet, and only cmd knows all.
func TestImports(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := path.Dir(filepath.ToSlash(rel))
		if f.Name.Name == "main" {
			from = "cmd/" + from // also the programs that make test data
		}
		for _, spec := range f.Imports {
			full, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if to, ours := strings.CutPrefix(full, module); ours && !mayImport(from, to) {
				t.Errorf("%s imports %s", rel, to)
			}
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func mayImport(from, to string) bool {
	top, _, _ := strings.Cut(from, "/")
	for parent := from; parent != "."; parent = path.Dir(parent) {
		if to == parent && to != from {
			return true
		}
	}
	below, _, _ := strings.Cut(to, "/")
	if top == "cmd" {
		return slices.Contains(allowed[top], below)
	}
	return slices.Contains(allowed[top], to)
}

func TestMayImport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from, to string
		want     bool
	}{
		"collector to vocabulary": {"collectors/aws", "audit", true},
		"collector to sibling":    {"collectors/aws", "collectors/netbox", false},
		"child to parent":         {"evidence/ledger", "evidence", true},
		"parent to child":         {"evidence", "evidence/ledger", false},
		"evidence to engine":      {"evidence", "evaluate", false},
		"engine to library":       {"evaluate", "policies", true},
		"engine to its machine":   {"evaluate", "evaluate/vm", true},
		"library to engine":       {"policies", "evaluate", false},
		"vocabulary to anything":  {"audit", "configs", false},
		"suites to vocabulary":    {"audit/audittest", "audit", true},
		"command to all":          {"cmd/crosscheck", "evidence/ledger", true},
		"unknown folder":          {"extras", "audit", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mayImport(tt.from, tt.to); got != tt.want {
				t.Errorf("mayImport(%s, %s) = %v, want %v", tt.from, tt.to, got, tt.want)
			}
		})
	}
}
