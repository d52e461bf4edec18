package evidence

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// OpenEnvelope checks an envelope against manifest and key.
func OpenEnvelope(ctx context.Context, envelope, manifest, publicPEM []byte) error {
	public, fingerprint, err := parsePublic(publicPEM)
	if err != nil {
		return err
	}
	return openEnvelope(ctx, envelope, manifest, public, fingerprint)
}

// Seal renders the envelope of a manifest.
func Seal(ctx context.Context, s *Signer, manifest []byte) ([]byte, error) {
	return seal(ctx, s, manifest)
}

// ParseLine reads a line of decisions.ndjson.
func ParseLine(b []byte) (Line, error) { return parseLine(b) }

// ParseRun reads run.json.
func ParseRun(b []byte) error {
	_, err := parseRun(b)
	return err
}

// FileName and the others are what a pack does with names.
func FileName(name string) string { return fileName(name) }

// SafePath tells whether a path may be in a pack.
func SafePath(path string) bool { return safePath(path) }

// Inert makes a CSV cell harmless.
func Inert(cell string) string { return inert(cell) }

// NewWrap gives what sets a text in lines as a report does.
func NewWrap() (func(s string, width float64) []string, error) {
	l, err := newLayout(time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	l.newPage()
	return func(s string, width float64) []string {
		lines := l.fonts.wrap(l.fonts.legible(s, plain), plain, 9, width)
		for _, f := range []face{plain, bold, mono} {
			l.at(margin, bodyTop, s, f, 9, ink)
		}
		if err := l.pdf.Error(); err != nil {
			panic(err)
		}
		return lines
	}, nil
}

// ResultWords judges every requirement of a framework by counts alone.
func ResultWords(run audit.Run, catalog audit.Catalog, framework string) (map[string]string, error) {
	list, err := newTested(run, catalog)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, f := range catalog.Frameworks {
		if f.ID != framework {
			continue
		}
		for _, r := range resultsOf(f, list) {
			out[r.requirement.ID] = r.word
		}
	}
	return out, nil
}

// Edition, EndpointText, SharedBasis and WithoutMetadata are what a report makes of words.
func Edition(title, version string) string {
	return edition(audit.Framework{Title: title, Version: version})
}

// MethodText says how a run was decided, a line for each fact.
func MethodText(run audit.Run) string {
	var out []string
	for _, fact := range methodText(run) {
		out = append(out, fact[0]+": "+fact[1])
	}
	return strings.Join(out, "\n")
}

// EndpointText names an endpoint.
func EndpointText(endpoint string) string { return endpointText(endpoint) }

// SharedBasis is how bases end alike.
func SharedBasis(bases ...string) string {
	var types []audit.TypeCount
	for _, b := range bases {
		types = append(types, audit.TypeCount{Basis: b})
	}
	return sharedBasis(types)
}

// WithoutMetadata leaves out what a report tells in other words.
func WithoutMetadata(rego string) string { return withoutMetadata(rego) }

// Imported lists the modules of a library that a file imports.
func Imported(library io.Reader, file string) ([]string, error) {
	all, err := readModules(library)
	out := []string{}
	for _, m := range imported(all, file) {
		out = append(out, m.path)
	}
	return out, err
}
