package evidence_test

import (
	"encoding/json"
	"testing"
)

func jsonNumber(s string) json.Number { return json.Number(s) }

func TestPackVerifies(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	r := fullVerify(t, dir, fixtureSigner(t, 1).Fingerprint())
	for _, l := range r.Lines() {
		t.Log(l)
	}
	if !r.Intact || !r.Signer.Authenticated || r.Redecided == 0 {
		t.Errorf("the pack does not verify: %+v", r)
	}
}
