package audit

// RunID identifies a run by what it was given. Whoever holds a recorded run can
// tell that it was given nothing else.
func RunID(r Run) (string, error) { return runID(r) }
