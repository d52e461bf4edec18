// Package terraform reads what Terraform and OpenTofu write: states in their
// raw format (version 4), and the output of `terraform show -json` of a state
// or of a plan. What a file is, is told by its content and not by its name.
//
// Each resource instance is one resource: <origin>/<type>/<address with index>.
// Data sources have the type "data.<type>", so that they are in no population
// of what Terraform manages. Deposed instances, which wait to be destroyed, are
// left out and counted in a notice.
//
// Of a plan the planned values are judged. What a plan deletes or forgets is
// left out and counted in a notice: it must not fail a control that it no longer
// will be under. What is known only after apply is a gap at its pointer.
// "references" says for a place in the values (a JSON pointer without its first
// slash) what the configuration refers to there, resolved to addresses in the
// plan; it does not see into locals and dynamic blocks, of which a plan does
// not say what they are made of.
//
// A document is read twice, token by token: once to see that all of it can be
// read, what it is and what it refers to, once to write its resources. Memory
// holds one instance, the configuration and the addresses, not the document.
// That, its strictness about versions and its MPL are why terraform-json is not
// used: it holds a whole document, plan variables and outputs included.
//
// Neither outputs, variables, provider configuration nor `private` ever leave
// the reader. Sensitive values are replaced by tokens: those that a format
// marks, and those that lists of attribute names say, since not every version
// marks all. Only string leaves are replaced, never numbers, booleans or keys.
package terraform

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// DefaultMaxBytes bounds one file where Config does not.
const DefaultMaxBytes = 512 << 20

// Config says what one Collector reads.
type Config struct {
	Name     string          // the origin is terraform/<Name>; in a gate the path as given
	Files    []string        // paths, patterns as filepath.Match has them, and directories
	Inputs   []Input         // what has no path
	Redactor *audit.Redactor // required
	Log      *slog.Logger    // required
	MaxBytes int64           // of one file, DefaultMaxBytes if 0
}

// Collector reads the files of one origin. It implements audit.Collector.
type Collector struct {
	origin   string
	files    []string
	inputs   []Input
	redactor *audit.Redactor
	log      *slog.Logger
	limit    int64
}

// New makes a Collector. Whether the files are there is seen when it collects.
func New(cfg Config) (*Collector, error) {
	switch {
	case strings.TrimSpace(cfg.Name) == "" || strings.ContainsFunc(cfg.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return nil, fmt.Errorf("terraform: name %q: want printable text", cfg.Name)
	case len(cfg.Files)+len(cfg.Inputs) == 0:
		return nil, fmt.Errorf("terraform %s: files is empty: give a state, or the output of `terraform show -json`", cfg.Name)
	case cfg.Redactor == nil || cfg.Log == nil:
		return nil, errors.New("terraform: redactor and log are required")
	case cfg.MaxBytes < 0:
		return nil, fmt.Errorf("terraform %s: max bytes %d: want more than 0", cfg.Name, cfg.MaxBytes)
	}
	for _, f := range cfg.Files {
		if _, err := filepath.Match(f, ""); err != nil || f == "" {
			return nil, fmt.Errorf("terraform %s: files: %q is no path and no pattern", cfg.Name, f)
		}
	}
	for _, in := range cfg.Inputs {
		if in.Open == nil {
			return nil, fmt.Errorf("terraform %s: input %q cannot be opened", cfg.Name, in.Path)
		}
	}
	return &Collector{
		origin: audit.Terraform + "/" + cfg.Name, files: slices.Clone(cfg.Files), inputs: slices.Clone(cfg.Inputs),
		redactor: cfg.Redactor, log: cfg.Log, limit: cmp.Or(cfg.MaxBytes, DefaultMaxBytes),
	}, nil
}

// Origins implements audit.Collector.
func (c *Collector) Origins() []string { return []string{c.origin} }
