package elastic

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// count writes how the decisions of one control on one type of one origin came
// out: what posture is reckoned by, so that passes need no documents.
func (w *writer) count(c audit.Count) error {
	doc := w.base
	w.place(&doc, c.Origin)
	w.judged(&doc, c.Control)
	doc.Event.Kind, doc.Event.Outcome = "metric", unknown
	doc.Message = fmt.Sprintf("%s on %s of %s: %d of %d pass", c.Control, c.Type, c.Origin, c.Pass, c.Listed)
	doc.Ours.Kind, doc.Ours.Type, doc.Ours.Count = kindCount, c.Type, &counts{}
	doc.Ours.Count.add(c)
	return w.emit(id(kindCount, w.rec.Run.ID, c.Control, c.Type, c.Origin), c.Control, &doc)
}

func (n *counts) add(c audit.Count) {
	n.Listed += c.Listed
	n.Pass += c.Pass
	n.Fail += c.Fail
	n.NotEvaluated += c.NotEvaluated
	n.Excluded += c.Excluded
	n.Excepted += c.Excepted
	n.Gaps += int64(len(c.Gaps))
}

const mostNotices = 1000

// run writes the run itself.
func (w *writer) run() error {
	r, doc := w.rec.Run, w.base
	doc.Event.Kind, doc.Event.Outcome = "event", "success"
	if r.Status != audit.Complete {
		doc.Event.Outcome = unknown
	}
	more := &runMore{
		Previous: r.Previous, Entity: r.Entity, System: r.System, Config: r.ConfigDigest, Engine: r.Engine, Scope: r.Scope,
		Started: audit.Stamp(r.Started), Ended: audit.Stamp(r.Ended), Seconds: int64(r.Ended.Sub(r.Started).Seconds()),
		Origins: len(r.Snapshots), Gaps: len(r.Gaps()),
	}
	for _, s := range r.Snapshots {
		more.Resources += s.Resources
	}
	of := *doc.Ours.Run
	of.runMore = more
	total := &totals{}
	for _, c := range r.Counts {
		total.add(c)
	}
	if judged := total.Listed - total.Excluded; judged > 0 {
		percent := math.Floor(1000*float64(total.Pass)/float64(judged)) / 10 // 100 only where all pass
		total.Percent = &percent
	}
	o := &doc.Ours
	o.Kind, o.Run, o.Total, o.Moved = kindRun, &of, total, &w.moved
	for _, n := range r.Notices[:min(len(r.Notices), mostNotices)] {
		o.Notice = append(o.Notice, notice{n.Code, bounded(n.Subject, 8<<10), bounded(n.Message, 8<<10)})
	}
	doc.Message = fmt.Sprintf("Run %.12s of %s: %d pass, %d fail, %d not evaluated", r.ID, r.System, total.Pass, total.Fail, total.NotEvaluated)
	return w.emit(id(kindRun, r.ID), "", &doc)
}

// repairDocument writes one step of a repair. The library is not at hand: of the
// control it has the id.
func repairDocument(cfg Config, a audit.Announcement, delivery string, yield func(id string, doc []byte) error) error {
	r := a.Repair
	w := &writer{cfg: cfg}
	doc := document{
		At: audit.Stamp(a.At), ECS: ecs{ecsVersion}, Observer: observerOf(cfg), Stream: streamOf(cfg),
		Message: fmt.Sprintf("Repair %.12s of %s on %s by %s: %s", r.ID, r.Control, r.Resource, r.Runbook, r.State),
		Event: event{
			Kind: "event", Category: []string{"configuration"}, Type: []string{"change"}, Outcome: repairOutcome(r),
			Created: audit.Stamp(a.At), Sequence: a.At.Unix(), Dataset: dataset, Module: "crosscheck",
		},
		Resource: &resource{ID: r.Resource, Name: r.Name, Type: r.Type, SubType: r.Type}, Related: &related{[]string{r.Resource}},
	}
	w.place(&doc, r.Origin)
	o := &doc.Ours
	o.Delivery, o.Kind, o.Control, o.Owner, o.Type = delivery, kindRepair, r.Control, r.Owner, r.Type
	o.Repair = &repair{
		ID: r.ID, Runbook: r.Runbook, Version: r.Version, Digest: r.Digest, Runner: r.Runner, Mode: r.Mode, State: r.State,
		Reason: bounded(r.Reason, 8<<10), Decision: r.Decision, Run: r.Run, Updated: stamp(r.Updated),
		Requested: stepOf(r.Requested), Decided: stepOf(r.Decided), Acted: stepOf(r.Acted), Verified: stepOf(r.Verified), Undone: stepOf(r.Undone),
		Settled: stepOf(r.Settled),
	}
	doc.Event.ID = id(kindRepair, a.Key)
	b, err := json.Marshal(struct {
		Rule map[string]string `json:"rule"`
		document
	}{map[string]string{"id": r.Control}, doc})
	if err != nil {
		return err
	}
	return yield(doc.Event.ID, b)
}

func repairOutcome(r *audit.Repair) string {
	switch r.State {
	case audit.RepairSettled:
		if r.Settled != nil && r.Settled.Outcome == audit.Fail {
			return "failure"
		}
		return "success"
	case audit.RepairVerified, audit.RepairRolledBack:
		return "success"
	case audit.RepairFailed, audit.RepairStuck, audit.RepairUnknown:
		return "failure"
	}
	return unknown
}
