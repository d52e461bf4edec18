package evidence

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// completeness shows, for each origin, where its population comes from.
func (r *report) completeness() {
	r.newPage()
	r.section("2  Population and completeness", 0)
	r.paragraph("For each origin: who read it, by which calls, and whether what the source listed is what the snapshot holds. " +
		"The times are those of the collecting host's clock. Every snapshot is in the pack, named by its digest.")
	r.scope()
	r.heading("How to read the tables")
	r.facts([][2]string{
		{"listed", "The source's list call answers with all there is, or with an error."},
		{"proved", "The reader's own permissions were read and hide nothing of this type."},
		{"reconciled", "An independent count of the source came to the same number."},
		{"asserted", "A named person says so in the configuration. Nothing shows it."},
		{"Exhaustive", "Yes: a type that the table does not name has no resource here. No: other types were not looked for."},
		{"Requests, items", "Calls made and things that they returned. Fewer items than requests: for the rest the source answered that nothing of the kind is configured. What it refused is an error."},
		{"Parameters", "All that was sent; blank where the call was sent without any."},
		{"Document gaps", "Places within documents that could not be read, in " + gapsFile + ". One bears on a decision if it kept a test from deciding."},
	})
	for _, s := range r.a.rec.Run.Snapshots {
		r.origin(s)
	}
	var rest []audit.Gap
	for _, g := range populationGapsOf(r.a.rec.Run) {
		if !slices.ContainsFunc(r.a.rec.Run.Snapshots, func(s audit.Snapshot) bool { return s.Origin == g.Origin }) {
			rest = append(rest, g)
		}
	}
	if len(rest) > 0 {
		r.room(60)
		r.section("Not collected", 1)
		r.gapTable(rest)
	}
}

func (r *report) origin(s audit.Snapshot) {
	r.room(100)
	r.section(s.Origin, 1)
	how := "live"
	if s.Recorded {
		how = "from a recording"
	}
	exhaustive := "no"
	if s.Exhaustive {
		exhaustive = "yes"
	}
	seen, shared := r.a.origin(s.Origin), sharedBasis(s.Types)
	facts := [][2]string{
		{"Read", how + ", from " + audit.Stamp(s.Started) + " to " + audit.Stamp(s.Ended)},
		{"As", cmp.Or(s.Identity, "identity not known")},
		{"From", endpointText(s.Endpoint)},
		{"Snapshot", fmt.Sprintf("%s, %d %s, %d bytes, sha256 %s", snapshotFile(s.Origin), s.Resources, plural(s.Resources, "document"), s.Bytes, s.Digest)},
		{"Exhaustive", exhaustive},
		{"Population gaps", fmt.Sprint(len(s.Gaps))},
		{"Document gaps", fmt.Sprintf("%d, of which %d bear on a decision (%s)", seen.gaps, seen.bearing, gapsFile)},
		{"Redactions", fmt.Sprintf("%d %s in %d %s hold a token instead of a secret (%s)", seen.redacted, plural(seen.redacted, "place"), seen.tokens, plural(seen.tokens, "document"), redactionsFile)},
	}
	if shared != "" {
		facts = append(facts, [2]string{"Lists are those of", shared})
	}
	if s.Fresh != nil {
		facts = slices.Insert(facts, 1, [2]string{"Read again", freshText(*s.Fresh)})
	}
	r.facts(facts)
	r.types(s, shared)
	if len(s.Gaps) > 0 {
		r.gapTable(s.Gaps)
	}
	r.calls(s.Calls)
	if s.Fresh != nil {
		r.note("The calls by which that was read again:")
		r.calls(s.Fresh.Calls)
	}
}

// freshText says what of a re-audit's snapshot is not of the snapshot before.
func freshText(f audit.Fresh) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{len(f.Resources), "read by id"}, {len(f.Gone), "gone, by the source's own answer"}, {len(f.Unread), "could not be read, and are documents without data"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(f.Types) > 0 {
		parts = append(parts, "all of "+strings.Join(f.Types, ", "))
	}
	return fmt.Sprintf("from %s to %s, as %s: %s (named in %s). Everything else is of the snapshot with sha256 %s, read at the time above.",
		audit.Stamp(f.Started), audit.Stamp(f.Ended), cmp.Or(f.Identity, "identity not known"), strings.Join(parts, "; "), runFile, f.Over)
}

