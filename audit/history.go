package audit

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// Spell is an unbroken time in which one control did not pass on one resource.
// It opens with the first run in which the decision is no pass, and stays open
// through failures, decisions that could not be evaluated and runs that could
// not see the resource, until Closing says how it ended.
type Spell struct {
	Control  string  `json:"control"`
	Resource string  `json:"resource"`
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Origin   string  `json:"origin"`
	Owner    string  `json:"owner,omitempty"`
	Outcome  Outcome `json:"outcome"`  // Fail or NotEvaluated, as it was last judged
	Excepted bool    `json:"excepted"` // as it was last judged
	Opened   RunAt   `json:"opened"`
	Failed   *RunAt  `json:"failed,omitempty"`      // the first run in which it failed; nil: it could only never be evaluated
	Seen     *RunAt  `json:"last_seen,omitempty"`   // where Lost is set: the last run of everything, or later change, that saw it
	Lost     *RunAt  `json:"unconfirmed,omitempty"` // the first run after Seen that could not tell what has become of it
	Closed   *RunAt  `json:"closed,omitempty"`      // nil: it is open
	How      Closing `json:"how,omitempty"`
	Repair   string  `json:"repair,omitempty"` // the repair that the closing run verified
}

// RunAt is a run with the moment it judged by.
type RunAt struct {
	Run  string    `json:"run"`
	AsOf time.Time `json:"as_of"`
}

// Closing says how a spell ended.
type Closing string

// The closings. Only Fixed says that something was wrong and is not any more.
const (
	Fixed         Closing = "fixed"          // it passed after it had failed
	Cleared       Closing = "cleared"        // it passed, and had never been seen to fail
	Gone          Closing = "gone"           // its resource is absent from a listing without gaps
	NotApplicable Closing = "not_applicable" // the control now says that it does not apply
)

// SpellState narrows a SpellQuery.
type SpellState string

// The states. The zero value is OpenSpells.
const (
	OpenSpells   SpellState = ""
	ClosedSpells SpellState = "closed"
	AllSpells    SpellState = "all"
)

// SpellQuery narrows spells. Fields that are empty do not narrow.
type SpellQuery struct {
	State    SpellState
	Controls []string // those of a requirement, for example
	Outcome  Outcome  // as it was last judged
	Owner    string
	Origin   string
	Resource string    // a pattern for Matches
	Since    time.Time // opened or closed by a run that judged by this moment or a later one
	After    string    // SpellPage.Next of the page before
	Limit    int       // default 100
}

// SpellPage is a part of the answer, by control, resource and opening. Next is
// empty on the last one.
type SpellPage struct {
	Spells []Spell
	Next   string
}

// Complete tells whether the snapshot proves that a resource of a type is not
// there when it does not hold it: the source listed all of the type, without a gap.
func (s Snapshot) Complete(typ string) bool {
	listed := s.Exhaustive || slices.ContainsFunc(s.Types, func(t TypeCount) bool { return t.Type == typ })
	return listed && len(s.populationGaps(typ)) == 0
}

// IDs reads the ids of a snapshot's documents, in order. It costs a fraction of
// reading their heads.
func IDs(ctx context.Context, v Vault, s Snapshot, yield func(id string) error) error {
	origin, err := Canonical(s.Origin + "/")
	if err != nil {
		return err
	}
	begin := append([]byte(`,"id":`), origin[:len(origin)-1]...)
	err = Documents(ctx, v, s.Digest, func(line []byte) error {
		id, err := idOf(line, begin)
		if err != nil {
			return err
		}
		return yield(id)
	})
	if err != nil {
		return fmt.Errorf("snapshot of %s: %w", s.Origin, err)
	}
	return nil
}

// idOf finds the one key "id" whose value begins as ids of the origin do. The
// document's own is always there; where data or tags have another, only a
// parser can tell them apart.
func idOf(line, begin []byte) (string, error) {
	if i := bytes.Index(line, begin); i >= 0 && !bytes.Contains(line[i+1:], begin) {
		value := line[i+len(`,"id":"`):]
		if end := bytes.IndexByte(value, '"'); end >= 0 && bytes.IndexByte(value[:end], '\\') < 0 {
			return string(value[:end]), nil
		}
	}
	h, err := ParseHead(line)
	return h.ID, err
}
