package evidence_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// Whoever holds the signing key can make any bytes pass as signed. What the
// files say of each other, and what the library says of the snapshots, must still agree.
func TestVerifyNoticesWhatTheKeyHolderChanged(t *testing.T) {
	t.Parallel()
	whole := writePack(t, 0)
	tests := changedDecisions()
	maps.Copy(tests, changedRest())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyTree(t, whole)
			tt.change(t, dir)
			resign(t, dir, 1, func(*evidence.Manifest) {})
			r := fullVerify(t, dir, fixtureSigner(t, 1).Fingerprint())
			if r.Intact {
				t.Fatal("the change went unnoticed")
			}
			for _, p := range r.Problems {
				if p.File == tt.file {
					return
				}
			}
			t.Errorf("problems %v do not name %s", r.Problems, tt.file)
		})
	}
}

// tamper is a change to a pack, and the file that verification must name.
type tamper struct {
	change func(t *testing.T, dir string)
	file   string
}

// replace changes the first match of a pattern in a file.
func replace(file, old, now string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(file))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(old)
		at := re.FindSubmatchIndex(b)
		if at == nil {
			t.Fatalf("%s has no %s", file, old)
		}
		changed := append([]byte(nil), b[:at[0]]...)
		changed = re.Expand(changed, []byte(now), b, at)
		write(t, path, append(changed, b[at[1]:]...))
	}
}

// both makes several changes.
func both(changes ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, c := range changes {
			c(t, dir)
		}
	}
}

const bucket = `bucket-0014`

// changedDecisions are changes to what was decided.
func changedDecisions() map[string]tamper {
	return map[string]tamper{
		"outcome":           {replace("decisions.ndjson", `("name":"`+bucket+`".*?"outcome":)"fail"`, `${1}"pass"`), "decisions.ndjson"},
		"outcome of a pass": {replace("decisions.ndjson", `"outcome":"pass"`, `"outcome":"excluded"`), "run.json"},
		"unknown outcome":   {replace("decisions.ndjson", `"outcome":"pass"`, `"outcome":"fine"`), "decisions.ndjson"},
		"violation":         {replace("decisions.ndjson", `"message":"bucket`, `"message":"a bucket`), "populations/STO-001.csv"},
		"observed value":    {replace("decisions.ndjson", `"observed":true`, `"observed":1`), "manifest.json"},
		"reason":            {replace("decisions.ndjson", `"code":"gap"`, `"code":"error"`), "populations/STO-001.csv"},
		"owner":             {replace("decisions.ndjson", `"owner":"payments"`, `"owner":"nobody"`), "decisions.ndjson"},
		"decision id":       {replace("decisions.ndjson", `"id":"[0-9a-f]`, `"id":"x`), "decisions.ndjson"},
		"input digest":      {replace("decisions.ndjson", `"input_digest":"....`, `"input_digest":"0000`), "decisions.ndjson"},
		"as of":             {replace("decisions.ndjson", `"as_of":"2026`, `"as_of":"2025`), "decisions.ndjson"},
		"a line dropped":    {replace("decisions.ndjson", `\A[^\n]*\n`, ``), "decisions.ndjson"},
		"a line twice":      {replace("decisions.ndjson", `\A([^\n]*\n)`, `$1$1`), "decisions.ndjson"},
		"a line too many":   {replace("decisions.ndjson", `([^\n]*\n)\z`, `$1$1`), "decisions.ndjson"},
		"white space":       {replace("decisions.ndjson", `,"control"`, `, "control"`), "decisions.ndjson"},
	}
}

