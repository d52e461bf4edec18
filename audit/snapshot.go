package audit

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"
)

// AllTypes in a gap stands for every type of its origin.
const AllTypes = "*"

// GapCode says why something that should have been read was not. The list is
// closed: an error's own text varies and may leak, and goes to the log instead.
type GapCode string

// The gap codes.
const (
	AccessDenied    GapCode = "AccessDenied"    // the identity may not read it
	Unauthenticated GapCode = "Unauthenticated" // no credentials, or expired ones
	Throttled       GapCode = "Throttled"       // retries did not get through the limit
	Unreachable     GapCode = "Unreachable"     // no answer: network, DNS, TLS, timeout
	Failed          GapCode = "Failed"          // the source answered with an error, or with nonsense
	Truncated       GapCode = "Truncated"       // more exists than was read
	KnownAfterApply GapCode = "KnownAfterApply" // a Terraform plan does not know it yet
	Unproven        GapCode = "Unproven"        // the source may have hidden some silently
	NotCollected    GapCode = "NotCollected"    // nothing is configured to read it
	Stale           GapCode = "Stale"           // older than a day
)

// Reason renders a document gap: the code and the operation that it befell.
func (c GapCode) Reason(operation string) string { return string(c) + " " + operation }

// Gap is a population gap: resources of a type of an origin that may exist and were not read.
type Gap struct {
	Origin    string  `json:"origin"`
	Type      string  `json:"type"` // or AllTypes, or "<prefix>/*": every type that begins with "<prefix>/"
	Code      GapCode `json:"code"`
	Operation string  `json:"operation"` // the call that failed, as its source names it: s3:ListBuckets
}

func (g Gap) compare(h Gap) int {
	return cmp.Or(cmp.Compare(g.Origin, h.Origin), cmp.Compare(g.Type, h.Type),
		cmp.Compare(g.Code, h.Code), cmp.Compare(g.Operation, h.Operation))
}

// Covers tells whether the gap may hide resources of a type.
func (g Gap) Covers(typ string) bool {
	prefix, some := strings.CutSuffix(g.Type, "/*")
	return g.Type == AllTypes || g.Type == typ || some && strings.HasPrefix(typ, prefix+"/")
}

// Completeness says how it is known that all resources of a type were listed.
type Completeness string

// The kinds of completeness.
const (
	Listed     Completeness = "listed"     // the source's list call answers everything or an error
	Proved     Completeness = "proved"     // own permissions were read and are unconstrained
	Reconciled Completeness = "reconciled" // counted independently, and equal
	Asserted   Completeness = "asserted"   // a named person says so in the configuration
)

// TypeCount is what a source said it has of one type.
type TypeCount struct {
	Type         string       `json:"type"`
	Listed       int64        `json:"listed"`
	Completeness Completeness `json:"completeness"`
	Basis        string       `json:"basis,omitempty"` // the call, the sum, or who asserted it and why
}

// Call is one operation a collector used, for the auditor to see how data came about.
type Call struct {
	Operation  string            `json:"operation"`            // as the source names it: iam:ListUsers, GET /api/dcim/devices/
	Permission string            `json:"permission,omitempty"` // what the identity needs
	Parameters map[string]string `json:"parameters,omitempty"`
	Requests   int64             `json:"requests"`
	Items      int64             `json:"items"`
	Errors     int64             `json:"errors"`
}

// Collection is what a collector says about one reading of one origin, beside the documents.
type Collection struct {
	Identity   string      // who read: an ARN, a Kubernetes user, a NetBox user; never a secret
	Endpoint   string      // what was asked: host or path, without credentials
	Types      []TypeCount // every type the collector is answerable for in this origin, zero counts too
	Exhaustive bool        // a type not in Types has no resources here
	Answers    []string    // the only types that can be here, also where reading failed; empty: any
	Gaps       []Gap
	Absent     []string // of Request.Resources: the source says that they do not exist
	Calls      []Call
	Notices    []Notice
	Started    time.Time // recorded data only: when it was collected; zero for live reading
	Ended      time.Time
}

// Request names what to collect: everything, or all resources of some types and
// some resources by their ids.
//
// Narrowed, a collector reads no more than it has to: where it cannot ask for a
// resource it reads its type. It may write more than was asked for. It counts
// in Collection.Types those of Types alone. Each of Resources is written, or it
// is in Absent, proven by an answer of the source, or a gap says why it could
// not be read: one of its type, or of all.
type Request struct {
	Origin    string
	Types     []string // sorted
	Resources []string // sorted
	Watch     *Stopwatch
}

// Whole tells whether everything is asked for.
func (r Request) Whole() bool { return len(r.Types)+len(r.Resources) == 0 }

// All tells whether all resources of a type are asked for.
func (r Request) All(typ string) bool { return r.Whole() || slices.Contains(r.Types, typ) }

// Of lists the native ids of the resources of a type that are asked for, as ResourceID rendered them.
func (r Request) Of(typ string) []string {
	var out []string
	for _, id := range r.Resources {
		if native, ok := strings.CutPrefix(id, r.Origin+"/"+typ+"/"); ok {
			out = append(out, native)
		}
	}
	return out
}

// Collector reads the origins of one configured source.
//
// Collect writes every resource it can read. What it cannot read is a gap: in
// the document, or of (origin, type). An error means that the origin could not
// be read at all; what was written before is kept and the whole origin is a gap.
// Origins does no I/O: what is to be audited is known before anything answers.
type Collector interface {
	Origins() []string
	Collect(ctx context.Context, req Request, w SnapshotWriter) (Collection, error)
}

// SnapshotWriter takes resources in any order, from any number of goroutines.
// One that looks at more than what names them asks for Resource.Values.
type SnapshotWriter interface {
	Write(Resource) error
}

// Sealer is what a SnapshotWriter may be besides. Seal says that all is written,
// and gives the digest that the snapshot has: whoever knows what it must be
// need not hash the lines again.
type Sealer interface {
	Seal() (digest string, err error)
}

// Snapshot is all that one collector saw of one origin at one moment.
type Snapshot struct {
	Origin     string      `json:"origin"`
	Digest     string      `json:"digest"` // SHA-256 of the uncompressed NDJSON, and its name in the vault
	Resources  int64       `json:"resources"`
	Bytes      int64       `json:"bytes"` // uncompressed
	Identity   string      `json:"identity"`
	Endpoint   string      `json:"endpoint"`
	Started    time.Time   `json:"started"`
	Ended      time.Time   `json:"ended"`
	Recorded   bool        `json:"recorded"`
	Exhaustive bool        `json:"exhaustive"`
	Answers    []string    `json:"answers,omitempty"` // sorted
	Types      []TypeCount `json:"types"`
	Documents  []TypeCount `json:"documents"` // per type, how many documents the snapshot holds
	Gaps       []Gap       `json:"gaps"`
	Calls      []Call      `json:"calls"`
	Fresh      *Fresh      `json:"fresh,omitempty"` // re-audit: what is not of the run that it is laid over
}

// Vault stores immutable content under the SHA-256 of its bytes (hex). Open's
// reader fails at the end if the bytes are not what the digest promises.
//
// PutLines stores what Put does, for lines in order of id: documents, or the
// verdicts of a segment. like names an object that they probably resemble, so that only what
// differs is stored; it is a hint, and may be empty or not there.
type Vault interface {
	Put(ctx context.Context, r io.Reader) (digest string, err error)
	PutLines(ctx context.Context, r io.Reader, like string) (digest string, err error)
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}
