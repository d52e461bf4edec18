package lookup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// cursor reads the records of a part of a file, one after the other.
type cursor struct {
	file        *os.File
	offset, end int64  // what has not been read
	buffer      []byte // what is read into; replaced where a record is longer
	rest        []byte // what has been read and not been taken

	record body   // the current record, until next is called
	raw    []byte // the same with its length
}

// next goes to the next record; io.EOF says that there is none.
func (c *cursor) next() error {
	if err := c.fill(binary.MaxVarintLen64); err != nil {
		return err
	}
	if len(c.rest) == 0 {
		return io.EOF
	}
	size, n := binary.Uvarint(c.rest)
	if n <= 0 || size < hashSize || size > uint64(int64(len(c.rest)-n)+c.end-c.offset) { //nolint:gosec // n is at most len(c.rest)
		return errDamaged
	}
	whole := n + int(size) //nolint:gosec // less than the file
	if err := c.fill(whole); err != nil {
		return err
	}
	c.raw, c.rest = c.rest[:whole], c.rest[whole:]
	c.record = body(c.raw[n:])
	return nil
}

// fill reads until rest has so many bytes, or all that are left.
func (c *cursor) fill(size int) error {
	if len(c.rest) >= size || c.offset == c.end {
		return nil
	}
	to := c.buffer
	if size > len(to) {
		to = make([]byte, size)
	}
	kept := copy(to, c.rest)
	to = to[:kept+int(min(int64(len(to)-kept), c.end-c.offset))]
	if n, err := c.file.ReadAt(to[kept:], c.offset); n < len(to)-kept {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // we wrote more
		}
		return err
	}
	c.offset += int64(len(to) - kept)
	c.rest = to
	return nil
}

// find returns the hits among the records, of which the first has a known hash.
func (c *cursor) find(first, hash uint64, name []byte) (out []Hit, err error) {
	var last uint64
	for n := 0; ; n++ {
		switch err := c.next(); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		h := c.record.hash()
		switch {
		case h < last || n == 0 && h != first:
			return nil, errDamaged
		case h > hash:
			return out, nil
		case h == hash && c.record.named(name):
			hit, err := c.record.hit()
			if err != nil {
				return nil, err
			}
			hit.Value = bytes.Clone(hit.Value) // the buffer is read into again
			out = append(out, hit)
		}
		last = h
	}
}
