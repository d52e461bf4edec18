package terraform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Collect implements audit.Collector. A file that cannot be read is a
// population gap of the whole origin, and the others are read; where none can
// be read, that is the error. Files are read whole, whatever is asked for.
func (c *Collector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	req.Origin = c.origin
	n := audit.NewNarrow(req, w)
	return n.Settle(c.collect(ctx, n, req.Watch))
}

// Lists implements audit.Lister.
func (c *Collector) Lists(string) bool { return true }

func (c *Collector) collect(ctx context.Context, w audit.SnapshotWriter, watch *audit.Stopwatch) (audit.Collection, error) {
	docs := c.documents()
	r := &reading{c: c, w: w, counts: map[string]*tally{}, seen: map[[16]byte]string{}}
	col := audit.Collection{Identity: "local files", Endpoint: c.endpoint()}
	bases := map[string]string{} // label → what it is, for the auditor
	var failed []error
	for _, d := range docs {
		stop := watch.Start("read")
		call, basis, err := c.document(ctx, d, r)
		stop(err)
		if r.stopping {
			return col, err
		}
		col.Calls = append(col.Calls, call)
		bases[d.label] = basis
		if err != nil {
			failed = append(failed, err)
			r.label = d.label
			r.gap(audit.AllTypes, gapCode(err))
			c.log.WarnContext(ctx, "file could not be read", "origin", c.origin, "error", err.Error())
		}
	}
	col.Types = r.types(bases)
	col.Notices = r.notices()
	if len(failed) == len(docs) {
		code := gapCode(failed[0])
		for _, err := range failed {
			if gapCode(err) != code {
				code = audit.Failed
			}
		}
		operation := "read " + docs[0].label
		if len(docs) > 1 {
			operation = fmt.Sprintf("read %d files", len(docs))
		}
		return col, &audit.SourceError{Code: code, Operation: operation, Err: errors.Join(failed...)}
	}
	col.Gaps = r.gaps
	col.Exhaustive = len(r.gaps) == 0
	return col, nil
}

func (c *Collector) endpoint() string {
	paths := slices.Clone(c.files)
	for _, in := range c.inputs {
		paths = append(paths, in.Path)
	}
	return strings.Join(paths, ", ")
}

// document reads one document: a survey of all of it first, then its resources.
func (c *Collector) document(ctx context.Context, d document, r *reading) (call audit.Call, basis string, err error) {
	call = audit.Call{Operation: "read " + d.label, Parameters: map[string]string{"file": d.label}, Requests: 1}
	basis = d.label
	r.label, r.path, r.count = d.label, d.path, 0
	v, err := c.survey(ctx, d)
	if err == nil {
		v.describe(call.Parameters)
		basis = v.basis(d.label)
		err = c.resources(ctx, d, v, r)
	}
	call.Items = r.count
	if err != nil {
		call.Errors = 1
	}
	if err == nil {
		for _, typ := range v.untold() {
			r.gap(typ, audit.Truncated)
		}
	}
	if err == nil && v.limited {
		r.gap(audit.AllTypes, audit.Truncated)
		c.log.WarnContext(ctx, "the plan leaves something out: it was made with -target, or defers changes; plan the whole configuration",
			"origin", c.origin, "file", d.path)
	}
	return call, basis, err
}

func (c *Collector) survey(ctx context.Context, d document) (*survey, error) {
	if d.err != nil {
		return nil, fileError(d.path, c.limit, 0, d.err)
	}
	in, err := d.content(c.limit)
	if err != nil {
		return nil, fileError(d.path, c.limit, 0, err)
	}
	defer in.close()
	v, err := surveyDocument(ctx, in)
	if err != nil {
		return nil, fileError(d.path, c.limit, in.read, err)
	}
	return v, nil
}

func (c *Collector) resources(ctx context.Context, d document, v *survey, r *reading) error {
	in, err := d.content(c.limit)
	if err != nil {
		return fileError(d.path, c.limit, 0, err)
	}
	defer in.close()
	s := newStream(in)
	take := func(i instance) error {
		err := r.take(ctx, i)
		if err == nil || r.stopping {
			return err
		}
		return &FileError{What: err.Error(), Remedy: "give the file as Terraform wrote it"}
	}
	switch v.form {
	case plan:
		err = readPlan(s, v, take)
	case shown:
		err = readShown(s, take)
	default:
		err = readState(s, v.late, take)
	}
	if r.stopping {
		return err
	}
	if err == nil {
		err = unchanged(in, v)
	}
	if err != nil {
		return fileError(d.path, c.limit, in.read, err)
	}
	return nil
}

// unchanged makes sure that what was written is what was surveyed.
func unchanged(in *content, v *survey) error {
	sum, err := in.digest()
	if err == nil && sum != v.sha256 {
		err = &FileError{What: "changed while it was read", Remedy: "run again when nothing writes to it"}
	}
	return err
}

// describe says what was read, for whoever repeats it.
func (v *survey) describe(parameters map[string]string) {
	for key, value := range map[string]string{
		"format": string(v.form), "format_version": v.formatVersion, "terraform_version": v.terraformVersion,
		"serial": v.serial, "lineage": v.lineage, "planned_at": v.timestamp, "sha256": v.sha256,
	} {
		if value != "" {
			parameters[key] = value
		}
	}
}

func (v *survey) basis(label string) string {
	b := label + ": " + string(v.form)
	for _, part := range []struct{ name, value string }{
		{"serial", v.serial}, {"lineage", v.lineage}, {"Terraform", v.terraformVersion}, {"of", v.timestamp},
	} {
		if part.value != "" {
			b += ", " + part.name + " " + part.value
		}
	}
	return b
}

// basisFiles is how many files a count names; the calls name all.
const basisFiles = 3

func (r *reading) types(bases map[string]string) []audit.TypeCount {
	out := []audit.TypeCount{}
	for _, typ := range slices.Sorted(maps.Keys(r.counts)) {
		t := r.counts[typ]
		var parts []string
		for _, label := range t.labels[:min(len(t.labels), basisFiles)] {
			parts = append(parts, bases[label])
		}
		if more := len(t.labels) - basisFiles; more > 0 {
			parts = append(parts, strconv.Itoa(more)+" more files")
		}
		out = append(out, audit.TypeCount{Type: typ, Listed: t.listed, Completeness: audit.Listed, Basis: strings.Join(parts, "; ")})
	}
	return out
}

func (r *reading) notices() []audit.Notice {
	var out []audit.Notice
	if r.deposed > 0 {
		out = append(out, audit.Notice{
			Code: "deposed_instances", Subject: r.c.origin,
			Message: fmt.Sprintf("deposed instances, which wait to be destroyed and are not judged: %d", r.deposed),
		})
	}
	if r.gone > 0 {
		out = append(out, audit.Notice{
			Code: "planned_removals", Subject: r.c.origin,
			Message: fmt.Sprintf("resources that the plan deletes or forgets, which are not judged: %d", r.gone),
		})
	}
	return out
}
