package audit

import (
	"context"
	"strings"
	"time"
)

// Judgement is what a Decider is asked: judge what is in scope, look up in all snapshots.
type Judgement struct {
	AsOf      time.Time
	Scope     Scope
	Snapshots []Snapshot  // sorted by origin
	Vault     Vault       // holds the snapshots
	Carry     *Carry      // nil: everything is evaluated
	Kept      string      // file in which a Decider may keep for later runs what blocks of snapshots come to; read only with Carry. Empty: none
	Refereed  func(int64) // told, after all verdicts, how many decisions more were made by OPA's own evaluator too; nil: nobody is
	Reuse     bool        // emit keeps no Verdict.Decisions once it has returned, and asks for no Slice: their room is used again
}

// Decider judges resources by a library.
//
// Decide calls emit once for every document in scope, in order of origin and
// id, from one goroutine, with a decision for every selected control that
// applies to its type, passes and exclusions included, unless it was taken over:
// see Carried. IDs are not filled in: they follow from the rest. It fails only where
// nothing can be told: what goes wrong within a decision is a not_evaluated.
type Decider interface {
	Catalog() Catalog
	Decide(ctx context.Context, j Judgement, emit func(Verdict) error) error
}

// DecisionID identifies a decision by all that it rests on. slice is empty for a
// control that cannot read the estate.
func DecisionID(c Control, resource, input, slice string, asOf time.Time) string {
	return Digest(appendIdentity(make([]byte, 0, 512), c, resource, input, slice, Stamp(asOf)))
}

// appendIdentity renders the canonical array of which the ID is the digest.
func appendIdentity(b []byte, c Control, resource, input, slice, at string) []byte {
	for i, s := range [...]string{"crosscheck/decision/1", c.ID, c.Digest, resource, input, slice, at} {
		b = append(b, "[,,,,,,"[i])
		b = appendString(b, s)
	}
	return append(b, ']')
}

// Stamp renders a time as everything here does: RFC 3339, UTC, whole seconds.
func Stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// Owner reads who answers for a resource from its tags: owner, else team. Of
// tags that differ only in case the first in order counts.
func Owner(tags map[string]string) string {
	for _, want := range []string{"owner", "team"} {
		if v := tags[want]; v != "" {
			return v
		}
		found := ""
		for key, v := range tags {
			if v != "" && (found == "" || key < found) && strings.EqualFold(key, want) {
				found = key
			}
		}
		if found != "" {
			return tags[found]
		}
	}
	return ""
}