// changedRest are changes to all else.
func changedRest() map[string]tamper {
	return map[string]tamper{
		"population row":      {replace("populations/STO-001.csv", bucket+`([^\n]*),fail,`, bucket+`$1,pass,`), "populations/STO-001.csv"},
		"population cut":      {replace("populations/STO-001.csv", `[^\n]*\n\z`, ``), "populations/STO-001.csv"},
		"document":            {replace("snapshots/aws_111122223333_eu-west-1.ndjson", `"public":true`, `"public":null`), "snapshots/aws_111122223333_eu-west-1.ndjson"},
		"document dropped":    {replace("snapshots/aws_111122223333_eu-west-1.ndjson", `\A[^\n]*\n`, ``), "snapshots/aws_111122223333_eu-west-1.ndjson"},
		"a key twice":         {replace("snapshots/aws_111122223333_eu-west-1.ndjson", `"gaps":\{\}`, `"gaps":{},"GAPS":null`), "snapshots/aws_111122223333_eu-west-1.ndjson"},
		"counts":              {replace("run.json", `"fail":1[0-9],`, `"fail":3,`), "run.json"},
		"gap hidden":          {replace("run.json", `"gaps":\[\{"code":"AccessDenied"[^]]*\]`, `"gaps":[]`), "run.json"},
		"status":              {replace("run.json", `"revision":"....`, `"revision":"0000`), "run.json"},
		"simulated":           {replace("run.json", `"as_of":"2026`, `"as_of":"2027`), "run.json"},
		"run id":              {replace("run.json", `"id":"[0-9a-f]{4}([0-9a-f]{60})"`, `"id":"0000$1"`), "run.json"},
		"severity":            {replace("run.json", `"severity":"critical"`, `"severity":"low"`), "run.json"},
		"listed":              {replace("run.json", `"listed":31,"type":"AWS::S3::Bucket"`, `"listed":32,"type":"AWS::S3::Bucket"`), "run.json"},
		"unknown field":       {replace("run.json", `\{"catalog"`, `{"also":1,"catalog"`), "run.json"},
		"exceptions":          {replace("exceptions.yaml", `EX-7`, `EX-8`), "exceptions.yaml"},
		"library":             {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "library.tar.gz"), []byte("x")) }, "library.tar.gz"},
		"report":              {replace("report/soc2.pdf", `%%EOF`, `%%EOF `), "report/soc2.pdf"},
		"gap kept quiet":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "gaps.ndjson"), nil) }, "gaps.ndjson"},
		"notice kept quiet":   {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "notices.ndjson"), nil) }, "notices.ndjson"},
		"control document":    {replace("controls/STO-001.json", `"severity":"critical"`, `"severity":"low"`), "controls/STO-001.json"},
		"procedure":           {replace("controls/STO-001.json", `nothing was sampled`, `some were sampled`), "controls/STO-001.json"},
		"replayed result":     {replace("replay/01/expected.json", `"control"`, ` "control"`), "replay/01/expected.json"},
		"replay script":       {replace("replay/replay.sh", `\|\| die`, `&& die`), "replay/replay.sh"},
		"instructions":        {replace("VERIFY.txt", `Obtain the`, `Ignore the`), "VERIFY.txt"},
		"who ran it":          {replace("provenance.json", `"host":"audit-1"`, `"host":"audit-2"`), "report/soc2.pdf"},
		"who read it":         {replace("provenance.json", `assumed-role/audit`, `assumed-role/admin`), "provenance.json"},
		"previous pack":       {replace("run.json", `"previous_pack":""`, `"previous_pack":"x"`), "report/soc2.pdf"},
		"slice":               {replace("slices.ndjson", `"key":"srv-00"`, `"key":"srv-99"`), "slices.ndjson"},
		"slice dropped":       {replace("slices.ndjson", `[^\n]*\n\z`, ``), "slices.ndjson"},
		"slice twice":         {replace("slices.ndjson", `\A([^\n]*\n)`, `$1$1`), "slices.ndjson"},
		"slice of nobody":     {replace("slices.ndjson", `\z`, "{\"digest\":\"ff\",\"gaps\":{}}\n"), "slices.ndjson"},
		"slice digest":        {replace("slices.ndjson", `"digest":"[0-9a-f]{4}`, `"digest":"ffff`), "slices.ndjson"},
		"selection":           {replace("replay/SELECTION.txt", `Seed: none`, `Seed: some`), "replay/SELECTION.txt"},
		"file more":           {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "controls", "X-001.json"), nil) }, "controls/X-001.json"},
		"exception on nobody": {replace("decisions.ndjson", `("name":"`+bucket+`".*?"violations":\[\{"exception":)""`, `${1}"EX-7"`), "run.json"},
		"violation and its row": {both(
			replace("decisions.ndjson", `("name":"`+bucket+`".*?"message":)"bucket`, `${1}"a bucket`),
			replace("populations/STO-001.csv", `(`+bucket+`.*)bucket <is>`, `${1}a bucket <is>`)), "manifest.json"},
	}
}

