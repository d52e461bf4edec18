package evidence

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// exceptions lists the accepted risks with who accepted them, and the run's notices.
func (r *report) exceptions() {
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
	var accepted int64
	for _, t := range r.a.tested {
		accepted += t.total.Excepted
	}
	switch {
	case r.a.rec.Run.Exceptions == "":
		r.paragraph("There was no exceptions file. Accepted risks: 0.")
	default:
		r.paragraph(fmt.Sprintf("Exceptions on file: %d. Accepted risks: %d failed %s of all automated tests of this run. The file as it was is %s.",
			len(rows), accepted, plural(accepted, "decision"), exceptionsFile))
	}
	r.table([]column{{title: "Exception", width: 22}, {title: "Covers", width: 52}, {title: "Justification", width: 44}, {title: "Who", width: 38}, {title: "Approved", width: bodyWidth - 156}}, rows, exceptionsFile)
	rows = nil
	for _, n := range r.a.rec.Run.Notices {
		rows = append(rows, []cell{strong(n.Code, ink), words(n.Subject), words(n.Message)})
	}
	r.paragraph(fmt.Sprintf("What the run says about itself (%s). Notices: %d.", noticesFile, len(rows)))
	r.table([]column{{title: "Notice", width: 36}, {title: "About", width: 50}, {title: "Message", width: bodyWidth - 86}}, rows, noticesFile)
}

// sourceNames are the sources as a reader knows them.
var sourceNames = map[string]string{audit.AWS: "AWS", audit.Kubernetes: "Kubernetes", audit.NetBox: "NetBox", audit.Terraform: "Terraform"}

// readTypes says what was read of each source, and so what was not.
func (r *report) readTypes() []string {
	var out []string
	for _, s := range sourcesOf(r.a.rec.Run) {
		types := typesOf(r.a.rec.Run, s)
		list := strings.Join(types, ", ")
		if len(types) > 30 {
			list = fmt.Sprintf("the %d types that section 2 and %s name", len(types), runFile)
		}
		out = append(out, "Of "+cmp.Or(sourceNames[s], s)+" only: "+list+". Nothing else of it was read.")
	}
	return out
}

// limits says what the pack does not evidence.
func (r *report) limits() {
	r.section("6  What this report does not show", 0)
	items := []string{
		"It shows one point in time, " + audit.Stamp(r.a.rec.Run.AsOf) + ". It shows nothing of the time before or after; operation over a period needs the runs of that period.",
		"It shows the configuration that the sources returned through their interfaces to the identities named in section 2. A source that answers wrongly, or hides something from that identity without saying so, is believed.",
		"It shows nothing outside the origins in section 2: other accounts, regions, clusters, networks and sites, offices, people and paper.",
		"An automated test shows what its rule says and no more. How far that goes towards a requirement is the strength given in section 3; the manual evidence named there is still needed.",
		"Design of the controls, their approval, and whether people follow procedures are not tested.",
		"Secrets were replaced by tokens before anything was stored. A test that would have to read one is not evaluated.",
		"The times are those of the host that collected; its clock was not checked against another.",
		"The signature shows that the holder of the key made this pack and that it is unchanged since. It does not show when that was: there is no time stamp by a third party.",
		"Requirements that infrastructure cannot show are listed as \"" + notTestable + "\" and are not covered at all.",
		"Titles of requirements are abridged; they are not the standard's text.",
		fmt.Sprintf("Of %s only the %d requirements in section 3 are looked at. What else a standard asks for is not: in ISO/IEC 27001 the clauses of the management system (4 to 10) and the statement of applicability, in SOC 2 the description of the system.",
			oneLine(r.framework.Title), len(r.results)),
		"When a deviation was first and last seen, how it was repaired, and what was true on each day of a period: the pack is of one run.",
		"Which runs were expected and did not take place; only the previous complete run's pack is named.",
		"How the rules were changed, by whom, and who approved and tested the changes. The library's revision says only which rules ran.",
		"There is no machine-readable copy as OSCAL or OCSF. The PDFs are not tagged for screen readers; the CSV and NDJSON files hold the same facts.",
	}
	r.list(append(items, r.readTypes()...), dashed)
}

// verification tells how to check the report without trusting it.
func (r *report) verification() {
	r.section("7  How to verify this report", 0)
	r.paragraph("This PDF is one file of a signed pack. Its footer carries the pack's id, a digest of the run, its decisions and populations.")
	r.list([]string{
		"Obtain the fingerprint of the signing key in another way than with the pack, and compare it with " + r.a.signer + ".",
		"In the folder of the pack run: crosscheck evidence verify . --key FINGERPRINT. It checks every file against the signed manifest and makes every decision again from the snapshots.",
		"Your own sample: VERIFY.txt tells step by step how any decision is performed again with the stock opa program.",
		"Without crosscheck, run: sh replay/replay.sh. It needs sha256sum, openssl and the stock opa program, checks the manifest and its signature, and performs a sample of the decisions again.",
		"To follow one deviation: search decisions.ndjson for the 16 digits with which its decision id begins; its resource stands in the snapshot of its origin, its rule in annex A and in library.tar.gz, and what it looked up in slices.ndjson.",
	}, numbered)
}
