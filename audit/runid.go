package audit

// RunID identifies a run by what it was given. Whoever holds a recorded run can
// tell that it was given nothing else.
func RunID(r Run) (string, error) { return runID(r) }

// Populations completes the counts of decisions as the pipeline does: with the
// populations that are empty or could not be listed, and with their gaps. It
// fails where a population does not have a decision for each of its documents.
func Populations(r Run, controls []Control, judged []Count) ([]Count, error) {
	counts := map[countKey]*Count{}
	for _, c := range judged {
		counts[countKey{c.Control, c.Type, c.Origin}] = &c
	}
	return populations(r, controls, counts)
}
