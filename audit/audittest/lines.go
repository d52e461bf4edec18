package audittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Documents renders resources of two types, about 1 MB for each thousand, of
// which those are different that changed names with another number.
func Documents(t testing.TB, resources int, changed map[int]int) []byte {
	t.Helper()
	var out bytes.Buffer
	for i := range resources {
		typ := []string{"AWS::EC2::Instance", "AWS::S3::Bucket"}[2*i/resources]
		r := audit.Resource{
			Source: audit.AWS, Origin: "aws/1/eu", Type: typ, ID: audit.ResourceID("aws/1/eu", typ, fmt.Sprintf("r-%06d", i)), Name: "r <é>",
			Data: map[string]any{"a": strings.Repeat(audit.Digest(fmt.Appendf(nil, "%d", i)), 12), "changed": fmt.Sprint("x", changed[i])},
		}
		line, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	return out.Bytes()
}

// linesSuite checks what a vault promises of objects of lines.
func linesSuite(t *testing.T, v audit.Vault) {
	t.Helper()
	base := Documents(t, 2000, nil)
	versions := map[string][]byte{
		"documents": base, "the same again": base,
		"some changed":     Documents(t, 2000, map[int]int{3: 1, 700: 2, 1999: 1}),
		"fewer":            Documents(t, 1500, map[int]int{5: 1}),
		"none":             {},
		"no documents":     []byte("hello\n\n\r\nworld\n"),
		"no last newline":  []byte(`{"resource":"aws/1/eu/T/x","name":"x","type":"T"}`),
		"one long line":    []byte(`{"data":"` + strings.Repeat("long ", 600_000) + `"}` + "\n"),
		"back to the base": base,
	}
	for _, like := range []string{"", audit.Digest(base), audit.Digest([]byte("never stored")), "../../etc/passwd"} {
		for name, content := range versions {
			t.Run(fmt.Sprintf("lines, %s, like %.8q", name, like), func(t *testing.T) { storeLines(t, v, content, like) })
		}
	}
	t.Run("lines, each like the one before", func(t *testing.T) {
		changed, like := map[int]int{}, ""
		for i := range 40 {
			changed[i*37%2000]++
			content := Documents(t, 2000, changed)
			like = storeLines(t, v, content, like)
		}
	})
	t.Run("lines, failing reader", func(t *testing.T) {
		_, err := v.PutLines(t.Context(), io.MultiReader(strings.NewReader("half\n"), broken{}), "")
		if !errors.Is(err, errBroken) {
			t.Errorf("PutLines() of a reader that fails: %v, want its error", err)
		}
		if _, err := v.Open(t.Context(), audit.Digest([]byte("half\n"))); err == nil {
			t.Error("half an object was stored")
		}
	})
	t.Run("blocks, unknown digest", func(t *testing.T) {
		for _, digest := range []string{audit.Digest([]byte("never stored")), "../../../../etc/passwd"} {
			if _, err := audit.Blocks(t.Context(), v, digest); err == nil {
				t.Errorf("Blocks(%q) succeeded", digest)
			}
		}
	})
}

// storeLines stores content and reads it back, whole and in blocks.
func storeLines(t *testing.T, v audit.Vault, content []byte, like string) string {
	t.Helper()
	digest, err := v.PutLines(t.Context(), bytes.NewReader(content), like)
	if err != nil {
		t.Fatal(err)
	}
	if want := audit.Digest(content); digest != want {
		t.Fatalf("PutLines() = %s, want %s", digest, want)
	}
	r, err := v.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read %d bytes and %v, want %d bytes", len(got), err, len(content))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	list, err := audit.Blocks(ctx, v, digest)
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	for i, b := range list {
		if i%7 == 3 { // once more, out of order
			if _, err := list[0].Read(ctx, nil); err != nil {
				t.Fatal(err)
			}
		}
		from := len(whole)
		if whole, err = b.Read(ctx, whole); err != nil {
			t.Fatal(err)
		}
		checkBlock(t, b, whole[from:])
	}
	if !bytes.Equal(whole, content) {
		t.Errorf("the blocks are %d bytes, want the %d that were stored", len(whole), len(content))
	}
	return digest
}

// checkBlock compares what is said of a block with its bytes.
func checkBlock(t *testing.T, b audit.Block, content []byte) {
	t.Helper()
	if b.Digest != audit.Digest(content) || b.Size != len(content) || b.Lines == 0 {
		t.Errorf("block %s of %d bytes and %d lines: it has %d bytes", b.Digest, b.Size, b.Lines, len(content))
	}
	types, lines, first, last := map[string]int64{}, 0, "", ""
	err := audit.EachLine(content, func(line []byte) error {
		h, err := audit.ParseHead(line)
		if err != nil || h.ID == "" { // a verdict, or what is neither
			h = audit.Head{ID: b.LastID}
			for _, c := range b.Types {
				h.Type = c.Type
			}
		}
		if lines++; lines == 1 {
			first = h.ID
		}
		last = h.ID
		types[h.Type]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int64{}
	for _, c := range b.Types {
		said[c.Type] = c.Listed
	}
	if diff := cmp.Diff(said, types); diff != "" || b.Lines != lines || b.FirstID != first || b.LastID != last {
		t.Errorf("block from %q to %q of %d lines: it is from %q to %q of %d; types (-got +want):\n%s", b.FirstID, b.LastID, b.Lines, first, last, lines, diff)
	}
	if !slices.IsSortedFunc(b.Types, func(x, y audit.TypeCount) int { return strings.Compare(x.Type, y.Type) }) {
		t.Errorf("types are not sorted: %+v", b.Types)
	}
}
