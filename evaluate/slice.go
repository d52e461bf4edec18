package evaluate

import (
	"encoding/json"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// slice is what the view was asked, as it is recorded: sorted, with the digest
// of the gaps of every source.kind.
func (v *view) slice() *audit.Slice {
	s := &audit.Slice{Lookups: []audit.Lookup{}, Gaps: map[string]string{}}
	for _, k := range v.lookups.sorted() {
		l := audit.Lookup{Source: k.source, Kind: k.kind, Key: k.key}
		for _, h := range k.hits {
			l.Hits = append(l.Hits, audit.Hit{ID: h.ID, Origin: h.Origin, Value: json.RawMessage(h.Value)})
		}
		s.Lookups = append(s.Lookups, l)
		s.Gaps[k.source+"."+k.kind] = v.estate.gapDigest(k.source, k.kind)
	}
	return s
}

// sliceDigest is the digest of the view's slice. room is used for rendering.
func (v *view) sliceDigest(room *[]byte) string {
	*room = v.appendSlice((*room)[:0])
	return audit.Digest(*room)
}

// appendSlice renders the slice as audit.Canonical does, whose way over maps
// takes longer than deciding, and without making one: an audit needs its digest alone.
func (v *view) appendSlice(b []byte) []byte {
	keys := v.lookups.sorted()
	names := make([]string, 0, 4)
	for _, k := range keys {
		if name := k.source + "." + k.kind; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	b = append(b, `{"gaps":{`...)
	for i, name := range names {
		b = vm.AppendString(separate(b, i), name)
		b = append(b, ':')
		b = vm.AppendString(b, v.estate.digests[name])
	}
	b = append(b, `},"lookups":[`...)
	for i, k := range keys {
		b = append(separate(b, i), `{"hits":`...)
		b = appendHits(b, k.hits)
		b = vm.AppendString(append(b, `,"key":`...), k.key)
		b = vm.AppendString(append(b, `,"kind":`...), k.kind)
		b = vm.AppendString(append(b, `,"source":`...), k.source)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

func appendHits(b []byte, hits []lookup.Hit) []byte {
	if len(hits) == 0 {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, h := range hits {
		b = vm.AppendString(append(separate(b, i), `{"id":`...), h.ID)
		b = vm.AppendString(append(b, `,"origin":`...), h.Origin)
		b = append(b, `,"value":`...)
		b = append(b, h.Value...) // canonical, as declared
		b = append(b, '}')
	}
	return append(b, ']')
}

func separate(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}
