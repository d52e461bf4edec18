package evidence

import (
	"context"
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
