package policies_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/policies"
)

// library is the one that comes with the program.
func library(t *testing.T) *policies.Library {
	t.Helper()
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func TestTar(t *testing.T) {
	t.Parallel()
	lib := library(t)
	var first, second bytes.Buffer
	if err := lib.WriteTar(&first); err != nil {
		t.Fatal(err)
	}
	again, err := policies.LoadTar(bytes.NewReader(first.Bytes()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.WriteTar(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("a library written again has other bytes")
	}
	if diff := cmp.Diff(lib.Catalog, again.Catalog); diff != "" {
		t.Error(diff)
	}
}
