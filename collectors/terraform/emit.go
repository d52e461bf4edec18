package terraform

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// instance is one resource instance, whatever format it was read from.
type instance struct {
	address, module, mode, typ, name, provider string

	index         any // nil, a number or a string
	schemaVersion any
	values        map[string]any
	secret        []string       // JSON pointers into values
	marks         any            // mirrors values, true where they are sensitive
	unknown       any            // mirrors values, true where they are known after apply
	missing       audit.GapCode  // why there are no values, and
	why           string         // what of the record should have held them
	extra         map[string]any // the keys of data that not all formats have
	deposed       string         // waits to be destroyed; not judged
	gone          bool           // a plan deletes or forgets it; not judged
}

// reading is one collection under way.
type reading struct {
	c        *Collector
	w        audit.SnapshotWriter
	label    string
	path     string
	count    int64
	counts   map[string]*tally
	seen     map[[16]byte]string // digest of an id → label of the file that has it
	gaps     []audit.Gap
	deposed  int64
	gone     int64
	stopping bool // the snapshot cannot be written, whatever is read
}

// tally counts a type and knows which files hold it.
type tally struct {
	listed int64
	labels []string
}

// take writes an instance, unless it is one that is not judged.
func (r *reading) take(ctx context.Context, in instance) error {
	if err := ctx.Err(); err != nil {
		r.stopping = true
		return err
	}
	if err := in.complete(); err != nil {
		return err
	}
	switch {
	case in.deposed != "":
		r.deposed++
		return nil
	case in.gone:
		r.gone++
		return nil
	}
	res := r.resource(in)
	sum := sha256.Sum256([]byte(res.ID))
	id := [16]byte(sum[:16])
	if first, twice := r.seen[id]; twice {
		r.gap(res.Type, audit.Failed)
		r.c.log.WarnContext(ctx, "two resources with one address; give each state a source of its own in the configuration",
			"origin", r.c.origin, "address", in.address, "file", r.path, "first", first)
		return nil
	}
	r.seen[id] = r.label
	err := r.w.Write(res)
	if err != nil && (errors.As(err, new(*audit.StorageError)) || ctx.Err() != nil) {
		r.stopping = true
		return err
	}
	t := r.counts[res.Type]
	if t == nil {
		t = &tally{}
		r.counts[res.Type] = t
	}
	t.listed++
	r.count++
	if len(t.labels) == 0 || t.labels[len(t.labels)-1] != r.label {
		t.labels = append(t.labels, r.label)
	}
	if err != nil {
		r.gap(res.Type, audit.Truncated)
		r.c.log.WarnContext(ctx, "resource left out", "origin", r.c.origin, "address", in.address, "file", r.path, "error", err.Error())
	}
	return nil
}

func (r *reading) gap(typ string, code audit.GapCode) {
	r.gaps = append(r.gaps, audit.Gap{Origin: r.c.origin, Type: typ, Code: code, Operation: "read " + r.label})
}

// complete refuses an instance that cannot be named.
func (in instance) complete() error {
	switch {
	case in.address == "" || in.name == "":
		return errors.New("a resource without address or name")
	case in.mode != modeManaged && in.mode != modeData:
		return fmt.Errorf("a resource whose mode is neither %s nor %s", modeManaged, modeData)
	case in.typ == "" || strings.ContainsFunc(in.typ, func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}):
		return errors.New("a resource whose type is not a name")
	}
	if _, err := renderKey(in.index); err != nil {
		return err
	}
	return nil
}

// dataPrefix begins the type names of data sources, so that they are in no
// population of what Terraform manages.
const dataPrefix = "data."

const valuesAt = "/data/values"

func (r *reading) resource(in instance) audit.Resource {
	typ := in.typ
	if in.mode == modeData {
		typ = dataPrefix + typ
	}
	data := map[string]any{
		"address": in.address, "module": in.module, "mode": in.mode, "name": in.name, "index": in.index,
		"provider": in.provider, "schema_version": number(in.schemaVersion), "values": in.values,
	}
	for key, v := range in.extra {
		data[key] = v
	}
	res := audit.Resource{
		Data: data, ID: audit.ResourceID(r.c.origin, typ, in.address), Name: in.name,
		Origin: r.c.origin, Source: audit.Terraform, Type: typ,
	}
	res.Redacted = redact(r.c.redactor, in.typ, in.values, append(in.secret, marked(in.marks, "")...), valuesAt)
	for _, at := range marked(in.unknown, valuesAt) {
		res.Gap(at, audit.KnownAfterApply, "plan")
	}
	if in.missing != "" {
		res.Gap(valuesAt, in.missing, in.why)
	}
	nameAndTags(&res, in.values)
	return res
}

// number keeps what is a number and drops anything else.
func number(v any) any {
	if n, ok := v.(interface{ Int64() (int64, error) }); ok {
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	return nil
}
