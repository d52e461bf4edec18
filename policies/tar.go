package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// manifest is what OPA reads of a bundle. What is not below roots (parameters,
// the estate, the run) is given beside the bundle.
type manifest struct {
	Revision    string   `json:"revision"`
	RegoVersion int      `json:"rego_version"`
	Roots       []string `json:"roots"`
}

const manifestName = ".manifest"

// WriteTar writes the library as a tar.gz that is also a bundle for the stock
// opa binary, tests included. The same library gives the same bytes.
func (l *Library) WriteTar(w io.Writer) error {
	head, err := json.Marshal(manifest{Revision: l.Catalog.Revision, RegoVersion: 1, Roots: []string{"controls", "lib"}})
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(w)
	out := tar.NewWriter(packed)
	if err := writeFile(out, manifestName, append(head, '\n')); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		if err := writeFile(out, path, l.files[path]); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), packed.Close())
}

func writeFile(w *tar.Writer, path string, b []byte) error {
	head := &tar.Header{Typeflag: tar.TypeReg, Name: path, Size: int64(len(b)), Mode: 0o644, Format: tar.FormatUSTAR}
	if err := w.WriteHeader(head); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// LoadTar loads what WriteTar wrote. The archive may come from anyone: its size
// and number of files are bounded, and only plain files at known places are
// taken. Its manifest must carry the revision of what it holds.
func LoadTar(r io.Reader, parameters map[string]map[string]any) (*Library, error) {
	files, head, err := readTar(r)
	if err != nil {
		return nil, fmt.Errorf("reading the library: %w", err)
	}
	lib, err := load(files, parameters)
	if err != nil {
		return nil, err
	}
	if head.Revision != lib.Catalog.Revision {
		return nil, fmt.Errorf("%s: the revision there is %.100q, that of the files is %s: the library was changed after it was written", manifestName, head.Revision, lib.Catalog.Revision)
	}
	return lib, nil
}

func readTar(r io.Reader) (map[string][]byte, manifest, error) {
	var head manifest
	unpacked, err := gzip.NewReader(r)
	if err != nil {
		return nil, head, fmt.Errorf("not a tar.gz: %w", err)
	}
	// Twice the limit leaves room for the headers and their padding.
	in := tar.NewReader(io.LimitReader(unpacked, 2*maxSize))
	files, size, seen := map[string][]byte{}, 0, false
	for {
		entry, err := in.Next()
		switch {
		case errors.Is(err, io.EOF) && !seen:
			return nil, head, fmt.Errorf("no %s", manifestName)
		case errors.Is(err, io.EOF):
			return files, head, nil
		case err != nil:
			return nil, head, fmt.Errorf("tar: %w", err)
		case entry.Typeflag != tar.TypeReg:
			return nil, head, fmt.Errorf("%.100q: not a plain file; a library holds no links or folders", entry.Name)
		}
		b, err := io.ReadAll(io.LimitReader(in, maxFileSize+1))
		if err != nil {
			return nil, head, fmt.Errorf("%.100q: %w", entry.Name, err)
		}
		if entry.Name == manifestName && !seen {
			seen = true
			dec := json.NewDecoder(bytes.NewReader(b))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&head); err != nil {
				return nil, head, fmt.Errorf("%s: %w", manifestName, err)
			}
			continue
		}
		size += len(b)
		if err := add(files, entry.Name, b, size); err != nil {
			return nil, head, err
		}
	}
}
