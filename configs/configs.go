// Package configs reads the configuration and the exceptions, strictly: an
// unknown or wrong field is an error that names file, line and what was expected.
package configs

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is one installation's configuration. Its paths are absolute, or
// relative to the working directory if the file was given so.
type Config struct {
	File       string // as it was given; empty for the embedded demo
	Entity     string // who is audited
	System     string // what is audited
	DataDir    string
	Library    string // folder; empty: the embedded library
	Exceptions string // file; empty: none
	Parameters map[string]map[string]any
	Sources    Sources
	Sinks      Sinks
	Nudges     Nudges
	Log        Log
	API        API
	Schedules  []Schedule
	Daemon     Daemon

	Remediation *Remediation // nil: nothing is ever repaired

	Warnings []string // what is allowed and unwise, with file, line and field
}

// Sinks is where runs are delivered. One that is nil is not configured.
type Sinks struct {
	Console *Console
	Files   *Folder
	Pack    *Folder
	Streams []Stream
	Elastic *Elasticsearch
	Slack   *Slack
}

// Console prints a run on the terminal.
type Console struct {
	Format string // table or json
}

// Folder is where a sink writes.
type Folder struct {
	Dir string
}

// Log says what is logged to standard error, and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
	Unset  bool   // no level was given: it is the default
}

//go:embed demo.yaml
var demo []byte

// Demo is the configuration that needs no file: the recorded estate.
func Demo() (Config, error) {
	c, err := Parse(demo, "demo.yaml")
	c.File = ""
	return c, err
}

// Load reads a configuration file.
func Load(path string) (Config, error) {
	b, err := readFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(b, path)
}

// readFile reads a file of which a person wrote every line.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Parse reads a configuration. file names it in errors, and relative paths in
// it are relative to file's folder.
func Parse(b []byte, file string) (Config, error) {
	d := &decoder{file: file, dir: filepath.Dir(file)}
	c := Config{File: file, Daemon: Daemon{Grace: 5 * time.Minute}}
	n := d.root(b)
	if n == nil {
		return Config{}, d.err()
	}
	version, given := "", map[string]bool{}
	note := func(name string, f read) read {
		return func(n *yaml.Node, field string) { given[name] = true; f(n, field) }
	}
	d.object(n, "", map[string]read{
		"version": note("version", d.oneOf(&version, "1")), "entity": note("entity", d.text(&c.Entity)), "system": note("system", d.text(&c.System)),
		"data_dir": d.path(&c.DataDir), "library": d.path(&c.Library), "exceptions": d.path(&c.Exceptions),
		"parameters": d.parameters(&c.Parameters), "sources": note("sources", d.sources(&c.Sources)),
		"sinks": note("sinks", d.sinks(&c.Sinks)), "log": d.log(&c.Log),
		"api":       d.api(&c.API),
		"nudges":    d.nudges(&c.Nudges),
		"schedules": d.schedules(&c.Schedules), "daemon": d.daemon(&c.Daemon),
		"remediation": d.remediation(&c.Remediation),
	})
	for _, name := range []string{"version", "entity", "system", "sources"} {
		if !given[name] {
			d.fail(n, name, "required")
		}
	}
	if len(d.errs) == 0 {
		d.checkOrigins(n, c.Sources)
	}
	if c.DataDir == "" {
		c.DataDir = filepath.Join(d.dir, "crosscheck-data")
	}
	if !given["sinks"] {
		c.Sinks = Sinks{Console: &Console{}, Files: &Folder{}, Pack: &Folder{}}
	}
	c.Sinks.fill(c.DataDir)
	c.API.Listen = orDefault(c.API.Listen, defaultListen)
	c.Log.Unset = c.Log.Level == ""
	c.Log.Level, c.Log.Format = orDefault(c.Log.Level, "warn"), orDefault(c.Log.Format, "text")
	c.Warnings = d.warnings
	return c, d.err()
}

func (s *Sinks) fill(dataDir string) {
	if s.Console != nil {
		s.Console.Format = orDefault(s.Console.Format, "table")
	}
	if s.Files != nil {
		s.Files.Dir = orDefault(s.Files.Dir, filepath.Join(dataDir, "runs"))
	}
	if s.Pack != nil {
		s.Pack.Dir = orDefault(s.Pack.Dir, filepath.Join(dataDir, "packs"))
	}
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// path reads a path, relative to the file's folder.
func (d *decoder) path(into *string) read {
	return func(n *yaml.Node, field string) {
		var p string
		if d.text(&p)(n, field); p == "" {
			return
		}
		if strings.ContainsRune(p, 0) {
			d.fail(n, field, "expected a path")
			return
		}
		if !filepath.IsAbs(p) {
			p = filepath.Join(d.dir, p)
		}
		*into = p
	}
}

var controlID = regexp.MustCompile(`^[A-Z]{2,8}-[0-9]{3}$`)

func (d *decoder) parameters(into *map[string]map[string]any) read {
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.MappingNode {
			d.fail(n, field, "expected a mapping of control ids, got %s", kind(n))
			return
		}
		*into = map[string]map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := join(field, key.Value)
			switch {
			case !controlID.MatchString(key.Value):
				d.fail(key, at, "expected a control id such as IAM-002")
			case value.Kind != yaml.MappingNode:
				d.fail(value, at, "expected a mapping of parameters, got %s", kind(value))
			default:
				if values, ok := d.value(value, at).(map[string]any); ok {
					(*into)[key.Value] = values
				}
			}
		}
	}
}

func (d *decoder) sinks(into *Sinks) read {
	return func(n *yaml.Node, field string) {
		folder := func(into **Folder) read {
			return func(n *yaml.Node, field string) {
				*into = &Folder{}
				d.object(n, field, map[string]read{"dir": d.path(&(*into).Dir)})
			}
		}
		d.object(n, field, map[string]read{
			"console": func(n *yaml.Node, field string) {
				into.Console = &Console{}
				d.object(n, field, map[string]read{"format": d.oneOf(&into.Console.Format, "table", "json")})
			},
			"files":         folder(&into.Files),
			"pack":          folder(&into.Pack),
			"streams":       d.streams(&into.Streams),
			"elasticsearch": d.elasticsearch(&into.Elastic),
			"slack":         d.slack(&into.Slack),
		})
	}
}

func (d *decoder) log(into *Log) read {
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{
			"level":  d.oneOf(&into.Level, "debug", "info", "warn", "error"),
			"format": d.oneOf(&into.Format, "text", "json"),
		})
	}
}

// checkOrigins refuses two sources that would give the same origin.
func (d *decoder) checkOrigins(n *yaml.Node, s Sources) {
	seen := map[string]bool{}
	for _, o := range s.Origins() {
		if seen[o] {
			d.fail(n, "sources", "origin %s is configured twice", o)
		}
		seen[o] = true
	}
	if len(seen) == 0 && len(s.Recorded) == 0 && !s.Demo {
		d.fail(n, "sources", "expected at least one source")
	}
}
