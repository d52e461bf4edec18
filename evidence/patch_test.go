package evidence_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

// TestPatch makes versions from others by steps over lines that changed, came, went and moved.
func TestPatch(t *testing.T) {
	t.Parallel()
	patched, err := evidence.Patcher()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	lines := func(n int) [][]byte {
		var out [][]byte
		for range n {
			out = append(out, fmt.Appendf(nil, "line %d\n", r.IntN(30)))
		}
		return out
	}
	for i := range 2000 {
		from := lines(1 + r.IntN(100))
		to := append([][]byte{}, from...)
		for range r.IntN(8) {
			at := r.IntN(len(to) + 1)
			switch gone := min(r.IntN(80), len(to)-at); i % 3 {
			case 0:
				to = append(to[:at:at], to[at+gone:]...)
			case 1:
				to = append(to[:at:at], append(lines(r.IntN(80)), to[at:]...)...)
			default:
				to = append(to[:at:at], append(lines(1), to[min(at+1, len(to)):]...)...)
			}
		}
		a, b := bytes.Join(from, nil), bytes.Join(to, nil)
		if i%5 == 0 {
			a = a[:len(a)-1]
		}
		if i%7 == 0 && len(b) > 0 {
			b = b[:len(b)-1]
		}
		if got, err := patched(a, b); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("from %q: %q, %v, want %q", a, got, err, b)
		}
	}
}
