package evidence

import (
	"cmp"
	"fmt"
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
		r.section("Not collected", 1)
		r.gapTable(rest)
	}
}

func (r *report) origin(s audit.Snapshot) {
	r.section(s.Origin, 1)
	how := "live"
	if s.Recorded {
		how = "from a recording"
	}
	r.facts([][2]string{
		{"Read", how + ", from " + audit.Stamp(s.Started) + " to " + audit.Stamp(s.Ended)},
		{"As", cmp.Or(s.Identity, "identity not known")},
		{"From", cmp.Or(s.Endpoint, "endpoint not known")},
		{"Snapshot", fmt.Sprintf("%s, %d documents, %d bytes, sha256 %s", snapshotFile(s.Origin), s.Resources, s.Bytes, s.Digest)},
	})
	documents := map[string]int64{}
	for _, d := range s.Documents {
		documents[d.Type] = d.Listed
	}
	var rows [][]cell
	var empty []string
	for _, t := range s.Types {
		if t.Listed+documents[t.Type] == 0 && t.Completeness == audit.Listed && !slices.ContainsFunc(s.Gaps, func(g audit.Gap) bool { return g.Covers(t.Type) }) {
			empty = append(empty, t.Type)
			continue
		}
		state := strong("reconciles", green)
		switch {
		case slices.ContainsFunc(s.Gaps, func(g audit.Gap) bool { return g.Covers(t.Type) }):
			state = strong("gap", red)
		case t.Listed != documents[t.Type]:
			state = strong("differs", red)
		}
		basis := strings.TrimSuffix(string(t.Completeness)+": "+t.Basis, ": ")
		rows = append(rows, []cell{words(t.Type), number(t.Listed), number(documents[t.Type]), state, words(basis)})
	}
	if len(rows) > 0 {
		r.table([]column{
			{title: "Type", width: 52},
			{title: "Listed by the source", width: 20, right: true},
			{title: "Documents", width: 20, right: true},
			{title: "Listed = documents", width: 24},
			{title: "How completeness is known", width: bodyWidth - 116},
		}, rows, runFile)
	}
	if len(empty) > 0 {
		r.note(fmt.Sprintf("Listed without a gap, and there is none: %d %s. How each was listed is in %s. ", len(empty), plural(int64(len(empty)), "type"), runFile) + strings.Join(empty, ", "))
	}
	if len(s.Gaps) > 0 {
		r.gapTable(s.Gaps)
	}
	r.calls(s)
}

