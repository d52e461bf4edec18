package kubernetes

// JSONValues reads a text both ways; ok tells whether the fast one could.
func JSONValues(text []byte) (fast []any, ok bool, strict []any, err error) {
	fast, ok = soundValues(text)
	strict, err = strictValues(text, 1)
	return fast, ok, strict, err
}
