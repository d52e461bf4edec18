package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// What keeps a repair from moving on.
var (
	ErrMoved  = errors.New("the repair is in another state by now")
	ErrBusy   = errors.New("another repair works on the resource")
	ErrEnough = errors.New("the run has as many repairs of the runbook as it may")
)

// RepairQuery narrows repairs. Fields that are empty do not narrow.
type RepairQuery struct {
	ID       string // or its beginning
	States   []RepairState
	Control  string
	Resource string
	Runbook  string
	Run      string    // in which the decision was made, or by which the repair was verified
	Since    time.Time // updated then or later
	Limit    int       // default 100
}

// RepairMove takes a repair from one state to the next.
type RepairMove struct {
	From   RepairState // empty: the repair is new
	To     Repair
	By     string          // who or what moved it
	Before json.RawMessage // what was there before it acts, to be remembered; nil: nothing new
	AtMost int             // where it begins to act: so many repairs of its runbook and run may have, this one included; 0: any number
	Sinks  []string        // that are told
}

// RepairEvent is one step in a repair's history.
type RepairEvent struct {
	At     time.Time   `json:"at"`
	By     string      `json:"by"`
	State  RepairState `json:"state"`
	Reason string      `json:"reason,omitempty"`
}

// RepairRate counts how repairs of a runbook came out.
type RepairRate struct {
	Runbook string      `json:"runbook"`
	State   RepairState `json:"state"`
	Count   int64       `json:"count"`
}

// Switch is something that a person turned.
type Switch struct {
	Name  string    `json:"name"`
	Value string    `json:"value"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

// Began tells whether a repair's runner was, or may have been, at work.
func (s RepairState) Began() bool {
	switch s {
	case RepairActing, RepairUnknown, RepairActed, RepairVerified, RepairFailed, RepairRolledBack, RepairStuck, RepairSettling, RepairSettled:
		return true
	}
	return false
}

// RepairsOf gives the repairs that a run bears on: those of decisions that it
// made, and those that it verified. Their order is that of their ids.
type RepairsOf func(ctx context.Context, run Run) ([]Repair, error)
