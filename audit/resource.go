package audit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Resource is one thing under audit: the nine keys of a resource document.
type Resource struct {
	Data     any               // what the source answered; JSON values, numbers as json.Number
	Gaps     map[string]string // JSON pointer → GapCode.Reason
	ID       string            // <origin>/<type>/<native id>
	Name     string
	Origin   string
	Redacted []string // JSON pointers replaced by tokens
	Source   string
	Tags     map[string]string
	Type     string
}

// ResourceID builds the id of a resource. Native ids with unprintable runes are
// quoted, so that an id is always one printable line.
func ResourceID(origin, typ, native string) string {
	if !utf8.ValidString(native) || strings.ContainsFunc(native, func(r rune) bool { return !unicode.IsPrint(r) }) {
		native = fmt.Sprintf("%q", native)
	}
	return origin + "/" + typ + "/" + native
}

// NativeID undoes what ResourceID makes of a native id.
func NativeID(rendered string) string {
	if plain, err := strconv.Unquote(rendered); err == nil && ResourceID("", "", plain) == "//"+rendered {
		return plain
	}
	return rendered
}

// rendered stands for the data of a resource that ParseLine read: the whole
// line, of which no value was built.
type rendered []byte

// Values gives the resource with its data, gaps, tags and redacted pointers,
// which one that ParseLine read does not have until they are asked for.
func (r Resource) Values() (Resource, error) {
	if line, ok := r.Data.(rendered); ok {
		return ParseResource(line)
	}
	return r, nil
}

// Line renders the resource as one line of canonical JSON, without a newline.
// The caller must not change it.
func (r Resource) Line() ([]byte, error) {
	if line, ok := r.Data.(rendered); ok {
		return line, nil
	}
	if err := r.consistent(); err != nil {
		return nil, err
	}
	gaps, tags := r.Gaps, r.Tags
	if gaps == nil {
		gaps = map[string]string{}
	}
	if tags == nil {
		tags = map[string]string{}
	}
	redacted := slices.Clone(r.Redacted)
	slices.Sort(redacted)
	redacted = slices.Compact(redacted)
	if redacted == nil {
		redacted = []string{}
	}
	return Canonical(map[string]any{
		"data": r.Data, "gaps": gaps, "id": r.ID, "name": r.Name, "origin": r.Origin,
		"redacted": redacted, "source": r.Source, "tags": tags, "type": r.Type,
	})
}

// consistent tells what keeps the id, origin, source and type from naming one resource.
func (r Resource) consistent() error {
	switch {
	case r.Source == "" || r.Origin == "" || r.Type == "":
		return fmt.Errorf("resource %q: source, origin and type are required", r.ID)
	case !under(r.Origin, r.Source):
		return fmt.Errorf("resource %q: origin %q is not of source %q", r.ID, r.Origin, r.Source)
	case !under(r.ID, r.Origin) || !under(r.ID[len(r.Origin)+1:], r.Type):
		return fmt.Errorf("resource %q: id does not begin with %q", r.ID, r.Origin+"/"+r.Type+"/")
	}
	return nil
}

// under tells whether s has a step and a slash in front.
func under(s, step string) bool {
	return len(s) > len(step) && s[len(step)] == '/' && s[:len(step)] == step
}

// Gap records that what belongs at pointer could not be read.
func (r *Resource) Gap(pointer string, code GapCode, operation string) {
	if r.Gaps == nil {
		r.Gaps = map[string]string{}
	}
	r.Gaps[pointer] = code.Reason(operation)
}

// ParseResource reads a document's line and refuses keys that a resource does not
// have, and what DecodeDocument refuses.
func ParseResource(line []byte) (Resource, error) {
	v, err := DecodeDocument(line)
	if err != nil {
		return Resource{}, fmt.Errorf("resource document: %w", err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return Resource{}, fmt.Errorf("resource document: want an object, got %T", v)
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		if !slices.Contains(resourceKeys, key) {
			return Resource{}, fmt.Errorf("resource document: unknown key %q", key)
		}
	}
	for _, key := range resourceKeys {
		if _, ok := doc[key]; !ok {
			return Resource{}, fmt.Errorf("resource document: key %q is missing", key)
		}
	}
	h, err := slowHead(line)
	if err != nil {
		return Resource{}, err
	}
	return Resource{Data: doc["data"], Gaps: h.Gaps, ID: h.ID, Name: h.Name, Origin: h.Origin, Redacted: h.Redacted, Source: h.Source, Tags: h.Tags, Type: h.Type}, nil
}

var resourceKeys = []string{"data", "gaps", "id", "name", "origin", "redacted", "source", "tags", "type"}
