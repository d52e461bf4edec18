package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// violation is one object of a control's set, with its canonical JSON.
type violation struct {
	audit.Violation
	raw []byte
	err error // it is not {message, observed, expected, path}
}

func malformed(raw []byte) violation {
	return violation{raw: raw, err: fmt.Errorf("a violation must be {message, observed, expected, path}, not %.200s", raw)}
}

// violations reads the elements of a control's set off the machine.
func (w *worker) violations(set *vm.Value) ([]violation, error) {
	list, ok := w.machine.Elements(set)
	if len(list) == 0 || !ok {
		return nil, nil
	}
	from := len(w.found)
	for _, v := range list {
		x, err := w.violation(v)
		if err != nil {
			return nil, err
		}
		w.found = append(w.found, x)
	}
	return w.found[from:len(w.found):len(w.found)], nil
}

// violation renders one field by field, in the order of their names.
func (w *worker) violation(v *vm.Value) (out violation, err error) {
	_, vals, ok := w.machine.Members(v)
	message, isText := w.machine.Field(v, "message").Text()
	path, isPath := w.machine.Field(v, "path").Text()
	ok = ok && isText && isPath && len(vals) == 4 && w.machine.Field(v, "observed") != nil && w.machine.Field(v, "expected") != nil
	if !ok {
		raw, err := w.machine.AppendJSON(nil, v)
		return malformed(raw), err
	}
	// expected, message, observed, path
	b := append(w.scratch[:0], `{"expected":`...)
	from := len(b)
	if b, err = w.machine.AppendJSON(b, vals[0]); err != nil {
		return out, err
	}
	to := len(b)
	b = vm.AppendString(append(b, `,"message":`...), message)
	b = append(b, `,"observed":`...)
	observed := len(b)
	if b, err = w.machine.AppendJSON(b, vals[2]); err != nil {
		return out, err
	}
	end := len(b)
	b = append(vm.AppendString(append(b, `,"path":`...), path), '}')
	w.scratch = b
	out.raw = bytes.Clone(b)
	out.Expected, out.Observed = json.RawMessage(out.raw[from:to:to]), json.RawMessage(out.raw[observed:end:end])
	out.Message, out.Path = strings.Clone(message), w.intern(path)
	return out, nil
}

// violationOf reads one as OPA has it.
func violationOf(v ast.Value) (violation, error) {
	raw, err := canonicalValue(v)
	if err != nil {
		return violation{}, err
	}
	var x struct {
		Message  *string         `json:"message"`
		Observed json.RawMessage `json:"observed"`
		Expected json.RawMessage `json:"expected"`
		Path     *string         `json:"path"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	decoded := dec.Decode(&x) == nil
	if !decoded || x.Message == nil || x.Path == nil || x.Observed == nil || x.Expected == nil {
		return malformed(raw), nil
	}
	return violation{raw: raw, Violation: audit.Violation{Message: *x.Message, Observed: x.Observed, Expected: x.Expected, Path: *x.Path}}, nil
}

// mostNested is how deep what is recorded may be nested: what a violation observed
// and expected, and what is declared for others to look up. A document may be
// deeper, but who reads reports, packs and indexes need not cope with more
// (Elasticsearch's parser ends at 1,000), nor indent it.
const mostNested = 500

// nested tells whether JSON is nested deeper than that, below an object of its own.
func nested(raw []byte) bool {
	if len(raw) <= 2*mostNested { // mostly: every level takes two bytes
		return false
	}
	depth, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '[', c == '{':
			if depth++; depth > mostNested+1 {
				return true
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return false
}

// sorted are the violations in order of their JSON. One that is malformed makes an
// error, and so does one that is nested too deep.
func sorted(list []violation) ([]audit.Violation, error) {
	if len(list) == 0 {
		return nil, nil
	}
	slices.SortFunc(list, func(a, b violation) int { return bytes.Compare(a.raw, b.raw) })
	out := make([]audit.Violation, len(list))
	for i, v := range list {
		if nested(v.raw) {
			return nil, fmt.Errorf("what is observed or expected is nested more than %d levels deep: observe a part of it", mostNested)
		}
		if v.err != nil {
			return nil, v.err
		}
		out[i] = v.Violation
	}
	return out, nil
}
