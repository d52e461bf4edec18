package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

// canaries are secrets, each by the place that it is planted in. What is looked
// for is the core of one: no escaping changes letters and digits, and the signs
// around it make sure that there is something to escape.
type canaries map[string]string

// plant makes the secret of a place.
func (c canaries) plant(place string) string { return "p\"<&+%/ä " + c.token(place) + "' \\=\n" }

// token is like plant, for what is sent in a header.
func (c canaries) token(place string) string {
	if c[place] == "" {
		sum := sha256.Sum256([]byte(place))
		c[place] = "cAnaRy" + hex.EncodeToString(sum[:10])
	}
	return c[place]
}

// forms are what a text becomes in the encodings in which it may get out.
func forms(core string) map[string][]byte {
	out := map[string][]byte{
		"plain": []byte(core), "hex": []byte(hex.EncodeToString([]byte(core))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(core)))),
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune(core)) {
		wide = append(wide, byte(u>>8), byte(u))
	}
	out["UTF-16, as in a PDF"] = wide
	for shift := range 3 {
		// The characters at both ends depend on what stands beside.
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + core))
		first := []int{0, 2, 3}[shift]
		whole := (shift + len(core)) * 8 / 6
		out[fmt.Sprintf("base64, shifted by %d", shift)] = []byte(enc[first:whole])
	}
	return out
}

// refuse fails for each canary that is in any of the texts, in any form.
func (c canaries) refuse(t *testing.T, texts map[string][]byte) {
	t.Helper()
	for _, place := range slices.Sorted(maps.Keys(c)) {
		for form, want := range forms(c[place]) {
			for _, name := range slices.Sorted(maps.Keys(texts)) {
				if i := bytes.Index(texts[name], want); i >= 0 {
					t.Errorf("the secret of %q is in %s (%s): …%q…", place, name, form, around(texts[name], i))
				}
			}
		}
	}
}

// holding names the texts that hold something, in any form.
func holding(texts map[string][]byte, what string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		for _, want := range forms(what) {
			if bytes.Contains(texts[name], want) {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

// unpacked adds to files what is inside of them: whatever is compressed, in a
// container, or a PDF's.
func unpacked(t *testing.T, files map[string][]byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, b := range files {
		out[name] = b
		inside, err := inside(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for part, b := range unpacked(t, inside) {
			out[name+"!"+part] = b
		}
	}
	return out
}

func inside(b []byte) (map[string][]byte, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		content, err := io.ReadAll(r)
		return map[string][]byte{"content": content}, err
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		return map[string][]byte{"content": content}, err
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return insideZip(b)
	case bytes.HasPrefix(b, []byte("%PDF")):
		return insidePDF(b)
	}
	return nil, nil
}

func insideZip(b []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		if out[f.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var pdfStream = regexp.MustCompile(`(?s)stream\r?\n`)

// insidePDF inflates the streams of a PDF and undoes the escapes of its strings.
func insidePDF(b []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	for i, at := range pdfStream.FindAllIndex(b, -1) {
		r, err := zlib.NewReader(bytes.NewReader(b[at[1]:]))
		if err != nil {
			continue // endstream, or a stream that is not compressed
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		unescaped := strings.NewReplacer(`\\`, `\`, `\(`, `(`, `\)`, `)`, `\r`, "\r").Replace(string(content))
		out[fmt.Sprintf("stream %d", i)] = []byte(unescaped)
	}
	return out, nil
}

// rows are the rows of every table of a ledger, as SQLite gives them.
func rows(t *testing.T, path string) map[string][]byte {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	out := map[string][]byte{}
	for _, name := range query(t, db, `SELECT name FROM sqlite_master WHERE type = 'table'`) {
		out["ledger table "+name] = []byte(strings.Join(query(t, db, `SELECT * FROM "`+name+`"`), "\n"))
	}
	return out
}

func query(t *testing.T, db *sql.DB, q string) []string {
	t.Helper()
	r, err := db.QueryContext(context.WithoutCancel(t.Context()), q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	columns, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for r.Next() {
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := r.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = c.String
		}
		out = append(out, strings.Join(row, "\t"))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
