package web

// RouteTable gives the table to tests.
func RouteTable() [][3]string {
	var out [][3]string
	for _, r := range routes() {
		out = append(out, [3]string{r.method, r.path, string(r.role)})
	}
	return out
}

// QueryErrors parses a query as a handler would, for tests.
func QueryErrors(raw string) (values map[string]string, limit int, failed bool) {
	q := parseQuery(raw, "limit", "resource", "since", "excepted", "outcome", "control")
	limit = q.limit(100)
	q.since("since")
	q.yesNo("excepted")
	q.word("outcome", "fail")
	q.form("control", controlID, "a control")
	return q.values, limit, q.err() != nil
}

// Document gives the document that describes the routes to tests.
func Document() ([]byte, error) { return openAPI() }
