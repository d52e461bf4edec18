package evidence

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// maxModules bounds what is read of a library, in bytes unpacked.
const maxModules = 64 << 20

// module is one Rego file of the library, as the rules import it.
type module struct {
	path    string
	digest  string
	size    int
	name    string // package
	imports []string
}

var (
	packageClause = regexp.MustCompile(`(?m)^package[ \t]+([A-Za-z0-9_.]+)`)
	importClause  = regexp.MustCompile(`(?m)^import[ \t]+data\.([A-Za-z0-9_.]+)`)
)

// readModules lists the Rego of a library, tests left out, in order of path.
func readModules(r io.Reader) ([]module, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%s is not a gzip file: %w", libraryFile, err)
	}
	limited := &io.LimitedReader{R: z, N: maxModules}
	var out []module
	for t := tar.NewReader(limited); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read, or is larger than %d bytes unpacked: %w", libraryFile, maxModules, err)
		}
		if !strings.HasSuffix(h.Name, ".rego") || strings.HasSuffix(h.Name, "_test.rego") {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", libraryFile, clip(h.Name), err)
		}
		m := module{path: strings.TrimPrefix(h.Name, "/"), digest: audit.Digest(b), size: len(b)}
		if p := packageClause.FindSubmatch(b); p != nil {
			m.name = string(p[1])
		}
		for _, i := range importClause.FindAllSubmatch(b, -1) {
			m.imports = append(m.imports, string(i[1]))
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(x, y module) int { return cmp.Compare(x.path, y.path) })
	return out, nil
}

// imported are the modules that a file imports, and those that these import, in order of path.
func imported(all []module, file string) []module {
	byName := map[string][]int{}
	seen := map[int]bool{}
	var next []string
	for i, m := range all {
		byName[m.name] = append(byName[m.name], i)
		if m.path == file {
			seen[i] = true
			next = m.imports
		}
	}
	var out []module
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		found, ok := byName[name]
		if !ok { // a rule of a package
			found = byName[name[:max(strings.LastIndexByte(name, '.'), 0)]]
		}
		for _, i := range found {
			if !seen[i] {
				seen[i] = true
				out = append(out, all[i])
				next = append(next, all[i].imports...)
			}
		}
	}
	slices.SortFunc(out, func(x, y module) int { return cmp.Compare(x.path, y.path) })
	return out
}

// withoutMetadata leaves out the METADATA block, which a report tells in other words.
func withoutMetadata(rego string) string {
	var b strings.Builder
	within := false
	for line := range strings.Lines(rego) {
		switch {
		case strings.TrimSpace(line) == "# METADATA":
			within = true
		case within && strings.HasPrefix(line, "#"):
		default:
			within = false
			b.WriteString(line)
		}
	}
	return strings.Trim(b.String(), "\n") + "\n"
}
