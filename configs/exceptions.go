package configs

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Exception is one entry of exceptions.yaml, field for field that of package
// audit, into which it converts.
type Exception struct {
	ID            string
	Control       string
	Resource      string
	Path          string
	Justification string
	Compensating  string
	RequestedBy   string
	ApprovedBy    string
	ApprovedOn    time.Time
	Expires       time.Time
	Ticket        string
}

// Exceptions is a file of them.
type Exceptions struct {
	File string
	Raw  []byte // the file, as evidence keeps it
	List []Exception
	line []int
}

// LoadExceptions reads a file of exceptions. check tells what makes one
// invalid; its error is returned with file, line and id.
func LoadExceptions(path string, check func(Exception) error) (Exceptions, error) {
	b, err := readFile(path)
	if err != nil {
		return Exceptions{}, fmt.Errorf("exceptions: %w", err)
	}
	return ParseExceptions(b, path, check)
}

// ParseExceptions is LoadExceptions of a file that was read.
func ParseExceptions(b []byte, file string, check func(Exception) error) (Exceptions, error) {
	d := &decoder{file: file}
	x := Exceptions{File: file, Raw: b}
	n := d.root(b)
	if n == nil {
		return Exceptions{}, d.err()
	}
	version := ""
	d.object(n, "", map[string]read{
		"version":    d.oneOf(&version, "1"),
		"exceptions": d.list(func(n *yaml.Node, f string) { x.add(n, d.exception(n, f)) }),
	})
	if version == "" && len(d.errs) == 0 {
		d.fail(n, "version", "required")
	}
	if len(d.errs) > 0 {
		return Exceptions{}, d.err()
	}
	first := map[string]int{}
	for i, e := range x.List {
		at := &yaml.Node{Line: x.line[i]}
		if err := check(e); err != nil {
			d.fail(at, fmt.Sprintf("exceptions[%d] %s", i, clip(e.ID)), "%s", err)
		}
		if line, twice := first[e.ID]; twice {
			d.fail(at, fmt.Sprintf("exceptions[%d].id", i), "%q is used twice, first in line %d", clip(e.ID), line)
		}
		first[e.ID] = x.line[i]
	}
	return x, d.err()
}

func (x *Exceptions) add(n *yaml.Node, e Exception) {
	x.List, x.line = append(x.List, e), append(x.line, n.Line)
}

func (d *decoder) exception(n *yaml.Node, field string) (e Exception) {
	d.object(n, field, map[string]read{
		"id": d.text(&e.ID), "control": d.match(&e.Control, controlID, "a control id such as IAM-002"), "resource": d.text(&e.Resource),
		"path": d.text(&e.Path), "justification": d.text(&e.Justification), "compensating": d.text(&e.Compensating),
		"requested_by": d.text(&e.RequestedBy), "approved_by": d.text(&e.ApprovedBy),
		"approved_on": d.date(&e.ApprovedOn), "expires": d.date(&e.Expires), "ticket": d.text(&e.Ticket),
	})
	return e
}
