package policies_test

import (
	"bytes"
	"testing"
	"testing/fstest"

	"github.com/crosscheck-dev/crosscheck/policies"
)

// FuzzLoad: whatever a control, an adapter and a framework say, Load answers
// with a library or an error.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(control), []byte(adapter), []byte(framework))
	f.Add([]byte("# METADATA\n# custom: [1]\npackage controls.x\n"), []byte("package lib.x\nx if x\n"), []byte("a: &a [*a]"))
	f.Add([]byte("# METADATA\n# custom: {id: {}}\npackage controls.x\nviolation[1][2] := 3"), []byte("package lib.x\nf(input) := input"), []byte("- ? - : x"))
	f.Add([]byte(control), []byte("package lib.test.thing\nused if { some k; data.estate.aws.x[k]; every k, v in [1] { data.estate.aws.y[v] } }"), []byte("{}"))
	f.Fuzz(func(t *testing.T, control, adapter, framework []byte) {
		lib, err := policies.Load(fstest.MapFS{
			"controls/test/good.rego": {Data: control}, "lib/test/thing.rego": {Data: adapter}, "frameworks/test.yaml": {Data: framework},
		}, nil)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := lib.WriteTar(&out); err != nil {
			t.Fatal(err)
		}
		again, err := policies.LoadTar(&out, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again.Catalog.Revision != lib.Catalog.Revision {
			t.Errorf("written and read again, the revision is %s instead of %s", again.Catalog.Revision, lib.Catalog.Revision)
		}
	})
}

// FuzzLoadTar: whatever an archive holds, LoadTar answers with a library or an error.
func FuzzLoadTar(f *testing.F) {
	lib, err := policies.Load(small(), nil)
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if err := lib.WriteTar(&out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add(packed(f, entry{".manifest", '0', "{}"}, entry{"lib/../x", '2', ""}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = policies.LoadTar(bytes.NewReader(b), nil)
	})
}
