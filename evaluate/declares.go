package evaluate

// Declares lists what resources of a type can declare for others to look up, as
// Reads.Estate names it: source.kind, sorted.
func (e *Engine) Declares(source, typ string) ([]string, error) {
	kinds, err := e.library(e.lib.Catalog.Controls).declares(source, typ)
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = source + "." + k
	}
	return out, err
}
