package evaluate

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// document is one resource as the engine sees it.
type document struct {
	head   audit.Head
	digest string // of the line
	value  ast.Value
}

func parseDocument(line []byte) (document, error) {
	head, err := audit.ParseHead(line)
	if err != nil {
		return document{}, err
	}
	v, err := ast.ValueFromReader(bytes.NewReader(line))
	if err != nil {
		return document{}, fmt.Errorf("resource %s: %w", head.ID, err)
	}
	return document{head: head, digest: audit.Digest(line), value: v}, nil
}

// holes are the pointers where the document does not say what the source says.
func (d document) holes() map[string]string {
	if len(d.head.Gaps)+len(d.head.Redacted) == 0 {
		return nil
	}
	out := maps.Clone(d.head.Gaps)
	if out == nil {
		out = map[string]string{}
	}
	for _, p := range d.head.Redacted {
		if out[p] == "" {
			out[p] = "redacted"
		}
	}
	return out
}

func (d document) gapped() []string { return slices.Sorted(maps.Keys(d.head.Gaps)) }
