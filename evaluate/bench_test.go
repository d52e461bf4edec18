package evaluate_test

import (
	"encoding/json"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// BenchmarkDecide decides the recorded estate; the reference decodes its bytes
// by encoding/json. Only their ratio in one run means anything.
func BenchmarkDecide(b *testing.B) {
	docs := recordedEstate(b)
	j, e := judgement(b, docs...), engine(b, embedded(b))
	var lines [][]byte
	size := int64(0)
	for _, d := range docs {
		line, err := d.Line()
		if err != nil {
			b.Fatal(err)
		}
		lines = append(lines, line)
		size += int64(len(line))
	}
	b.Run("engine", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if err := e.Decide(b.Context(), j, func(audit.Verdict) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for _, line := range lines {
				var v any
				if err := json.Unmarshal(line, &v); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
