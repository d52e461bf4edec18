package evidence

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// BreakDisk makes the vault write through w, as onto a disk that fails.
func (v *Vault) BreakDisk(w func(io.Writer) io.Writer) { v.wrap = w }

// Dir is the vault's folder.
func (v *Vault) Dir() string { return v.dir }

// DropBlock takes a block out of an object of lines, as one would who knows how it is made.
func (v *Vault) DropBlock(digest string, i int) error {
	d, err := v.directory(digest)
	if err != nil {
		return err
	}
	d.size -= int64(d.blocks[i].Size)
	d.blocks = slices.Delete(d.blocks, i, i+1)
	_, object := objectPath(digest, linesExt)
	f, err := os.OpenFile(filepath.Join(v.dir, object), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	return errors.Join(v.finish(func(b []byte) error { _, err := f.Write(b); return err }, f, d), f.Close())
}

// Directory is that of an object of lines, as it is encoded.
func (v *Vault) Directory(digest string) ([]byte, error) {
	d, err := v.directory(digest)
	if err != nil {
		return nil, err
	}
	return d.encode(), nil
}

// RecodeDirectory decodes a directory and encodes it again.
func RecodeDirectory(b []byte) ([]byte, error) {
	d, err := decodeDirectory(b)
	if err != nil {
		return nil, err
	}
	return d.encode(), nil
}

// Patcher packs one version of a block as what differs from another, and unpacks it.
func Patcher() (func(from, to []byte) ([]byte, error), error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return func(from, to []byte) ([]byte, error) {
		from = append([]byte{}, from...)
		raw, err := c.packDelta(to, from, nil)
		if err != nil {
			return nil, err
		}
		return c.unpack(raw, from, nil)
	}, nil
}
