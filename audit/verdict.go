package audit

import (
	"bytes"
	"encoding/json"
)

// reader takes a line of a segment apart that appendStored wrote:
// keys in the order of their fields, no white space. Whatever else it meets, it
// fails, and encoding/json reads the line.
type reader struct {
	b   []byte
	bad bool
}

// is takes s if it comes next.
func (r *reader) is(s string) bool {
	if len(r.b) < len(s) || string(r.b[:len(s)]) != s {
		return false
	}
	r.b = r.b[len(s):]
	return true
}

// want takes s, which must come next.
func (r *reader) want(s string) {
	if !r.is(s) {
		r.bad = true
	}
}

// raw takes one JSON value, unchecked.
func (r *reader) raw() []byte {
	end := skipValue(r.b, 0)
	if end <= 0 || r.bad {
		r.bad = true
		return nil
	}
	out := r.b[:end]
	r.b = r.b[end:]
	return out
}

func (r *reader) text() string {
	raw := r.raw()
	if r.bad || raw[0] != '"' {
		r.bad = true
		return ""
	}
	s, err := text(raw)
	r.bad = r.bad || err != nil
	return s
}

// optional takes the value of a key that encoding/json left out if it is empty.
func (r *reader) optional(key string) string {
	if r.is(key) {
		return r.text()
	}
	return ""
}

// value takes a value that is kept as it is.
func (r *reader) value() json.RawMessage {
	raw := r.raw()
	if end := canonicalValue(raw, 0, 4); end != len(raw) {
		r.bad = true
		return nil
	}
	return bytes.Clone(raw)
}

// list takes an array of what each takes.
func (r *reader) list(each func()) {
	r.want("[")
	for !r.bad {
		each()
		if !r.is(",") {
			r.want("]")
			return
		}
	}
}

func fastVerdict(line []byte) (v Verdict, ok bool) {
	r := &reader{b: line}
	r.want(`{"resource":`)
	v.Resource = r.text()
	r.want(`,"name":`)
	v.Name = r.text()
	r.want(`,"type":`)
	v.Type = r.text()
	r.want(`,"origin":`)
	v.Origin = r.text()
	v.Owner = r.optional(`,"owner":`)
	r.want(`,"input_digest":`)
	v.InputDigest = r.text()
	r.want(`,"decisions":`)
	r.list(func() { v.Decisions = append(v.Decisions, r.decision()) })
	r.want("}")
	return v, !r.bad && len(r.b) == 0
}

func (r *reader) decision() (d Decision) {
	r.want(`{"control":`)
	d.Control = r.text()
	r.want(`,"outcome":`)
	d.Outcome = Outcome(r.text())
	d.SliceDigest = r.optional(`,"slice_digest":`)
	if r.is(`,"violations":`) {
		r.list(func() { d.Violations = append(d.Violations, r.violation()) })
	}
	if r.is(`,"reasons":`) {
		r.list(func() { d.Reasons = append(d.Reasons, r.reason()) })
	}
	d.Exception = r.optional(`,"exception":`)
	r.want("}")
	return d
}

func (r *reader) violation() (x Violation) {
	r.want(`{"message":`)
	x.Message = r.text()
	r.want(`,"observed":`)
	x.Observed = r.value()
	r.want(`,"expected":`)
	x.Expected = r.value()
	r.want(`,"path":`)
	x.Path = r.text()
	x.Exception = r.optional(`,"exception":`)
	r.want("}")
	return x
}

func (r *reader) reason() (x Reason) {
	r.want(`{"code":`)
	x.Code = r.text()
	x.Where = r.optional(`,"where":`)
	x.Detail = r.optional(`,"detail":`)
	r.want("}")
	return x
}
