package main

import (
	"bytes"
	"encoding/json"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// renderer writes decisions as JSON, as who records them has to: all of a
// verdict that is not a plain pass. It is the one place that knows how.
//
// It writes byte by byte what encoding/json would, which a test holds it to, and
// without reflection, as segments are written: encoding/json took a twentieth of
// decide-200.
type renderer struct {
	buf     []byte // of the last verdict
	written int64
	failed  int64
}

func (r *renderer) emit(v audit.Verdict) (err error) {
	r.buf = r.buf[:0]
	for i := range v.Decisions {
		d := &v.Decisions[i]
		if d.Outcome == audit.Pass {
			continue
		}
		if d.Outcome == audit.Fail {
			r.failed++
		}
		if len(r.buf) == 0 {
			r.buf = append(appendHead(r.buf, &v), '[')
		} else {
			r.buf = append(r.buf, ',')
		}
		if r.buf, err = appendDecision(r.buf, d); err != nil {
			return err
		}
	}
	if len(r.buf) > 0 {
		r.buf = append(r.buf, "]}\n"...)
	}
	r.written += int64(len(r.buf))
	return nil
}

// appendHead appends a verdict up to its decisions.
func appendHead(b []byte, v *audit.Verdict) []byte {
	b = member(append(b, '{'), "resource", v.Resource)
	b = member(append(b, ','), "name", v.Name)
	b = member(append(b, ','), "type", v.Type)
	b = member(append(b, ','), "origin", v.Origin)
	b = optional(b, "owner", v.Owner)
	b = member(append(b, ','), "input_digest", v.InputDigest)
	return append(b, `,"decisions":`...)
}

func appendDecision(b []byte, d *audit.Decision) (_ []byte, err error) {
	b = member(append(b, '{'), "id", d.ID)
	b = member(append(b, ','), "control", d.Control)
	b = member(append(b, ','), "control_digest", d.ControlDigest)
	b = member(append(b, ','), "outcome", string(d.Outcome))
	b = optional(b, "slice_digest", d.SliceDigest)
	for i := range d.Violations {
		b = element(b, "violations", i)
		if b, err = appendViolation(b, &d.Violations[i]); err != nil {
			return nil, err
		}
	}
	b = closing(b, len(d.Violations))
	for i, r := range d.Reasons {
		b = member(append(element(b, "reasons", i), '{'), "code", r.Code)
		b = append(optional(optional(b, "where", r.Where), "detail", r.Detail), '}')
	}
	b = closing(b, len(d.Reasons))
	return append(optional(b, "exception", d.Exception), '}'), nil
}

func appendViolation(b []byte, v *audit.Violation) (_ []byte, err error) {
	b = member(append(b, '{'), "message", v.Message)
	if b, err = appendAny(append(b, `,"observed":`...), v.Observed); err != nil {
		return nil, err
	}
	if b, err = appendAny(append(b, `,"expected":`...), v.Expected); err != nil {
		return nil, err
	}
	b = member(append(b, ','), "path", v.Path)
	return append(optional(b, "exception", v.Exception), '}'), nil
}

// appendAny appends a value, which nearly always is JSON already.
func appendAny(b []byte, v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok && raw != nil {
		return append(b, raw...), nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...), err
}

func member(b []byte, key, value string) []byte {
	b = append(append(append(b, '"'), key...), `":`...)
	return vm.AppendString(b, value)
}

func optional(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return member(append(b, ','), key, value)
}

// element begins element i of the array under a key; closing ends one of n elements.
func element(b []byte, key string, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return append(append(append(b, `,"`...), key...), `":[`...)
}

func closing(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return append(b, ']')
}
