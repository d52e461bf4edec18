package evidence

import (
	"fmt"
	"slices"
	"strings"
)

const annexTitle = "A  Annex: rules as run, in Rego"

// annex prints the rules, and lists what they import.
func (r *report) annex() {
	r.room(110)
	r.section(annexTitle, 0)
	r.paragraph("The text of each rule without its METADATA block, which section 4 tells in plain English. The whole library is " +
		libraryFile + "; revision " + r.a.rec.Run.Revision + ".")
	used := map[string][]string{}
	var modules []module
	for _, t := range r.tests {
		r.section("Rule of "+t.control.ID, 1)
		r.note("File " + t.control.File + t.importing())
		if strings.TrimSpace(t.control.Rego) == "" {
			r.paragraph("Its text is in " + libraryFile + ".")
		} else {
			r.code(withoutMetadata(t.control.Rego))
		}
		for _, m := range t.imports {
			if used[m.path] == nil {
				modules = append(modules, m)
			}
			used[m.path] = append(used[m.path], t.control.ID)
		}
	}
	if len(modules) == 0 {
		return
	}
	slices.SortFunc(modules, func(x, y module) int { return strings.Compare(x.path, y.path) })
	var rows [][]cell
	for _, m := range modules {
		rows = append(rows, []cell{words(m.path), number(int64(m.size)), code(m.digest), words(strings.Join(used[m.path], ", "))})
	}
	r.room(50)
	r.section("Adapters that the rules import", 1)
	r.note(fmt.Sprintf("%d files of %s: they give one attribute the same name and meaning in every source.", len(rows), libraryFile))
	r.table([]column{{title: "File", width: 40}, {title: "Bytes", width: 13, right: true}, {title: "SHA-256", width: 89}, {title: "Imported by the rules of", width: bodyWidth - 142}}, rows, "")
}
