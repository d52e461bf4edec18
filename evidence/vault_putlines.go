package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var _ audit.BlockVault = (*Vault)(nil)

// PutLines implements audit.Vault. A block that the object like has too is
// not stored again, and one that has changed since is stored as what differs:
// so the objects of a year of audits rest on each other, and none may be
// removed alone. What is referred to is read, and where its bytes have rotted the block is
// stored anew. A file that has its name keeps its bytes, because others may refer to them.
//
// Months of audits are simulated by calling it repeatedly, each time with the
// digest of the time before.
func (v *Vault) PutLines(ctx context.Context, r io.Reader, like string) (digest string, err error) {
	err = v.create(func(root *os.Root, f *os.File) error {
		w := v.newLineWriter(v.wrap(f), like)
		defer w.files.close()
		if err := w.write(ctx, r); err != nil {
			return err
		}
		digest = w.dir.digest
		return v.keep(root, f, w)
	})
	return digest, err
}

// keep gives an object its name. Where the content is stored already it stays as
// it is, if it is sound.
func (v *Vault) keep(root *os.Root, f *os.File, w *lineWriter) error {
	name, d := path.Base(f.Name()), &w.dir
	if v.holds(w) {
		return root.Remove(name)
	}
	old, err := v.open(d.digest, linesExt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := v.finish(w.put, f, d); err != nil {
			return err
		}
		err := link(root, name, d.digest, linesExt)
		if errors.Is(err, fs.ErrExist) { // stored by another just now
			return root.Remove(name)
		}
		return err
	case err != nil: // a link, which is not followed but replaced
		if err := v.finish(w.put, f, d); err != nil {
			return err
		}
		return rename(root, name, d.digest, linesExt)
	}
	if lock(old) == nil && current(root, old, d.digest) { // else another process mends it
		err = v.mend(root, old, f, d)
	}
	if err := errors.Join(err, old.Close()); err != nil {
		return err
	}
	return root.Remove(name)
}

// holds tells whether the content is stored already, and sound.
func (v *Vault) holds(w *lineWriter) bool {
	if w.like.digest == w.dir.digest {
		return !w.wrote() // every block was looked at
	}
	d, err := v.directory(w.dir.digest)
	if err != nil {
		return false
	}
	c, err := v.codec()
	if err != nil {
		return false
	}
	defer v.giveBack(c)
	if len(d.blocks) != len(w.dir.blocks) {
		return false
	}
	for i, b := range d.blocks {
		if b.Digest != w.dir.blocks[i].Digest || !v.sound(&w.files, c, b.places) {
			return false
		}
	}
	return true
}

// mend replaces an object that has rotted by one that keeps its bytes where
// they are, and adds after them the blocks that were written into f.
func (v *Vault) mend(root *os.Root, old, f *os.File, d *directory) error {
	return v.create(func(_ *os.Root, mended *os.File) error {
		info, err := old.Stat()
		if err != nil {
			return err
		}
		out, kept := v.wrap(mended), max(info.Size(), int64(len(linesMagic)))
		put := func(b []byte) error { _, err := out.Write(b); return err }
		if err := put([]byte(linesMagic)); err != nil {
			return err
		}
		head := int64(len(linesMagic))
		for _, part := range []io.Reader{io.NewSectionReader(old, head, kept-head), io.NewSectionReader(f, head, 1<<62)} {
			if _, err := io.Copy(out, part); err != nil {
				return err
			}
		}
		d.shifted(kept - head)
		if err := v.finish(put, mended, d); err != nil {
			return err
		}
		return rename(root, path.Base(mended.Name()), d.digest, linesExt)
	})
}

// current tells whether a file that was opened is the one that has the object's name.
func current(root *os.Root, f *os.File, digest string) bool {
	_, object := objectPath(digest, linesExt)
	named, err := root.Lstat(object)
	opened, ferr := f.Stat()
	return err == nil && ferr == nil && os.SameFile(named, opened)
}

// finish writes the directory and the footer of an object, and waits until all of it is on the disk.
func (v *Vault) finish(put func([]byte) error, f *os.File, d *directory) error {
	c, err := v.codec()
	if err != nil {
		return err
	}
	frame := c.list.EncodeAll(d.encode(), nil)
	v.giveBack(c)
	if int64(len(frame)) > 1<<32-1 {
		return fmt.Errorf("a directory of %d bytes", len(frame))
	}
	sum := sha256.Sum256(frame)
	foot := binary.LittleEndian.AppendUint32(nil, uint32(len(frame)))
	foot = append(append(foot, sum[:]...), endMagic...)
	return errors.Join(put(frame), put(foot), f.Sync())
}
