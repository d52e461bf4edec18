package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Manifest is one file of Kubernetes objects: YAML or JSON, any number of
// documents, lists unfolded.
type Manifest struct {
	Path string                        // as given; names the origin: kubernetes/<Path>
	Open func() (io.ReadCloser, error) // nil: the file at Path; may be called more than once
}

// ManifestConfig says which files are read.
type ManifestConfig struct {
	Files    []Manifest
	Redactor *audit.Redactor
}

// Manifests reads objects that are to be applied to a cluster, from files.
type Manifests struct {
	files    map[string]Manifest // by origin
	origins  []string
	redactor *audit.Redactor
}

// NewManifests opens no file. Each file is an origin of its own.
func NewManifests(cfg ManifestConfig) (*Manifests, error) {
	if len(cfg.Files) == 0 || cfg.Redactor == nil {
		return nil, errors.New("kubernetes manifests: files and a redactor are required")
	}
	m := &Manifests{files: map[string]Manifest{}, redactor: cfg.Redactor}
	for _, f := range cfg.Files {
		name := f.Path
		switch {
		case name == "":
			return nil, errors.New("kubernetes manifests: a file has no path")
		case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
			name = strconv.Quote(name)
		}
		if f.Open == nil {
			f.Open = func() (io.ReadCloser, error) { return os.Open(f.Path) }
		}
		origin := audit.Kubernetes + "/" + name
		if _, ok := m.files[origin]; ok {
			return nil, fmt.Errorf("kubernetes manifests: %q is given twice", f.Path)
		}
		m.files[origin] = f
		m.origins = append(m.origins, origin)
	}
	return m, nil
}

// Origins implements audit.Collector.
func (m *Manifests) Origins() []string { return slices.Clone(m.origins) }

// Collect implements audit.Collector. It reads a whole file whatever is wrong
// with parts of it; the error names each document that is no Kubernetes object.
func (m *Manifests) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	f, ok := m.files[req.Origin]
	if !ok {
		return audit.Collection{}, fmt.Errorf("kubernetes manifests have no origin %q", req.Origin)
	}
	r := &reading{origin: req.Origin, redactor: m.redactor, w: w, counts: map[string]int64{}, ids: map[string]int{}, generated: map[string]int{}}
	stop := req.Watch.Start("read")
	err := r.file(ctx, f)
	stop(err)
	if r.own != nil {
		return audit.Collection{}, r.own
	}
	col := audit.Collection{
		Identity: "whoever ran crosscheck", Endpoint: f.Path, Exhaustive: true,
		Calls: []audit.Call{{Operation: "read manifests", Parameters: map[string]string{"path": f.Path}, Requests: 1, Items: int64(len(r.ids))}},
	}
	for _, typ := range slices.Sorted(maps.Keys(r.counts)) {
		col.Types = append(col.Types, audit.TypeCount{Type: typ, Listed: r.counts[typ], Completeness: audit.Listed, Basis: "all documents of the file"})
	}
	if err != nil {
		col.Calls[0].Errors = 1
		return col, &audit.SourceError{Code: audit.Failed, Operation: "read manifests", Err: err}
	}
	return col, nil
}

// reading is one file being read.
type reading struct {
	origin   string
	redactor *audit.Redactor
	w        audit.SnapshotWriter
	counts   map[string]int64
	ids      map[string]int // type and native id → document

	generated map[string]int // type and generateName → how many
	own       error          // crosscheck's own failure, which ends the run
}

// maxErrors are named for one file; more say nothing new.
const maxErrors = 10

