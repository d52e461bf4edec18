package audit

import "time"

// DueStatus says what became of a due time.
type DueStatus string

// The statuses. A due time that is Running on record was begun; where nobody
// runs it any more the process that did ended in the middle of it.
const (
	DueRunning DueStatus = "running"
	DueWaiting DueStatus = "waiting" // to be tried again
	DueDone    DueStatus = "done"
	DueFailed  DueStatus = "failed"
	DueMissed  DueStatus = "missed"  // nothing ran, and it was not chosen so
	DueSkipped DueStatus = "skipped" // nothing ran, as configured, or the audit was due again before it could begin
)

// The statuses of marks, which are no due times: from Scheduled on the audit is
// due by what the detail says, from Withdrawn on it is not any more.
const (
	Scheduled DueStatus = "scheduled"
	Withdrawn DueStatus = "withdrawn"
)

// Mark tells whether an occurrence is no due time but says from when on there are some.
func (s DueStatus) Mark() bool { return s == Scheduled || s == Withdrawn }

// Settled tells whether nothing more happens to a due time.
func (s DueStatus) Settled() bool { return s != DueRunning && s != DueWaiting }

// Occurrence is one time at which a scheduled audit was due, and what came of it.
type Occurrence struct {
	Audit   string    `json:"audit"`
	Due     time.Time `json:"due"` // UTC, in whole seconds
	Status  DueStatus `json:"status"`
	Tries   int       `json:"tries"`             // how often it was begun
	Attempt string    `json:"attempt,omitempty"` // the last one, as Ledger.Begin named it
	Run     string    `json:"run,omitempty"`     // of a done one, or the one that Attempt came to
	At      time.Time `json:"at"`                // when this was put on record
	Detail  string    `json:"detail,omitempty"`  // why it did not run or failed; of a mark the schedule
}

// OccurrenceQuery narrows occurrences. Fields that are empty do not narrow.
type OccurrenceQuery struct {
	Audit    string
	Statuses []DueStatus
	Since    time.Time // due then or later
	Until    time.Time // due then or earlier
	Limit    int       // default 100
}
