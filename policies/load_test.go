package policies_test

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/policies"
)

const control = `# METADATA
# title: Things are good
# description: Each thing is good.
# custom:
#   id: TST-001
#   severity: high
#   applies_to: ["aws/AWS::Test::Thing"]
#   why: Bad things are bad.
#   excludes: The thing is not in use.
#   parameters:
#     grades:
#       type: array
#       description: What counts as good.
#       default: [1, 2]
#   fix:
#     aws: make it good
package controls.test.good

import data.lib.test.thing

default applies := false

applies if thing.used

violation contains {"message": "bad", "observed": thing.grade, "expected": "good", "path": thing.path} if {
	not thing.grade in data.parameters["TST-001"].grades
	age := time.parse_rfc3339_ns(data.run.as_of)
	age > 0
	not data.estate.aws.thing[thing.key]
}
`

const adapter = `package lib.test.thing

used := input.data.Used if input.source == "aws"

grade := _grade(input.data.Grade) if input.source == "aws"

key := input.data.Key if input.source == "aws"

path := "/data/Grade"

_grade(g) := g

estate contains {"kind": "thing", "key": key, "value": {}} if used
`

const framework = `id: test
title: Test
version: "1"
report: test
requirements:
  - id: T.1
    title: Goodness
    evidence:
      - control: TST-001
        strength: direct
        rationale: Good things.
    not_evidenced: Beauty.
  - id: T.2
    title: Beauty
    evidence: []
    not_evidenced: "Not testable here."
`