func (r *reading) file(ctx context.Context, f Manifest) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var found []error
	s := newSplitter(in)
	for n := 1; len(found) < maxErrors; {
		part, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			found = append(found, fmt.Errorf("%s: document %d: %w", f.Path, n, err))
			break // the rest cannot be told apart
		}
		err = part.objects(func(v any, err error) error {
			if err == nil {
				err = r.document(n, v, 0)
			}
			if r.own = errors.Join(r.own, ctx.Err()); r.own != nil {
				return r.own
			}
			if err != nil && len(found) < maxErrors {
				found = append(found, fmt.Errorf("%s: document %d, from line %d: %w", f.Path, n, part.line, err))
			}
			n++
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(found) == 0 && len(r.ids) == 0 {
		return fmt.Errorf("%s: holds no Kubernetes object: give a file with apiVersion, kind and metadata", f.Path)
	}
	return errors.Join(found...)
}

// maxLists is how deep lists may lie in lists.
const maxLists = 4

// document writes one object, or each object of a list.
func (r *reading) document(n int, v any, lists int) error {
	if v == nil {
		return nil // nothing but comments
	}
	object, ok := v.(map[string]any)
	if !ok {
		return errors.New("is not an object: a Kubernetes object has apiVersion, kind and metadata")
	}
	apiVersion, kind, err := groupVersionKind(object)
	if err != nil {
		return err
	}
	if items, ok := object["items"]; ok && strings.HasSuffix(kind, "List") {
		list, ok := items.([]any)
		if !ok && items != nil || lists >= maxLists {
			return fmt.Errorf("%s: items is no list of objects, or lies too deep in other lists", kind)
		}
		return r.items(n, apiVersion, strings.TrimSuffix(kind, "List"), list, lists+1)
	}
	native, err := r.native(apiVersion+"/"+kind, object)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return r.write(n, apiVersion, kind, native, object)
}

// items writes the objects of a list, which may leave out what the list says for all.
func (r *reading) items(n int, apiVersion, kind string, list []any, lists int) error {
	var found []error
	for i, item := range list {
		if object, ok := item.(map[string]any); ok && kind != "" {
			for key, v := range map[string]string{"apiVersion": apiVersion, "kind": kind} {
				if _, ok := object[key]; !ok {
					object[key] = v
				}
			}
		}
		err := r.document(n, item, lists)
		if err == nil && item == nil {
			err = errors.New("is null")
		}
		if err != nil && len(found) < maxErrors {
			found = append(found, fmt.Errorf("item %d: %w", i+1, err))
		}
		if r.own != nil {
			return r.own
		}
	}
	return errors.Join(found...)
}

// native is the id of an object, or of the many that generateName stands for.
func (r *reading) native(typ string, object map[string]any) (string, error) {
	native, err := nativeID(object)
	meta, _ := object["metadata"].(map[string]any)
	if meta == nil || meta["name"] != nil && meta["name"] != "" {
		return native, err
	}
	generate, gerr := segment(meta, "generateName")
	namespace, nerr := segment(meta, "namespace")
	switch {
	case gerr != nil || nerr != nil:
		return "", errors.Join(gerr, nerr)
	case generate == "":
		return "", err
	}
	if namespace != "" {
		generate = namespace + "/" + generate
	}
	key := typ + "/" + generate
	if r.generated[key]++; r.generated[key] > 1 {
		return fmt.Sprintf("%s#%d", generate, r.generated[key]), nil
	}
	return generate, nil
}

func (r *reading) write(n int, apiVersion, kind, native string, object map[string]any) error {
	key := apiVersion + "/" + kind + "/" + native
	if first, ok := r.ids[key]; ok {
		return fmt.Errorf("%s %q is in document %d already: only the last one would stay in the cluster, so remove the others", kind, native, first)
	}
	res := newResource(r.redactor, r.origin, apiVersion, kind, native, object)
	if err := r.w.Write(res); err != nil {
		if errors.As(err, new(*audit.StorageError)) {
			r.own = err
		}
		return err
	}
	r.ids[key] = n
	r.counts[res.Type]++
	return nil
}

// groupVersionKind reads what every object must say of itself.
func groupVersionKind(object map[string]any) (apiVersion, kind string, err error) {
	for key, to := range map[string]*string{"apiVersion": &apiVersion, "kind": &kind} {
		*to, _ = object[key].(string)
	}
	unfit := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	switch {
	case apiVersion == "" && kind == "":
		return "", "", errors.New("apiVersion and kind are missing: it is not a Kubernetes object")
	case apiVersion == "":
		return "", "", fmt.Errorf("apiVersion of %s is missing, or no string", strconv.Quote(kind))
	case kind == "":
		return "", "", errors.New("kind is missing, or no string")
	case strings.Count(apiVersion, "/") > 1 || strings.HasPrefix(apiVersion, "/") || strings.HasSuffix(apiVersion, "/") || strings.ContainsFunc(apiVersion, unfit):
		return "", "", fmt.Errorf("apiVersion %q is not <version> or <group>/<version>", apiVersion)
	case strings.Contains(kind, "/") || strings.ContainsFunc(kind, unfit):
		return "", "", fmt.Errorf("kind %q is not one word", kind)
	case strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/"):
		return "", "", fmt.Errorf("%s is an input of kustomize: render it with `kubectl kustomize` and give the result", kind)
	}
	return apiVersion, kind, nil
}
