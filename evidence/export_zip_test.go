package evidence_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

func exportPack(t testing.TB, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := evidence.Export(t.Context(), dir, &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestExport(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	one, two := exportPack(t, dir), exportPack(t, copyTree(t, dir))
	if !bytes.Equal(one, two) {
		t.Error("exported twice, the archives differ")
	}
	path := filepath.Join(t.TempDir(), "pack.zip")
	write(t, path, one)
	r := fullVerify(t, path, fixtureSigner(t, 1).Fingerprint())
	if !r.Intact || !r.Signer.Authenticated || r.Redecided == 0 || !slices.Contains(r.Checked, "the zip around the pack, byte for byte") {
		t.Errorf("the archive does not verify:\n%s", strings.Join(r.Lines(), "\n"))
	}
	write(t, path, append(bytes.Clone(one), "PK trailing"...))
	r = fullVerify(t, path, "")
	if slices.Contains(r.Checked, "the zip around the pack, byte for byte") {
		t.Error("what follows the archive goes unnoticed")
	}
}

func TestExportRefusesWhatIsNoPack(t *testing.T) {
	t.Parallel()
	dir := copyTree(t, writePack(t, 0))
	write(t, filepath.Join(dir, "extra.txt"), nil)
	for name, d := range map[string]string{"extra.txt": dir, "manifest.json": t.TempDir()} {
		if err := evidence.Export(t.Context(), d, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Export() = %v, want an error that names %s", err, name)
		}
	}
}

func TestVerifyHostileArchives(t *testing.T) {
	t.Parallel()
	whole := exportPack(t, writePack(t, 0))
	r, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	top, _, _ := strings.Cut(r.File[0].Name, "/")
	rezip := func(t *testing.T, change func(w *zip.Writer, f *zip.File) bool, more func(w *zip.Writer)) []byte {
		t.Helper()
		return rewriteZip(t, whole, change, more)
	}
	add := func(name string, mode fs.FileMode, content string) func(w *zip.Writer) {
		return func(w *zip.Writer) { addToZip(t, w, name, mode, content) }
	}
	tests := map[string]struct {
		archive []byte
		file    string // "": not a pack at all
	}{
		"truncated":       {whole[:len(whole)/2], ""},
		"empty":           {nil, ""},
		"text":            {[]byte("hello"), ""},
		"extra file":      {rezip(t, nil, add(top+"/extra.txt", 0o600, "x")), "extra.txt"},
		"climbing":        {rezip(t, nil, add(top+"/../../etc/passwd", 0o600, "x")), `"../../etc/passwd"`},
		"outside the top": {rezip(t, nil, add("/etc/passwd", 0o600, "x")), "manifest.json"},
		"link":            {rezip(t, nil, add(top+"/link", 0o777|fs.ModeSymlink, "/etc/passwd")), "link"},
		"file twice":      {rezip(t, nil, add(top+"/README.txt", 0o600, "other")), "README.txt"},
		"bomb": {rezip(t, func(w *zip.Writer, f *zip.File) bool {
			if strings.HasSuffix(f.Name, "/README.txt") {
				add(f.Name, 0o600, strings.Repeat("x", 64<<20))(w)
				return true
			}
			return false
		}, nil), "README.txt"},
		"file missing": {rezip(t, func(_ *zip.Writer, f *zip.File) bool { return strings.HasSuffix(f.Name, "/gaps.ndjson") }, nil), "gaps.ndjson"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pack.zip")
			write(t, path, tt.archive)
			r, err := evidence.Verify(t.Context(), path, evidence.VerifyOptions{})
			if tt.file == "" {
				if err == nil || !strings.Contains(err.Error(), "pack.zip") {
					t.Errorf("Verify() = %v, want an error that names the archive", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Intact || !slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.File == tt.file }) {
				t.Errorf("problems %v do not name %s", r.Problems, tt.file)
			}
		})
	}
}

// rewriteZip copies an archive. change may write another file in place of one; more is added at the end.
func rewriteZip(t *testing.T, whole []byte, change func(w *zip.Writer, f *zip.File) bool, more func(w *zip.Writer)) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range r.File {
		if change != nil && change(w, f) {
			continue
		}
		if err := w.Copy(f); err != nil {
			t.Fatal(err)
		}
	}
	if more != nil {
		more(w)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func addToZip(t *testing.T, w *zip.Writer, name string, mode fs.FileMode, content string) {
	t.Helper()
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	f, err := w.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyRefusesWhatIsNoPack(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none"), "link": link} {
		if _, err := evidence.Verify(t.Context(), path, evidence.VerifyOptions{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
