package evidence

import (
	"fmt"
)

// Report is what verifying a pack came to. Only an Intact one says anything of the rest.
type Report struct {
	Pack      string    `json:"pack"`
	Run       string    `json:"run"`
	Intact    bool      `json:"intact"` // no problem was met
	Signer    SignedBy  `json:"signer"`
	Files     int       `json:"files"`
	Bytes     int64     `json:"bytes"`
	Decisions int64     `json:"decisions"` // whose IDs were recomputed
	Redecided int64     `json:"redecided"` // which were also made again; all or none
	Checked   []string  `json:"checked"`   // what was checked, in words
	Unchecked []string  `json:"unchecked"` // what was not, and why
	Differing []string  `json:"differing"` // reports and other derived files that another program wrote, and that were not confirmed
	Problems  []Problem `json:"problems"`
	Left      int64     `json:"problems_left_out"` // beyond those listed
}

// SignedBy says whose key the signature fits.
type SignedBy struct {
	Fingerprint   string `json:"fingerprint"`
	Authenticated bool   `json:"authenticated"` // the caller named this key
}

// Problem is one thing that is not as it must be, and the file it is about.
type Problem struct {
	File    string `json:"file"`
	Message string `json:"message"`
}

// String renders a problem as one line.
func (p Problem) String() string { return p.File + ": " + p.Message }

// Verdict is the one sentence that says what the report comes to.
func (r Report) Verdict() string {
	switch {
	case !r.Intact:
		return "NOT INTACT: do not rely on this pack"
	case len(r.Differing) > 0:
		return fmt.Sprintf("records intact, but %d files, such as %s, are NOT verified: this program does not write them so; use the version that wrote the pack, or rely on its records alone",
			len(r.Differing), r.Differing[0])
	case r.Signer.Authenticated:
		return "intact; signed by the key you named, " + r.Signer.Fingerprint
	}
	return "intact; signer not authenticated: obtain the fingerprint in another way and compare, or give it as --key; it is " + r.Signer.Fingerprint
}

// Lines tells a person what was checked and what came of it.
func (r Report) Lines() []string {
	out := []string{"pack " + r.Pack, "run  " + r.Run}
	for _, c := range r.Checked {
		out = append(out, "checked      "+c)
	}
	for _, u := range r.Unchecked {
		out = append(out, "NOT checked  "+u)
	}
	for _, p := range r.Problems {
		out = append(out, "PROBLEM      "+p.String())
	}
	if r.Left > 0 {
		out = append(out, fmt.Sprintf("PROBLEM      and %d more", r.Left))
	}
	return append(out, r.Verdict())
}

// maxProblems are listed; the rest is counted.
const maxProblems = 100

func (r *Report) problem(file, format string, args ...any) {
	if len(r.Problems) >= maxProblems {
		r.Left++
		return
	}
	r.Problems = append(r.Problems, Problem{File: file, Message: clipTo(fmt.Sprintf(format, args...), 500)})
}

func (r *Report) checked(format string, args ...any) {
	r.Checked = append(r.Checked, fmt.Sprintf(format, args...))
}

func (r *Report) unchecked(format string, args ...any) {
	r.Unchecked = append(r.Unchecked, fmt.Sprintf(format, args...))
}
