package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// document is the JSON of a run, but for what failed, which follows as the member "failed".
type document struct {
	Run       string            `json:"run"`
	Status    audit.Status      `json:"status"`
	Simulated bool              `json:"simulated"`
	Warnings  []string          `json:"warnings"`
	Entity    string            `json:"entity"`
	System    string            `json:"system"`
	AsOf      string            `json:"as_of"`
	Started   string            `json:"started"`
	Ended     string            `json:"ended"`
	Trigger   audit.Trigger     `json:"trigger"`
	Scope     audit.Scope       `json:"scope"`
	Revision  string            `json:"revision"`
	Engine    string            `json:"engine"`
	Refereed  int64             `json:"refereed"`
	Evaluated []audit.Evaluated `json:"evaluated,omitempty"`
	Previous  string            `json:"previous,omitempty"`
	Total     totals            `json:"total"`
	Controls  []control         `json:"controls"`
	Snapshots []audit.Snapshot  `json:"snapshots"`
	Gaps      []audit.Gap       `json:"gaps"`
	Notices   []audit.Notice    `json:"notices"`
}

// writeJSON streams one JSON document: everything that failed, excepted or not,
// in order of origin and resource, one a line.
func writeJSON(ctx context.Context, w *bufio.Writer, rec audit.Record, s summary) error {
	run := s.run
	head, err := encoded(document{
		Run: run.ID, Status: run.Status, Simulated: run.Simulated, Warnings: some(s.warnings()), Entity: run.Entity, System: run.System,
		AsOf: audit.Stamp(run.AsOf), Started: audit.Stamp(run.Started), Ended: audit.Stamp(run.Ended), Trigger: run.Trigger,
		Scope: run.Scope, Revision: run.Revision, Engine: run.Engine, Refereed: run.Refereed, Evaluated: run.Evaluated, Previous: run.Previous, Total: s.total, Controls: s.controls,
		Snapshots: some(run.Snapshots), Gaps: some(run.Gaps()), Notices: some(run.Notices),
	})
	if err != nil {
		return err
	}
	_, _ = w.Write(bytes.TrimSuffix(head, []byte("}")))
	_, _ = w.WriteString(`,"failed":[`)
	separator := "\n"
	err = failed(ctx, rec, func(v violation) error {
		b, err := encoded(v)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(separator)
		separator = ",\n"
		_, err = w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.WriteString("]}\n")
	return err
}

func encoded(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return printableJSON(bytes.TrimSpace(buf.Bytes())), nil
}

// some renders no elements as an empty array.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