// types shows, for each type, what the source listed and what there is.
func (r *report) types(s audit.Snapshot, shared string) {
	documents := map[string]int64{}
	for _, d := range s.Documents {
		documents[d.Type] = d.Listed
	}
	var rows [][]cell
	var empty []string
	for _, t := range s.Types {
		gap := slices.ContainsFunc(s.Gaps, func(g audit.Gap) bool { return g.Covers(t.Type) })
		if t.Listed+documents[t.Type] == 0 && t.Completeness == audit.Listed && !gap {
			empty = append(empty, t.Type)
			continue
		}
		state := strong("reconciles", green)
		switch {
		case gap:
			state = strong("gap", red)
		case t.Listed != documents[t.Type]:
			state = strong("differs", red)
		}
		basis := strings.TrimSpace(strings.TrimSuffix(t.Basis, shared))
		basis = strings.TrimSuffix(string(t.Completeness)+": "+basis, ": ")
		rows = append(rows, []cell{words(t.Type), number(t.Listed), number(documents[t.Type]), state, words(basis)})
	}
	r.table([]column{
		{title: "Type", width: 62},
		{title: "Listed by the source", width: 20, right: true},
		{title: "Documents", width: 20, right: true},
		{title: "Listed = documents", width: 22},
		{title: "How completeness is known", width: bodyWidth - 124},
	}, rows, runFile)
	if len(empty) > 0 {
		n := int64(len(empty))
		r.note(fmt.Sprintf("Listed without a gap, and there is none: %d %s. How each was listed is in %s. ", n, plural(n, "type"), runFile) + strings.Join(empty, ", "))
	}
}

// sharedBasis is how the bases of all types end, where they end alike: it is told once.
func sharedBasis(types []audit.TypeCount) string {
	if len(types) < 2 {
		return ""
	}
	shared := strings.Fields(types[0].Basis)
	for _, t := range types[1:] {
		other := strings.Fields(t.Basis)
		n := 0
		for n < min(len(shared), len(other)) && shared[len(shared)-1-n] == other[len(other)-1-n] {
			n++
		}
		shared = shared[len(shared)-n:]
	}
	if len(shared) < 2 {
		return ""
	}
	return strings.Join(shared, " ")
}

// endpointText names a server by what it is to a reader.
func endpointText(endpoint string) string {
	host := endpoint
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		host = u.Host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "localhost" || ip != nil && ip.IsLoopback() {
		return "a server on the collecting host (" + endpoint + ")"
	}
	return cmp.Or(endpoint, "endpoint not known")
}

// calls shows by which operations an origin was read.
func (r *report) calls(calls []audit.Call) {
	var rows [][]cell
	for _, c := range calls {
		op := words(c.Operation)
		if c.Permission != "" && c.Permission != c.Operation {
			op = op.also(text{"needs " + c.Permission, plain, muted})
		}
		rows = append(rows, []cell{op, words(parameters(c.Parameters)), number(c.Requests), number(c.Items), number(c.Errors)})
	}
	r.table([]column{
		{title: "Call", width: 62},
		{title: "Parameters", width: bodyWidth - 110},
		{title: "Requests", width: 18, right: true},
		{title: "Items", width: 15, right: true},
		{title: "Errors", width: 15, right: true},
	}, rows, runFile)
}

func parameters(p map[string]string) string {
	var out []string
	for _, k := range sortedKeys(p) {
		out = append(out, k+"="+p[k])
	}
	return strings.Join(out, ", ")
}

func (r *report) gapTable(gaps []audit.Gap) {
	var rows [][]cell
	for _, g := range gaps {
		typ := g.Type
		if typ == audit.AllTypes {
			typ = "all types"
		}
		rows = append(rows, []cell{strong(typ, red), words(g.Origin), words(string(g.Code)), words(g.Operation)})
	}
	r.table([]column{{title: "Population gap: type", width: 56}, {title: "Origin", width: 50}, {title: "Reason", width: 28}, {title: "Call", width: bodyWidth - 134}}, rows, gapsFile)
}
