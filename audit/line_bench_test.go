package audit_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// BenchmarkLines reads resource documents; the reference decodes their bytes by
// encoding/json. Only the ratios in one run mean anything.
func BenchmarkLines(b *testing.B) {
	content := bytes.Repeat([]byte(document(`{"Arn":"arn:aws:iam::111122223333:instance-profile/role","Code":16,"Monitoring":{"State":"disabled"},"Name":"running",`+
		`"NetworkInterfaces":[{"NetworkInterfaceId":"eni-0123456789","PrivateIpAddress":"10.0.1.17","SubnetId":"subnet-0123456789","VpcId":"vpc-0123456789"}],`+
		`"Ports":[22,80,443],"Public":false,"Rules":[{"From":22,"To":22},{"From":80,"To":90}]}`)+"\n"), 2000)
	for name, read := range map[string]func(line []byte) error{
		"encoding-json":  func(line []byte) error { var v any; return json.Unmarshal(line, &v) },
		"parse-head":     func(line []byte) error { _, err := audit.ParseHead(line); return err },
		"parse-line":     func(line []byte) error { _, err := audit.ParseLine(line); return err },
		"parse-resource": func(line []byte) error { _, err := audit.ParseResource(line); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if err := audit.EachLine(content, read); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSegment reads stored verdicts; the reference decodes their bytes by encoding/json.
func BenchmarkSegment(b *testing.B) {
	line := storedVerdicts(b)[1]
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(line)))
		for b.Loop() {
			var v any
			if err := json.Unmarshal(line, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stored", func(b *testing.B) {
		b.SetBytes(int64(len(line)))
		v := &audittest.Vault{}
		digest, err := v.Put(b.Context(), bytes.NewReader(bytes.Repeat(append(bytes.Clone(line), '\n'), 1000)))
		if err != nil {
			b.Fatal(err)
		}
		rec := audit.Record{Vault: v, Run: audit.Run{Verdicts: digest}, Catalog: audit.Catalog{Controls: []audit.Control{{ID: "C"}, {ID: "D"}}}}
		n := 0
		for b.Loop() {
			if n++; n%1000 == 1 { // a thousand lines at once
				if err := rec.Stored(b.Context(), func(audit.Verdict) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
