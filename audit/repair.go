package audit

import "time"

// RepairMode says how far crosscheck may go by itself.
type RepairMode string

// The modes.
const (
	ModeSuggest RepairMode = "suggest" // say what would be done
	ModeApprove RepairMode = "approve" // do it once somebody else approved it
	ModeAuto    RepairMode = "auto"    // do it
)

// RepairState says how far a repair came.
type RepairState string

// The states. A repair is Acting on disk before its runner is called; one that
// is found Acting by a process that did not call it becomes Unknown, and is
// never acted on again: a re-audit settles whether it worked.
const (
	RepairSuggested  RepairState = "suggested"   // not asked for
	RepairRequested  RepairState = "requested"   // waits for an approval
	RepairApproved   RepairState = "approved"    // waits for its turn
	RepairDenied     RepairState = "denied"      // somebody said no
	RepairExpired    RepairState = "expired"     // nobody said anything in time
	RepairBlocked    RepairState = "blocked"     // a guard stopped it before anything was done
	RepairActing     RepairState = "acting"      // the runner is at work
	RepairUnknown    RepairState = "unknown"     // begun, and nobody knows how it ended
	RepairActed      RepairState = "acted"       // the runner reported success; not verified yet
	RepairVerified   RepairState = "verified"    // a re-audit passed, or found the resource gone
	RepairFailed     RepairState = "failed"      // the runner failed, or the violation is still there
	RepairRolledBack RepairState = "rolled_back" // undone, and that verified too
	RepairStuck      RepairState = "stuck"       // could not be undone: a person must look
	RepairSettling   RepairState = "settling"    // was stuck, and a person did something: a re-audit is to tell
	RepairSettled    RepairState = "settled"     // and it told how the resource stands
)

// Settled tells whether nothing more happens to a repair by itself.
func (s RepairState) Settled() bool {
	switch s {
	case RepairSuggested, RepairDenied, RepairExpired, RepairBlocked, RepairVerified, RepairFailed, RepairRolledBack, RepairStuck, RepairSettled:
		return true
	}
	return false
}

// Repair is one use of a runbook against one violated decision.
type Repair struct {
	ID         string            `json:"id"` // hash of decision, runbook, its digest and the parameters: asked for twice, it is one
	Runbook    string            `json:"runbook"`
	Version    string            `json:"version"`
	Digest     string            `json:"digest"` // SHA-256 of the runbook's file
	Runner     string            `json:"runner"`
	Control    string            `json:"control"`
	Resource   string            `json:"resource"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Origin     string            `json:"origin"`
	Owner      string            `json:"owner,omitempty"`
	Decision   string            `json:"decision"` // the violated one
	Run        string            `json:"run"`      // in which it was made
	Parameters map[string]string `json:"parameters"`
	Mode       RepairMode        `json:"mode"`
	State      RepairState       `json:"state"`
	Reason     string            `json:"reason,omitempty"` // why it stands as it does
	DryRun     string            `json:"dry_run,omitempty"`
	Requested  *RepairStep       `json:"requested,omitempty"`
	Decided    *RepairStep       `json:"decided,omitempty"` // approved or denied
	Acted      *RepairStep       `json:"acted,omitempty"`   // what ran, its output redacted
	Verified   *RepairStep       `json:"verified,omitempty"`
	Undone     *RepairStep       `json:"undone,omitempty"`
	Settled    *RepairStep       `json:"settled,omitempty"` // its output: what a person says to have done
	Updated    time.Time         `json:"updated"`
}

// RepairStep is one thing that happened to a repair.
type RepairStep struct {
	At       time.Time `json:"at"`
	By       string    `json:"by"` // who, as authenticated, or what
	Output   string    `json:"output,omitempty"`
	Run      string    `json:"run,omitempty"`      // verified: the re-audit
	Decision string    `json:"decision,omitempty"` // verified: the new decision, empty where the resource is gone
	Outcome  Outcome   `json:"outcome,omitempty"`
}
