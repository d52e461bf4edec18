// Package estate is the recorded estate of an invented company, Nordhafen
// Logistik, with defects planted in it: what the demo and the tests audit
// without a network. `make estate` records it anew from real servers.
package estate

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed recorded DEFECTS.md
var files embed.FS

// Recorded is the recording: its root holds snapshots.json, as collectors/recorded wants it.
func Recorded() (fs.FS, error) { return fs.Sub(files, "recorded") }

// The outcomes that DEFECTS.md tells.
const (
	Fails    = "fail"
	Passes   = "pass"
	Excluded = "excluded"
)

// Expectation is one row of DEFECTS.md: how one control judges one resource.
type Expectation struct {
	Outcome string // Fails, Passes or Excluded
	Planted bool   // not a defect that the recorded NetBox already had
	Control string
	Origin  string
	Type    string
	Name    string // as Name gives it
	What    string // why, for a person
}

// Key names the decision that is expected. Resources that share a name share a key.
func (e Expectation) Key() string { return Key(e.Control, e.Origin, e.Type, e.Name) }

// Key names a decision without generated ids.
func Key(control, origin, typ, name string) string {
	return strings.Join([]string{control, origin, typ, name}, " ")
}

// Name is the stable name of a resource: of Kubernetes and Terraform what
// follows origin and type in its id, else its document's name.
func Name(id, origin, typ, name string) string {
	if strings.HasPrefix(origin, "kubernetes/") || strings.HasPrefix(origin, "terraform/") {
		return strings.TrimPrefix(id, origin+"/"+typ+"/")
	}
	return name
}

// Expectations reads DEFECTS.md. What fails and is not in it is a mistake of
// the estate, a collector or a control; so is what is in it and does not.
func Expectations() ([]Expectation, error) {
	b, err := files.ReadFile("DEFECTS.md")
	if err != nil {
		return nil, err
	}
	out, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("DEFECTS.md: %w", err)
	}
	return out, nil
}

func parse(b []byte) ([]Expectation, error) {
	sections := map[string]Expectation{
		"## Planted":                {Outcome: Fails, Planted: true},
		"## In the recorded NetBox": {Outcome: Fails},
		"## Near misses":            {Outcome: Passes, Planted: true},
		"## Excluded":               {Outcome: Excluded, Planted: true},
	}
	var out []Expectation
	var section Expectation
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.HasPrefix(line, "## ") {
			var ok bool
			if section, ok = sections[line]; !ok {
				return nil, fmt.Errorf("line %d: unknown section %q", n, line)
			}
			delete(sections, line)
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Control ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 5 || section.Outcome == "" || slices.Contains(cells, "") {
			return nil, fmt.Errorf("line %d: want control, origin, type, name and what, below a section", n)
		}
		e := section
		e.Control, e.What = cells[0], cells[4]
		for i, into := range []*string{&e.Origin, &e.Type, &e.Name} {
			*into = strings.Trim(cells[i+1], "`")
		}
		out = append(out, e)
	}
	if len(sections) > 0 {
		return nil, fmt.Errorf("%d of the sections are missing", len(sections))
	}
	return out, lines.Err()
}
