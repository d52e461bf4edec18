package evidence

import (
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed texts/README.txt
var readmeText string

//go:embed texts/VERIFY.txt
var verifyText string

// instructions writes README.txt and VERIFY.txt.
func (a *assembly) instructions() error {
	run := a.rec.Run
	example, err := a.example()
	if err != nil {
		return err
	}
	fill := strings.NewReplacer("{pack}", a.id, "{run}", run.ID, "{entity}", oneLine(run.Entity), "{system}", oneLine(run.System),
		"{fingerprint}", a.signer, "{previous}", cmp.Or(a.previous, "none"), "{time}", strings.Join(timeOf(run).sentences(), "\n              "),
		"{payload_type}", payloadType, "{payload_type_length}", fmt.Sprint(len(payloadType)), "{example}", example, "{simulated}", fmt.Sprint(run.Simulated))
	if err := a.out.write(readmeFile, textType, []byte(fill.Replace(readmeText))); err != nil {
		return err
	}
	return a.out.write(verifyFile, textType, []byte(fill.Replace(verifyText)))
}

// plainName is what needs no quoting, for a shell and in JSON.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._:/ -]+$`)

// example shows one decision performed again by hand, with commands to paste.
func (a *assembly) example() (string, error) {
	l, ok := a.worked()
	if !ok {
		return "   (No decision of this pack has plain enough names for an example to paste.)\n", nil
	}
	ctl, _ := a.rec.Catalog.Control(l.Control)
	identity, err := l.identity()
	if err != nil {
		return "", err
	}
	slice := `echo '{"lookups":[]}' >"$t/slice.json"`
	about := "This control looks nothing up: its slice_digest is empty."
	if l.SliceDigest != "" {
		slice = `sed -n 's/^{"digest":"` + l.SliceDigest + `",/{/p' slices.ndjson | tr -d '\n' >"$t/slice.json"` + "\n    " + `sha256sum <"$t/slice.json"`
		about = "What it looked up is the line of slices.ndjson with its slice_digest; without\n   the key \"digest\", that is the SHA-256 of the line."
	}
	return strings.NewReplacer("{id}", l.ID, "{outcome}", string(l.Outcome), "{control}", l.Control, "{resource}", l.Resource,
		"{identity}", string(identity), "{name}", l.Name, "{origin}", l.Origin, "{input}", l.InputDigest,
		"{snapshot}", snapshotFile(l.Origin), "{slice}", slice, "{about}", about, "{package}", ctl.Package).Replace(exampleText), nil
}

// worked is the decision that serves as the example.
func (a *assembly) worked() (best Line, ok bool) {
	rank := 0
	for _, l := range a.sample.choose() {
		of := map[audit.Outcome]int{audit.Fail: 3, audit.Pass: 1}[l.Outcome]
		switch {
		case of == 0 || l.SliceDigest != "" && a.cfg.Decider == nil:
			continue
		case !plainName.MatchString(l.Resource) || !plainName.MatchString(l.Name) || !plainName.MatchString(l.Origin):
			continue
		case l.SliceDigest != "":
			of++
		}
		if of > rank {
			best, rank = l, of
		}
	}
	return best, rank > 0
}

// exampleText performs one decision again; each command stands on its own line,
// four spaces in, and works from the pack's folder.
const exampleText = `   This one: control {control} on
   {resource}, outcome {outcome}.

    t=$(mktemp -d)
    grep -F '"id":"{id}"' decisions.ndjson

   Its ID is the digest of the array of all that it rests on:

    printf '%s' '{identity}' | sha256sum

   Its document is a line of the snapshot, and input_digest is the SHA-256 of that line
   without its newline, {input}:

    grep -F '"id":"{resource}","name":"{name}","origin":"{origin}",' {snapshot} | tr -d '\n' >"$t/doc.json"
    sha256sum <"$t/doc.json"

   {about}

    {slice}

   data.json is what the rule reads beside the document: the parameters and the
   time from run.json, and what was looked up as data.estate.<source>.<kind>[<key>]:

    opa eval -f raw -d run:run.json -d slice:"$t/slice.json" '{"parameters": data.run.parameters, "run": {"as_of": data.run.run.as_of}, "estate": {s: kinds | some a in data.slice.lookups; s := a.source; kinds := {k: keys | some b in data.slice.lookups; b.source == s; k := b.kind; keys := {l.key: l.hits | some l in data.slice.lookups; l.source == s; l.kind == k; l.hits != null}}}}' >"$t/data.json"

   The rule. Its set of violations must be that of the decision; an empty set is
   a pass. (Where data.{package}.applies is there and false, the
   resource is excluded, whatever the set holds.)

    opa eval --strict-builtin-errors -f pretty -b library.tar.gz -d "$t/data.json" -i "$t/doc.json" 'data.{package}.violation'
    rm -r "$t"
`
