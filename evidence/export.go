package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Export writes the pack in dir as a zip, its files below one folder. The same
// pack gives the same bytes. It is not verified, but only what a pack may hold is exported.
func Export(ctx context.Context, dir string, w io.Writer) error {
	src, err := openPack(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(export(ctx, src, w), src.Close()); err != nil {
		return fmt.Errorf("exporting %s: %w", dir, err)
	}
	return nil
}

// exported is the time of every file in an archive: the first that a zip can hold.
var exported = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func export(ctx context.Context, src packSource, w io.Writer) error {
	b, err := readSmall(src, manifestFile, maxManifest)
	if err != nil {
		return err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	list, err := src.entries()
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, e := range list {
		switch _, ok := m.Find(e.path); {
		case e.problem != "":
			return fmt.Errorf("%s is %s: a pack holds plain files alone", printable(e.path), e.problem)
		case !ok && e.path != manifestFile && e.path != envelopeFile:
			return fmt.Errorf("%s is not listed in %s", printable(e.path), manifestFile)
		}
		if err := exportFile(ctx, z, src, "crosscheck-pack-"+m.Pack[:12]+"/", e.path); err != nil {
			return fmt.Errorf("%s: %w", e.path, err)
		}
	}
	return z.Close()
}

func exportFile(ctx context.Context, z *zip.Writer, src packSource, top, path string) error {
	h := &zip.FileHeader{Name: top + path, Method: zip.Deflate, Modified: exported}
	h.SetMode(0o600)
	out, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	f, err := src.open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, contextReader{ctx, f})
	return errors.Join(err, f.Close())
}

// wrapping tells whether an archive is, byte for byte, as Export writes it.
func (v *verification) wrapping(ctx context.Context) error {
	a, ok := v.src.(*archive)
	if !ok {
		return nil
	}
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	same := &comparing{with: a.file}
	err := export(ctx, a, same)
	rest, _ := a.file.Read(make([]byte, 1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || rest > 0:
		v.r.unchecked("the zip around the pack: it is not as this version of crosscheck writes it. What was verified is what it holds; unpack it with care")
	default:
		v.r.checked("the zip around the pack, byte for byte")
	}
	return nil
}

// comparing fails at the first byte that differs from what it compares with.
type comparing struct{ with *os.File }

var errDiffers = errors.New("differs")

// Write implements io.Writer.
func (c *comparing) Write(p []byte) (int, error) {
	b := make([]byte, len(p))
	if _, err := io.ReadFull(c.with, b); err != nil || !bytes.Equal(b, p) {
		return 0, errDiffers
	}
	return len(p), nil
}
