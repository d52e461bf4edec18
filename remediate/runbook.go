package remediate

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed runbooks/*.yaml
var embedded embed.FS

// Embedded are the runbooks that crosscheck comes with.
func Embedded() fs.FS {
	sub, err := fs.Sub(embedded, "runbooks")
	if err != nil {
		return embedded // cannot be: the name is a constant
	}
	return sub
}

// maxRunbook and maxRunbooks bound what a folder may make us hold.
const (
	maxRunbook  = 64 << 10
	maxRunbooks = 1000
)

// Runbook is one single-purpose repair, as its file describes it.
type Runbook struct {
	ID         string         `yaml:"id" json:"id"`
	Version    string         `yaml:"version" json:"version"`
	Title      string         `yaml:"title" json:"title"`
	Controls   []string       `yaml:"controls" json:"controls"`
	Types      []string       `yaml:"types" json:"types"`                     // source/type
	Only       string         `yaml:"only" json:"only,omitempty"`             // pattern that every violation's path must match
	Each       string         `yaml:"each" json:"each,omitempty"`             // "violation": a target for each one
	Runner     string         `yaml:"runner" json:"runner"`                   // aws, kubernetes, ssm, webhook or exec
	Parameters Parameters     `yaml:"parameters" json:"parameters,omitempty"` // by name
	Act        map[string]any `yaml:"act" json:"act"`                         // what the runner is told; {param: NAME} is replaced by a value
	DryRun     bool           `yaml:"dry_run" json:"dry_run"`                 // the runner is asked first what it would do
	RollBack   bool           `yaml:"roll_back" json:"roll_back"`             // the runner can put back what was there
	Verify     Verify         `yaml:"verify" json:"verify"`
	Limits     Limits         `yaml:"limits" json:"limits"`
	Digest     string         `yaml:"-" json:"digest"` // SHA-256 of its file
	File       string         `yaml:"-" json:"file"`
}

// Verify says how patiently a repair is verified by re-audits.
type Verify struct {
	Wait  Duration `yaml:"wait" json:"wait,omitempty"`   // before each
	Tries int      `yaml:"tries" json:"tries,omitempty"` // default 1
}

// Duration is written as 30s or 5m.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 || v > time.Hour {
		return fmt.Errorf("line %d: %q: expected a duration of at most an hour, such as 30s", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Limits bound one run. Zero is no limit of its own.
type Limits struct {
	MaxTargets int `yaml:"max_targets" json:"max_targets,omitempty"`
	MaxPercent int `yaml:"max_percent" json:"max_percent,omitempty"`
}

// Load reads runbooks, strictly. Of folders that both have a file of the same
// runbook, the later one's is taken.
func Load(folders ...fs.FS) ([]Runbook, error) {
	byID := map[string]Runbook{}
	for _, folder := range folders {
		files, err := fs.Glob(folder, "*.yaml")
		if err != nil {
			return nil, err
		}
		if len(files) > maxRunbooks {
			return nil, fmt.Errorf("%d runbooks, more than %d", len(files), maxRunbooks)
		}
		seen := map[string]string{}
		for _, file := range files {
			r, err := loadFile(folder, file)
			if err != nil {
				return nil, fmt.Errorf("runbook %s: %w", file, err)
			}
			if other, twice := seen[r.ID]; twice {
				return nil, fmt.Errorf("runbook %s: %s has the same id %s", file, other, r.ID)
			}
			seen[r.ID], byID[r.ID] = file, r
		}
	}
	out := make([]Runbook, 0, len(byID))
	for _, r := range byID {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out, nil
}

func loadFile(folder fs.FS, file string) (Runbook, error) {
	f, err := folder.Open(file)
	if err != nil {
		return Runbook{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRunbook+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return Runbook{}, err
	}
	r, err := Parse(b)
	if err == nil && r.ID != strings.TrimSuffix(path.Base(file), ".yaml") {
		err = fmt.Errorf("id %s: expected the name of its file", r.ID)
	}
	r.File = file
	return r, err
}

// Parse reads one runbook and refuses what it does not know.
func Parse(b []byte) (Runbook, error) {
	var r Runbook
	if len(b) > maxRunbook {
		return r, fmt.Errorf("more than %d bytes", maxRunbook)
	}
	if err := tame(b); err != nil {
		return r, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return r, errors.New("more than one YAML document")
	}
	act, err := jsonValue(r.Act)
	if err != nil {
		return r, fmt.Errorf("act: %w", err)
	}
	r.Act, _ = act.(map[string]any)
	r.Digest = audit.Digest(b)
	return r, r.check()
}

// tame refuses aliases, by which a small file can stand for a large one.
func tame(b []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var walk func(n *yaml.Node, depth int) error
	walk = func(n *yaml.Node, depth int) error {
		if n.Kind == yaml.AliasNode || n.Anchor != "" || depth > 32 {
			return fmt.Errorf("line %d: neither aliases nor more than 32 levels are supported", n.Line)
		}
		for _, c := range n.Content {
			if err := walk(c, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(&doc, 0)
}

// jsonValue makes of YAML's values those of JSON.
func jsonValue(v any) (any, error) {
	b, err := audit.Canonical(v)
	if err != nil {
		return nil, err
	}
	return audit.DecodeJSON(b)
}

var (
	idForm      = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)
	versionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,2}$`)
	controlForm = regexp.MustCompile(`^[A-Z]{2,8}-[0-9]{3}$`)
	runners     = []string{"aws", "exec", "kubernetes", "ssm", "webhook"}
)

func (r Runbook) check() error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	must(idForm.MatchString(r.ID), "id %q: expected lower-case letters, digits and dashes", r.ID)
	must(versionForm.MatchString(r.Version), "version %q: expected one such as 1.2.0", r.Version)
	must(strings.TrimSpace(r.Title) != "" && len(r.Title) < 200, "title is required, and short")
	must(slices.Contains(runners, r.Runner), "runner %q: expected %s", r.Runner, strings.Join(runners, ", "))
	must(len(r.Controls) > 0, "controls: expected at least one")
	must(len(r.Types) > 0, "types: expected at least one")
	must(r.Each == "" || r.Each == "violation", "each: expected violation, or nothing")
	must(len(r.Act) > 0, "act is required")
	must(r.Verify.Tries >= 0 && r.Verify.Tries <= 20, "verify.tries: expected 20 at most")
	must(r.Limits.MaxTargets >= 0 && r.Limits.MaxPercent >= 0 && r.Limits.MaxPercent <= 100, "limits must not be negative, max_percent not above 100")
	for _, c := range r.Controls {
		must(controlForm.MatchString(c), "controls: %q is no control's id", c)
	}
	for _, t := range r.Types {
		source, typ, _ := strings.Cut(t, "/")
		must(source != "" && typ != "" && typ != "*", "types: %q: expected source/type", t)
	}
	errs = append(errs, r.Parameters.check(), r.references(r.Act))
	return errors.Join(errs...)
}

// Repairs tells whether the runbook is made for a failed decision: its control,
// its type, and every violation of it, so that nothing of it would be left.
func (r Runbook) Repairs(d audit.Found) bool {
	if d.Outcome != audit.Fail || len(d.Violations) == 0 || !slices.Contains(r.Controls, d.Control) ||
		!slices.Contains(r.Types, audit.SourceOf(d.Origin)+"/"+d.Type) {
		return false
	}
	for _, v := range d.Violations {
		if r.Only != "" && !audit.Matches(r.Only, v.Path) {
			return false
		}
	}
	return true
}