// calls shows by which operations an origin was read.
func (r *report) calls(s audit.Snapshot) {
	var rows [][]cell
	for _, c := range s.Calls {
		op := words(c.Operation)
		if c.Permission != "" && c.Permission != c.Operation {
			op = op.also(text{"needs " + c.Permission, plain, muted})
		}
		rows = append(rows, []cell{op, words(parameters(c.Parameters)), number(c.Requests), number(c.Items), number(c.Errors)})
	}
	if len(rows) > 0 {
		r.table([]column{
			{title: "Call", width: 66},
			{title: "Parameters", width: bodyWidth - 120},
			{title: "Requests", width: 18, right: true},
			{title: "Items", width: 18, right: true},
			{title: "Errors", width: 18, right: true},
		}, rows, runFile)
	}
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

// matrix shows every requirement with its tests, result and what is left to do.
func (r *report) matrix() {
	r.newPage()
	r.section("3  Requirements", 0)
	r.paragraph("Each requirement with the automated tests that give evidence of it. A result is what the tests came to; whether the requirement is met is for the auditor to conclude, with the manual evidence named beside.")
	var tested, untestable [][]cell
	for _, res := range r.results {
		req := res.requirement
		name := strong(req.ID, navy).also(text{req.Title, plain, ink})
		if res.word == notTestable {
			untestable = append(untestable, []cell{name, strong(res.word, muted), words(req.NotEvidenced)})
			continue
		}
		verdict := strong(res.word, colourOf(res.word))
		for _, d := range res.details {
			verdict = verdict.also(text{d, plain, ink})
		}
		tested = append(tested, []cell{name, verdict, testsCell(res.tests), words(req.NotEvidenced)})
	}
	if len(tested) > 0 {
		r.table([]column{
			{title: "Requirement", width: 34},
			{title: "Result", width: 36},
			{title: "Automated tests, strength and why", width: 66},
			{title: "Not shown; manual evidence still needed", width: bodyWidth - 136},
		}, tested, runFile)
	}
	if len(untestable) > 0 {
		r.heading("Requirements that no automated test can evidence")
		r.table([]column{
			{title: "Requirement", width: 66}, {title: "Result", width: 30}, {title: "Manual evidence needed", width: bodyWidth - 96},
		}, untestable, runFile)
	}
}

// testsCell lists the tests of a requirement with how each came out.
func testsCell(tests []testOf) cell {
	var out cell
	for _, t := range tests {
		out = out.also(text{t.evidence.Control + ", " + string(t.evidence.Strength), bold, ink})
		if t.tested != nil {
			out = out.also(text{t.tested.control.Title + ": " + t.tested.word(), plain, ink}, text{t.tested.sums(), plain, ink})
		}
		out = out.also(text{t.evidence.Rationale, plain, muted})
	}
	return out
}

// exceptions lists the accepted risks with who accepted them, and the run's notices.
func (r *report) exceptions() {
	r.newPage()
	r.section("5  Accepted risks and notices", 0)
	var rows [][]cell
	for _, e := range r.a.exceptions {
		covers := words("Test "+e.Control).also(text{e.Resource, plain, ink}, text{e.Path, plain, muted})
		why := words(e.Justification)
		if e.Compensating != "" {
			why = why.also(text{"Compensating: " + e.Compensating, plain, ink})
		}
		who := words("asked by "+e.RequestedBy).also(text{"approved by " + e.ApprovedBy, plain, ink}, text{"ticket " + e.Ticket, plain, muted})
		when := words(e.ApprovedOn.UTC().Format("2006-01-02")).also(text{"until " + e.Expires.UTC().Format("2006-01-02"), plain, ink})
		if !e.InForce(r.a.rec.Run.AsOf) {
			when = when.also(text{"not in force", bold, red})
		}
		rows = append(rows, []cell{strong(e.ID, navy), covers, why, who, when})
	}
	if len(rows) == 0 {
		r.paragraph("No exception was on file that this report can show; " + exceptionsFile + " is the file as it was.")
	} else {
		r.table([]column{{title: "Exception", width: 22}, {title: "Covers", width: 52}, {title: "Justification", width: 44}, {title: "Who", width: 38}, {title: "Approved", width: bodyWidth - 156}}, rows, exceptionsFile)
	}
	rows = nil
	for _, n := range r.a.rec.Run.Notices {
		rows = append(rows, []cell{strong(n.Code, ink), words(n.Subject), words(n.Message)})
	}
	if len(rows) > 0 {
		r.heading("What the run says about itself")
		r.table([]column{{title: "Notice", width: 36}, {title: "About", width: 50}, {title: "Message", width: bodyWidth - 86}}, rows, noticesFile)
	}
}

// limits says what the pack does not evidence.
func (r *report) limits() {
	r.newPage()
	r.section("6  What this report does not show", 0)
	r.list([]string{
		"It shows one point in time, " + audit.Stamp(r.a.rec.Run.AsOf) + ". It shows nothing of the time before or after; operation over a period needs the runs of that period.",
		"It shows the configuration that the sources returned through their interfaces to the identities named in section 2. A source that answers wrongly, or hides something from that identity without saying so, is believed.",
		"It shows nothing outside the origins in section 2: other accounts, regions, clusters, networks and sites, offices, people and paper.",
		"An automated test shows what its rule says and no more. How far that goes towards a requirement is the strength given in section 3; the manual evidence named there is still needed.",
		"Design of the controls, their approval, and whether people follow procedures are not tested.",
		"Secrets were replaced by tokens before anything was stored. A test that would have to read one is not evaluated.",
		"The times are those of the host that collected; its clock was not checked against another.",
		"The signature shows that the holder of the key made this pack and that it is unchanged since. It does not show when that was: there is no time stamp by a third party.",
		"Requirements that infrastructure cannot show are listed as \"" + notTestable + "\" and are not covered at all.",
	}, dashed)
}

// verification tells how to check the report without trusting it.
func (r *report) verification() {
	r.section("7  How to verify this report", 0)
	r.paragraph("This PDF is one file of a signed pack. Its footer carries the pack's id, a digest of the run, its decisions and populations.")
	r.list([]string{
		"Obtain the fingerprint of the signing key in another way than with the pack, and compare it with " + r.a.signer + ".",
		"In the folder of the pack run: crosscheck evidence verify . --key FINGERPRINT. It checks every file against the signed manifest and makes every decision again from the snapshots.",
		"Without crosscheck, run: sh replay/replay.sh. It needs sha256sum, openssl and the stock opa program, checks the manifest and its signature, and performs a sample of the decisions again.",
		"To follow one deviation: find its decision id in decisions.ndjson; its resource stands in the snapshot of its origin, and its rule in section 4 and in library.tar.gz.",
	}, numbered)
}
