package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// appendStored renders a line of a segment, newline included, to the byte as
// encoding/json does without escapes for HTML. It leaves out the decisions that
// Verdicts can derive, and what depends on the moment, so that the segment of
// an estate that did not change is the same bytes in every run. ok is false if
// nothing is left.
func appendStored(b []byte, v Verdict) (_ []byte, ok bool, err error) {
	from := len(b)
	for _, d := range v.Decisions {
		if d.Outcome == Pass && d.SliceDigest == "" {
			continue
		}
		if ok {
			b = append(b, ',')
		} else {
			b, ok = appendVerdict(b, v), true
		}
		if b, err = appendDecision(b, d); err != nil {
			return b[:from], false, err
		}
	}
	if ok {
		b = append(b, "]}\n"...)
	}
	return b, ok, nil
}

// appendVerdict renders a verdict up to its decisions.
func appendVerdict(b []byte, v Verdict) []byte {
	b = appendString(append(b, `{"resource":`...), v.Resource)
	b = appendString(append(b, `,"name":`...), v.Name)
	b = appendString(append(b, `,"type":`...), v.Type)
	b = appendString(append(b, `,"origin":`...), v.Origin)
	b = appendOptional(b, `,"owner":`, v.Owner)
	b = appendString(append(b, `,"input_digest":`...), v.InputDigest)
	return append(b, `,"decisions":[`...)
}

func appendDecision(b []byte, d Decision) ([]byte, error) {
	b = appendString(append(b, `{"control":`...), d.Control)
	b = appendString(append(b, `,"outcome":`...), string(d.Outcome))
	b = appendOptional(b, `,"slice_digest":`, d.SliceDigest)
	for i, x := range d.Violations {
		b = append(b, first(i, `,"violations":[`)...)
		var err error
		if b, err = appendViolation(b, x); err != nil {
			return b, err
		}
	}
	b = append(b, last(len(d.Violations))...)
	for i, x := range d.Reasons {
		b = append(b, first(i, `,"reasons":[`)...)
		b = appendString(append(b, `{"code":`...), x.Code)
		b = appendOptional(b, `,"where":`, x.Where)
		b = append(appendOptional(b, `,"detail":`, x.Detail), '}')
	}
	b = append(b, last(len(d.Reasons))...)
	return append(appendOptional(b, `,"exception":`, d.Exception), '}'), nil
}

// first is what comes before an element of a list that begins with key.
func first(i int, key string) string {
	if i == 0 {
		return key
	}
	return ","
}

// last is what comes after the elements of a list that is left out where it is empty.
func last(n int) string {
	if n == 0 {
		return ""
	}
	return "]"
}

func appendViolation(b []byte, x Violation) (_ []byte, err error) {
	b = appendString(append(b, `{"message":`...), x.Message)
	if b, err = appendValue(append(b, `,"observed":`...), x.Observed); err != nil {
		return b, err
	}
	if b, err = appendValue(append(b, `,"expected":`...), x.Expected); err != nil {
		return b, err
	}
	b = appendString(append(b, `,"path":`...), x.Path)
	return append(appendOptional(b, `,"exception":`, x.Exception), '}'), nil
}

func appendOptional(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, key...), s)
}

// appendString renders a string as Canonical does.
func appendString(b []byte, s string) []byte {
	at := len(b)
	b = append(append(append(b, '"'), s...), '"')
	if nextSpecial(b, at+1) == len(b)-1 {
		return b
	}
	if !strings.ContainsAny(s, `"\`) && canonicalString(b, at) == len(b) {
		return b
	}
	var quoted bytes.Buffer
	if err := encode(&quoted, s); err != nil {
		panic(err) // strings always render
	}
	return append(b[:at], bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}

// appendValue renders a value as encoding/json does, without escapes for HTML.
func appendValue(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case json.Number:
		if end := number([]byte(v), 0); end > 0 && end == len(v) {
			return append(b, v...), nil
		}
	case json.RawMessage:
		if len(v) > 0 && canonicalValue(v, 0, 4) == len(v) {
			return append(b, v...), nil
		}
	case map[string]string:
		return appendTexts(b, v), nil
	case []any:
		if v == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '[')
		for i, e := range v {
			if b, err = appendValue(append(b, first(i, "")...), e); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		if v == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			b = append(appendString(append(b, first(i, "")...), k), ':')
			if b, err = appendValue(b, v[k]); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	}
	var buf bytes.Buffer
	if err := encode(&buf, v); err != nil {
		return b, err
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}

func appendTexts(b []byte, m map[string]string) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		b = append(appendString(append(b, first(i, "")...), k), ':')
		b = appendString(b, m[k])
	}
	return append(b, '}')
}
