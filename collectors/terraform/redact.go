package terraform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// redaction replaces, in place, the secrets among the values of one instance.
type redaction struct {
	redactor *audit.Redactor
	done     map[string]bool // pointers into the values at which tokens stand
	tokens   map[string]bool // the tokens
}

// redact replaces the string leaves at and below the pointers given, those that
// the lists name, and what repeats one of them elsewhere in the same instance:
// providers compute attributes from others, and no mark follows. It returns the
// pointers of what it replaced, with base before them.
func redact(redactor *audit.Redactor, typ string, values map[string]any, pointers []string, base string) []string {
	r := redaction{redactor, map[string]bool{}, map[string]bool{}}
	for _, p := range redactor.Strings(values, "", secretPlaces(typ)...) {
		r.done[p] = true
		token, _ := find(values, p).v.(string)
		r.tokens[token] = true
	}
	for _, p := range pointers {
		r.below(find(values, p), p)
		if rest, ok := strings.CutPrefix(p, "/input"); ok && typ == "terraform_data" {
			r.below(find(values, "/output"+rest), "/output"+rest) // which is its input
		}
	}
	r.named(values, "")
	if len(r.tokens) > 0 {
		r.echoes(place{v: values}, "")
	}
	var out []string
	for _, p := range slices.Sorted(maps.Keys(r.done)) {
		out = append(out, base+p)
	}
	return out
}

// place is a value and how to put another in its stead.
type place struct {
	v   any
	set func(any)
}

// in gives the place of a key or index in p.
func (p place) in(key string) place {
	switch v := p.v.(type) {
	case map[string]any:
		return place{v[key], func(n any) { v[key] = n }}
	case []any:
		if e, ok := descend(v, key); ok {
			i, _ := strconv.Atoi(key)
			return place{e, func(n any) { v[i] = n }}
		}
	}
	return place{}
}

// each calls what with each place directly in p, and its pointer.
func (p place) each(at string, what func(p place, key, at string)) {
	switch v := p.v.(type) {
	case map[string]any:
		for key := range v {
			what(p.in(key), key, at+"/"+audit.EscapePointer(key))
		}
	case []any:
		for i := range v {
			key := strconv.Itoa(i)
			what(p.in(key), "", at+"/"+key)
		}
	}
}

// find gives the place that a pointer leads to, an empty one if it leads nowhere.
func find(values map[string]any, pointer string) place {
	p := place{v: values}
	if pointer == "" {
		return p
	}
	for _, step := range strings.Split(pointer[1:], "/") {
		p = p.in(unescape.Replace(step))
	}
	return p
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// below replaces the string leaves at and below a place.
func (r redaction) below(p place, at string) {
	if s, ok := p.v.(string); ok && !r.done[at] {
		token := r.redactor.Token(s)
		p.set(token)
		r.done[at], r.tokens[token] = true, true
	}
	p.each(at, func(p place, _, at string) { r.below(p, at) })
}

// named replaces what stands under a name that is secret in any type.
func (r redaction) named(v any, at string) {
	place{v: v}.each(at, func(p place, key, at string) {
		if secretAnywhere[key] {
			r.below(p, at)
			return
		}
		r.named(p.v, at)
	})
}

// echoLength is from how many bytes on a string is taken for a repetition and not for chance.
const echoLength = 8

func (r redaction) echoes(p place, at string) {
	if s, ok := p.v.(string); ok && len(s) >= echoLength && !r.done[at] && r.tokens[r.redactor.Token(s)] {
		r.below(p, at)
	}
	p.each(at, func(p place, _, at string) { r.echoes(p, at) })
}