func small() fstest.MapFS {
	return fstest.MapFS{
		"controls/test/good.rego": {Data: []byte(control)},
		"lib/test/thing.rego":     {Data: []byte(adapter)},
		"frameworks/test.yaml":    {Data: []byte(framework)},
		"README.md":               {Data: []byte("not of the library")},
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	lib, err := policies.Load(small(), map[string]map[string]any{"TST-001": {"grades": []int{3}}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"attributes": lib.Attributes("TST-001"), "estate": lib.EstateRules(), "parameters": lib.Parameters(),
		"package": lib.Catalog.Controls[0].Package, "file": lib.Catalog.Controls[0].File,
		"title": lib.Catalog.Frameworks[0].Requirements[1].Title,
	}
	want := map[string]any{
		"attributes": []string{"lib.test.thing.grade", "lib.test.thing.key", "lib.test.thing.path", "lib.test.thing.used"},
		"estate":     []string{"lib.test.thing"}, "parameters": lib.Parameters(),
		"package": "controls.test.good", "file": "controls/test/good.rego", "title": "Beauty",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	other, err := policies.Load(small(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lib.Catalog.Controls[0].Digest == other.Catalog.Controls[0].Digest {
		t.Error("another parameter, and yet the same control digest")
	}
	if lib.Catalog.Revision != other.Catalog.Revision {
		t.Error("the revision is that of the files alone")
	}
	for _, modules := range []map[string]*ast.Module{lib.Modules(), lib.Compiled()} {
		delete(modules, "lib/test/thing.rego")
		if len(lib.Modules()) != 2 || len(lib.Compiled()) != 2 || len(modules["controls/test/good.rego"].Rules) == 0 {
			t.Error("the library is not what it was")
		}
	}
}

// TestDigests: a control's digest follows what it imports, and nothing else.
func TestDigests(t *testing.T) {
	t.Parallel()
	digest := func(change func(fstest.MapFS)) string {
		t.Helper()
		fsys := small()
		change(fsys)
		lib, err := policies.Load(fsys, nil)
		if err != nil {
			t.Fatal(err)
		}
		return lib.Catalog.Controls[0].Digest
	}
	base := digest(func(fstest.MapFS) {})
	if base == digest(func(m fstest.MapFS) {
		m["lib/test/thing.rego"].Data = append(m["lib/test/thing.rego"].Data, "\n# x\n"...)
	}) {
		t.Error("an adapter changed, and the digest did not")
	}
	if base != digest(func(m fstest.MapFS) {
		m["lib/test/other.rego"] = &fstest.MapFile{Data: []byte("package lib.test.other\n\nx := 1\n")}
		m["controls/test/good_test.rego"] = &fstest.MapFile{Data: []byte("package controls.test.good_test\n\ntest_x if true\n")}
	}) {
		t.Error("what the control does not import changed, and so did the digest")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const ctl, lib, fw = "controls/test/good.rego", "lib/test/thing.rego", "frameworks/test.yaml"
	tests := map[string]struct {
		file, old, new string
		want           string
	}{
		"no metadata":               {ctl, "# METADATA\n", "", ctl + ":1: no METADATA block"},
		"unknown key":               {ctl, "#   why:", "#   wyh: x\n#   why:", ctl + ":8: METADATA wyh: unknown key"},
		"no id":                     {ctl, "#   id: TST-001\n", "", "METADATA id: is missing"},
		"bad id":                    {ctl, "id: TST-001", "id: TST-1", ctl + `:5: METADATA id: "TST-1"`},
		"bad severity":              {ctl, "severity: high", "severity: urgent", ctl + `:6: METADATA severity: "urgent"`},
		"no title":                  {ctl, "# title: Things are good\n", "", "METADATA title: is missing"},
		"no description":            {ctl, "# description: Each thing is good.\n", "", "METADATA description: is missing"},
		"no why":                    {ctl, "#   why: Bad things are bad.\n", "", "METADATA why: is missing"},
		"no fix":                    {ctl, "#   fix:\n#     aws: make it good\n", "", "METADATA fix: is missing"},
		"empty fix":                 {ctl, "aws: make it good", "aws: 7", "METADATA fix: aws: want the commands"},
		"applies to nothing":        {ctl, `["aws/AWS::Test::Thing"]`, "[]", ctl + ":7: METADATA applies_to: is missing or empty"},
		"applies to no source":      {ctl, `"aws/AWS::Test::Thing"`, `"azure/x"`, `METADATA applies_to: "azure/x"`},
		"applies twice":             {ctl, `["aws/AWS::Test::Thing"]`, `["aws/x", "aws/x"]`, `"aws/x" is there twice`},
		"list of numbers":           {ctl, `["aws/AWS::Test::Thing"]`, "[1]", "applies_to: want a list of texts"},
		"no exclusion sentence":     {ctl, "#   excludes: The thing is not in use.\n", "", "METADATA excludes: is missing"},
		"sentence without applies":  {ctl, "default applies := false\n\napplies if thing.used\n", "", "excludes: is there, but no rule applies"},
		"applies without default":   {ctl, "default applies := false\n", "", "applies has no default"},
		"default applies true":      {ctl, "default applies := false", "default applies := true", "applies has no default"},
		"applies never":             {ctl, "applies if thing.used", "_x if thing.used", "applies is never true"},
		"parameter type":            {ctl, "type: array", "type: list", ctl + `:10: METADATA parameters: grades: type "list"`},
		"parameter default":         {ctl, "default: [1, 2]", "default: 1", "grades: default: want array, got number"},
		"parameter items":           {ctl, "default: [1, 2]", `default: [1, "2"]`, "item 1: want number, got string"},
		"parameter field":           {ctl, "type: array", "typ: array", "want exactly type, description and default"},
		"parameters not a map":      {ctl, "#   parameters:\n#     grades:\n#       type: array\n#       description: What counts as good.\n#       default: [1, 2]\n", "#   parameters: 3\n", "parameters: want a map"},
		"needs_all":                 {ctl, "#   why:", "#   needs_all: 1\n#   why:", "needs_all: want true or false"},
		"compares no attribute":     {ctl, "#   why:", "#   compares_tokens: [lib.x]\n#   why:", `does not read the attribute "lib.x"`},
		"no violation":              {ctl, "violation contains", "_violation contains", "no rule violation"},
		"violation with other keys": {ctl, `"message": "bad"`, `"msg": "bad"`, "exactly message, observed, expected and path"},
		"violation not an object":   {ctl, "default applies", "violation contains x if x := thing.grade\n\ndefault applies", "exactly message, observed, expected and path"},
		"another rule":              {ctl, "default applies", "helper := 1\n\ndefault applies", ctl + ":21: rule helper"},
		"package elsewhere":         {ctl, "package controls.test.good", "package other.good", "belongs to a package below controls"},
		"syntax":                    {ctl, "default applies := false", "default applies :=", ctl + ":2"},
		"the time":                  {ctl, "time.parse_rfc3339_ns(data.run.as_of)", "time.now_ns()", ctl + ":27: time.now_ns is not available"},
		"the network":               {ctl, "age > 0", `http.send({"url": "x"})`, ctl + ":28: http.send is not available"},
		"unknown function":          {ctl, "age > 0", `nope(1)`, "undefined function nope"},
		"the run":                   {ctl, "data.run.as_of", "data.run.id", ctl + ":27: data.run.id: of the run"},
		"input whole":               {lib, "_grade(input.data.Grade)", "_grade(input)", lib + ":5: input is read whole"},
		"input by variable":         {lib, "input.data.Grade", `input[["data", "tags"][_]]`, "a document has no such key"},
		"input key":                 {lib, "input.data.Used", "input.dta.Used", lib + ":3: input.dta.Used: a document has no such key"},
		"function reads input":      {lib, "_grade(g) := g", "_grade(g) := g if input.name", lib + ":11: a function reads input.name"},
		"with":                      {lib, "input.data.Used if input", "y if y := input.data.Used with input.data as {}\n\nz if input", lib + ":3: `with` belongs in tests"},
		"a number for a key":        {ctl, "default applies", "_ports[443] contains x if some x in [thing.grade]\n\ndefault applies", ctl + ":21: _ports[443]: the key 443 is written out and no text"},
		"a key between":             {ctl, "default applies", "_ports[true][x] := 1 if some x in [thing.grade]\n\ndefault applies", ctl + ":21: _ports[true]: the key true is written out"},
		"no such rule":              {ctl, "thing.used", "thing.usd", ctl + ":23: data.lib.test.thing.usd: lib has no such rule"},
		"a package whole":           {ctl, "thing.used", "thing", "data.lib.test.thing: lib has no such rule"},
		"another's own rule":        {ctl, "thing.used", "thing._grade(1)", "a rule that begins with an underscore is its package's own"},
		"controls read controls":    {ctl, "thing.used", "data.controls.other.x", "do not read controls"},
		"other data":                {ctl, "thing.used", "data.secrets.x", ctl + ":23: data.secrets.x: read data.lib"},
		"data whole":                {ctl, "thing.used", "data[_].x", "data[_].x: read data.lib"},
		"another's parameter":       {ctl, `data.parameters["TST-001"].grades`, `data.parameters["TST-002"].grades`, `read data.parameters["TST-001"]`},
		"undeclared parameter":      {ctl, `["TST-001"].grades`, `["TST-001"].grade`, "METADATA declares no such parameter; it declares grades"},
		"adapter with parameters":   {lib, "input.data.Key", `data.parameters["TST-001"].grades`, "adapters have no parameters"},
		"estate whole":              {ctl, "data.estate.aws.thing[thing.key]", "data.estate.aws.thing", ctl + ":29: data.estate.aws.thing: the estate cannot be read whole"},
		"estate of no source":       {ctl, "data.estate.aws.thing[thing.key]", "data.estate.azure.thing[thing.key]", "no such source"},
		"estate of any kind":        {ctl, "data.estate.aws.thing[thing.key]", "data.estate.aws[thing.key][thing.path]", "the kind is not a name"},
		"estate of an odd kind":     {ctl, "data.estate.aws.thing[thing.key]", `data.estate.aws["x[y]"][thing.key]`, "the kind is not a name"},
		"estate by a free key":      {ctl, "not data.estate.aws.thing[thing.key]", "data.estate.aws.thing[_]", "the key is not bound"},
		"free key in a closure":     {ctl, "not data.estate.aws.thing[thing.key]", "count([1 | some k; data.estate.aws.thing[k]]) > 0", "the key is not bound"},
		"free key in a set":         {ctl, "not data.estate.aws.thing[thing.key]", "count({1 | some k; data.estate.aws.thing[k]}) > 0", "the key is not bound"},
		"free key in an object":     {ctl, "not data.estate.aws.thing[thing.key]", "count({k: 1 | some k; data.estate.aws.thing[k]}) > 0", "the key is not bound"},
		"boolean parameter":         {ctl, "type: array", "type: boolean", "grades: default: want boolean, got array"},
		"object for an array":       {ctl, "default: [1, 2]", "default: {a: true}", "grades: default: want array, got object"},
		"boolean for an array":      {ctl, "default: [1, 2]", "default: true", "grades: default: want array, got boolean"},
		"id a number":               {ctl, "id: TST-001", "id: 7", "METADATA id: want a text"},
		"violation with odd keys":   {ctl, `"message": "bad"`, `thing.path: "bad"`, "exactly message, observed, expected and path"},
		"two free keys":             {ctl, "not data.estate.aws.thing[thing.key]", "some k\n\tdata.estate.aws.thing[k]\n\tdata.estate.aws.other[k]", "the key is not bound"},
		"free key in an every":      {ctl, "not data.estate.aws.thing[thing.key]", "some k\n\tevery x in [1] { data.estate.aws.thing[k][x] }", "the key is not bound"},
		"estate rule looks up":      {lib, `"value": {}} if used`, `"value": {}} if data.estate.aws.x[key]`, "may read input only"},
		"estate rule not a set":     {lib, `estate contains {"kind": "thing", "key": key, "value": {}} if used`, "estate := 1", "estate: write `estate contains"},
		"yaml":                      {fw, "id: test", "id: [test", fw + ": yaml: line"},
		"empty framework":           {fw, framework, "", fw + ":1: empty"},
		"framework key":             {fw, "version:", "verson:", fw + `:3: unknown key "verson"`},
		"framework key twice":       {fw, "version:", "title: x\nversion:", fw + `:3: key "title" is there twice`},
		"framework no map":          {fw, framework, "[]", "want a map with id"},
		"framework id":              {fw, "id: test", "id: Test One", `id "Test One"`},
		"framework alias":           {fw, "title: Test", "title: &a Test\nreport2: *a", "unknown key"},
		"no requirements":           {fw, framework[strings.Index(framework, "requirements:"):], "requirements: []", fw + ":5: no requirements"},
		"requirement twice":         {fw, "T.2", "T.1", fw + ":13: requirement T.1 is there twice"},
		"requirement no map":        {fw, "- id: T.2\n    title: Beauty\n    evidence: []\n    not_evidenced: \"Not testable here.\"", "- T.2", "want a map"},
		"evidence left out":         {fw, "    evidence: []\n", "", fw + `:13: key "evidence" is missing`},
		"evidence no list":          {fw, "evidence: []", "evidence: none", "want a list"},
		"evidence no map":           {fw, "evidence: []", "evidence: [TST-001]", "want a map with control"},
		"unknown control":           {fw, "control: TST-001", "control: TST-002", fw + `:9: requirement T.1: no control "TST-002"`},
		"control twice":             {fw, "    not_evidenced: Beauty.", "      - {control: TST-001, strength: direct, rationale: again}\n    not_evidenced: Beauty.", "control TST-001 is there twice"},
		"strength":                  {fw, "strength: direct", "strength: strong", fw + `:10: requirement T.1: strength "strong"`},
		"not evidenced left empty":  {fw, `"Not testable here."`, `""`, fw + ":16: want a text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := small()
			text := string(fsys[tt.file].Data)
			if !strings.Contains(text, tt.old) {
				t.Fatalf("%s has no %q", tt.file, tt.old)
			}
			fsys[tt.file] = &fstest.MapFile{Data: []byte(strings.Replace(text, tt.old, tt.new, 1))}
			_, err := policies.Load(fsys, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"taken id":          {fstest.MapFS{"controls/test/same.rego": {Data: []byte(strings.Replace(control, "test.good", "test.same", 1))}}, "TST-001 is taken by controls/test/good.rego"},
		"taken package":     {fstest.MapFS{"controls/test/same.rego": {Data: []byte(strings.ReplaceAll(control, "TST-001", "TST-002"))}}, "package annotation redeclared"},
		"another file":      {fstest.MapFS{"lib/test/data.json": {Data: []byte("{}")}}, "lib/test/data.json: only .rego files belong here"},
		"empty module":      {fstest.MapFS{"lib/test/empty.rego": {}}, "lib/test/empty.rego:1: "},
		"large file":        {fstest.MapFS{"lib/test/large.rego": {Data: []byte("package lib.x\n#" + strings.Repeat("x", 1<<20))}}, "lib/test/large.rego: larger than"},
		"long name":         {fstest.MapFS{"lib/" + strings.Repeat("x", 300) + ".rego": {Data: []byte("package lib.x")}}, "not a path within a library"},
		"link":              {fstest.MapFS{"lib/test/link.rego": {Data: []byte("thing.rego"), Mode: 0o777 | 1<<27}}, "not a regular file"},
		"same framework":    {fstest.MapFS{"frameworks/again.yaml": {Data: []byte(framework)}}, "id test is taken by frameworks/again.yaml"},
		"conflicting lib":   {fstest.MapFS{"lib/test/more.rego": {Data: []byte("package lib.test.thing\n\nused(x) := x\n")}}, "conflicting rules"},
		"test in a control": {fstest.MapFS{"controls/test/good_test.rego": {Data: []byte("package controls.test.good\n\nviolation contains 1 if true\n")}}, "good_test.rego:1: package controls.test.good: tests, and they alone, are in files named _test.rego and in packages named _test"},
		"control in a test": {fstest.MapFS{"lib/good_test/x.rego": {Data: []byte("package lib.good_test.x\n")}}, "x.rego:1: package lib.good_test.x: tests, and they alone"},
		"import":            {fstest.MapFS{"controls/test/same.rego": {Data: []byte(strings.NewReplacer("test.good", "import.x", "TST-001", "TST-002").Replace(control))}}, `"import" is a keyword of Rego`},
		"some":              {fstest.MapFS{"lib/test/some.rego": {Data: []byte("package lib.some\n")}}, `"some" is a keyword of Rego`},
		"null":              {fstest.MapFS{"lib/test/null.rego": {Data: []byte("package lib.null\n")}}, `"null" is a keyword of Rego`},
		"every":             {fstest.MapFS{"lib/test/every.rego": {Data: []byte("package lib.every.x\n")}}, `"every" is a keyword of Rego`},
		"broken test":       {fstest.MapFS{"controls/test/good_test.rego": {Data: []byte("package controls.test.good_test\n\ntest_x if nope(1)\n")}}, "good_test.rego:3: undefined function nope"},
		"test from the net": {fstest.MapFS{"controls/test/good_test.rego": {Data: []byte("package controls.test.good_test\n\ntest_x if time.now_ns() > 0\n")}}, "time.now_ns is not available"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := small()
			maps.Copy(fsys, tt.files)
			_, err := policies.Load(fsys, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
	for _, folder := range []string{"lib", "controls"} {
		if _, err := policies.Load(fstest.MapFS{folder + "/x.rego": {Data: []byte("package " + folder + ".x")}}, nil); err == nil {
			t.Errorf("loaded a library of %s alone", folder)
		}
	}
	if _, err := policies.Load(fstest.MapFS{"lib/x.rego": {Data: []byte("package lib.x")}, "controls/x_test.rego": {Data: []byte("package controls.x_test")}}, nil); err == nil || !strings.Contains(err.Error(), "no control") {
		t.Errorf("got %v, want: no control there", err)
	}
}

const parameters = `#   parameters:
#     grades:
#       type: array
#       description: What counts as good.
#       default: [1, 2]
`

func TestParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		given map[string]map[string]any
		want  string
	}{
		"unknown control":   {map[string]map[string]any{"TST-009": {}}, "parameters: no control TST-009"},
		"unknown parameter": {map[string]map[string]any{"TST-001": {"grade": 1}}, `TST-001 has no parameter "grade"; it has grades`},
		"no parameters":     {map[string]map[string]any{"TST-002": {"grade": 1}}, `TST-002 has no parameter "grade"; it has none`},
		"wrong type":        {map[string]map[string]any{"TST-001": {"grades": "1"}}, "parameters: TST-001.grades: want array, got string"},
		"wrong item":        {map[string]map[string]any{"TST-001": {"grades": []any{1, "2"}}}, "item 1: want number, got string"},
		"null":              {map[string]map[string]any{"TST-001": {"grades": nil}}, "want array, got null"},
		"no JSON":           {map[string]map[string]any{"TST-001": {"grades": func() {}}}, "unsupported type"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := small()
			fsys["controls/test/plain.rego"] = &fstest.MapFile{Data: []byte(strings.NewReplacer("TST-001", "TST-002", "test.good", "test.plain",
				parameters, "", `thing.grade in data.parameters["TST-001"].grades`, "thing.used").Replace(control))}
			_, err := policies.Load(fsys, tt.given)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}