// Where nothing in the pack contradicts itself, making the decisions again does.
func TestVerifyMakesDecisionsAgain(t *testing.T) {
	t.Parallel()
	decider := func(d audit.Decider) evidence.VerifyOptions {
		return evidence.VerifyOptions{Exceptions: parseExceptions, Library: factoryOf(d)}
	}
	other := fixtureCatalog()
	other.Controls[2].Digest = audit.Digest([]byte("another control"))
	dir := writePack(t, 0)
	tests := map[string]struct {
		opts evidence.VerifyOptions
		file string
		says string
	}{
		"other catalogue": {decider(fixtureDecider{other}), "run.json", "catalogue"},
		"other outcome":   {decider(lenient{fixtureDecider{fixtureCatalog()}}), "decisions.ndjson", "made again it is pass"},
		"fails":           {decider(broken{fixtureDecider{fixtureCatalog()}}), "decisions.ndjson", "cannot be made again"},
		"other exceptions": {evidence.VerifyOptions{Library: factoryOf(fixtureDecider{fixtureCatalog()}), Exceptions: func([]byte) ([]audit.Exception, error) {
			return nil, nil
		}}, "decisions.ndjson", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := evidence.Verify(t.Context(), dir, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if r.Intact || r.Problems[0].File != tt.file || !strings.Contains(r.Problems[0].Message, tt.says) {
				t.Errorf("Verify() = %v, want a problem of %s with %q", r.Problems, tt.file, tt.says)
			}
		})
	}
	r, err := evidence.Verify(t.Context(), writtenOtherwise(t, dir), evidence.VerifyOptions{Library: fixtureFactory, Exceptions: parseExceptions})
	if err != nil || !r.Intact || !strings.Contains(strings.Join(r.Unchecked, "\n"), "README.txt") {
		t.Errorf("of a file that another program may have written so: %+v, %v; want intact, and that README.txt was not compared", r, err)
	}
	r, err = evidence.Verify(t.Context(), dir, evidence.VerifyOptions{})
	if err != nil || !r.Intact || r.Redecided != 0 || !bytes.Contains([]byte(strings.Join(r.Unchecked, "\n")), []byte("no engine")) {
		t.Errorf("without an engine: %+v, %v; want intact, and that decisions were not made again", r, err)
	}
}

func writtenOtherwise(t *testing.T, dir string) string {
	t.Helper()
	other := copyTree(t, dir)
	write(t, filepath.Join(other, "README.txt"), []byte("Read me"))
	resign(t, other, 1, func(*evidence.Manifest) {})
	return other
}

// The key holder may also be who lies, and name a program of his own as the one
// that wrote the pack: then what cannot be confirmed is not called intact.
func TestVerifyBelievesNoOtherProgram(t *testing.T) {
	t.Parallel()
	whole := writePack(t, 0)
	other := replace("provenance.json", `"binary_sha256":"[0-9a-f]{64}"`, `"binary_sha256":"`+strings.Repeat("0", 64)+`"`)
	t.Run("a report that says other than the decisions", func(t *testing.T) {
		t.Parallel()
		dir := copyTree(t, whole)
		both(other, replace("report/soc2.pdf", `(?s).*`, `%PDF-1.4 all is well`))(t, dir)
		resign(t, dir, 1, func(*evidence.Manifest) {})
		r := fullVerify(t, dir, fixtureSigner(t, 1).Fingerprint())
		if !slices.Contains(r.Differing, "report/soc2.pdf") || !strings.Contains(r.Verdict(), "NOT verified") {
			t.Errorf("differing %v, verdict %q: want the report named and not called verified", r.Differing, r.Verdict())
		}
	})
	t.Run("a file that no pack has", func(t *testing.T) {
		t.Parallel()
		dir := copyTree(t, whole)
		other(t, dir)
		write(t, filepath.Join(dir, "LETTER.txt"), []byte("Everything is in order."))
		resign(t, dir, 1, func(*evidence.Manifest) {})
		r := fullVerify(t, dir, fixtureSigner(t, 1).Fingerprint())
		if r.Intact || !slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.File == "LETTER.txt" }) {
			t.Errorf("intact %v, problems %v: want LETTER.txt named", r.Intact, r.Problems)
		}
	})
}
