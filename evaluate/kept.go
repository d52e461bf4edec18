package evaluate

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/klauspost/compress/s2"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// keeping has what the blocks of snapshots declare in a file, from run to run:
// what a block declares rests on its bytes, on the library with its parameters
// and on the engine, and on nothing else. The file begins with a digest of the
// latter two; a part of it is found by the digest of the block. It is read only
// in runs that may take over outcomes, never in one that is to evaluate
// everything, and of the blocks that it knows about one in two hundred is read
// all the same, and must declare the same.
//
// Losing it costs the next run the time to read what declares something. Of a
// part that has rotted the block is read.
type keeping struct {
	path  string
	head  []byte
	old   *os.File // nil if nothing is kept that may be used
	parts []keptPart
	byKey map[string]int

	tried bool          // a block that is known was read all the same
	same  int           // how many parts of old came in the same order again
	out   *os.File      // what is written, nil while all is as it was
	w     *bufio.Writer // to out
}

// keptPart is what one block declares: where it stands in the file.
type keptPart struct {
	block  string // digest
	offset int64
	size   int
}

// A part begins with the digest of its block, the SHA-256 of that and of what
// follows, and the length of what follows, which is an S2 block: zstd
// would make it a third smaller, and take four times as long.
const (
	keptMagic  = "crosscheck/declared/1\n"
	keptPrefix = 2*sha256.Size + 4
	maxKept    = 1 << 30
)

// keep opens what was kept; nil where nothing is to be kept.
func (j *judging) keep(engine string) (*keeping, error) {
	if j.request.Kept == "" || j.opa || !j.request.Scope.Whole() {
		return nil, nil
	}
	rests, err := audit.DigestOf([]any{engine, j.revision, j.lib.params})
	if err != nil {
		return nil, err
	}
	k := &keeping{path: j.request.Kept, head: []byte(keptMagic + rests + "\n"), byKey: map[string]int{}}
	if j.request.Carry != nil {
		k.open()
	}
	return k, nil
}

// open lists the parts of the file. What it cannot make sense of is not kept.
func (k *keeping) open() {
	f, err := os.Open(k.path)
	if err != nil {
		return
	}
	head := make([]byte, len(k.head))
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.Equal(head, k.head) {
		_ = f.Close()
		return
	}
	k.old = f
	var prefix [keptPrefix]byte
	for at := int64(len(head)); ; {
		if _, err := f.ReadAt(prefix[:], at); err != nil {
			return
		}
		p := keptPart{hex.EncodeToString(prefix[:sha256.Size]), at, int(binary.LittleEndian.Uint32(prefix[2*sha256.Size:]))}
		k.byKey[p.block] = len(k.parts)
		k.parts = append(k.parts, p)
		at += int64(keptPrefix + p.size)
	}
}

// read gives what is kept of a block, as it stands in the file and as it was
// encoded; ok is false if it cannot be used. It may be called by many.
func (k *keeping) read(block string) (part, plain []byte, ok bool) {
	if k == nil || k.old == nil {
		return nil, nil, false
	}
	i, known := k.byKey[block]
	if !known || k.parts[i].size > maxKept {
		return nil, nil, false
	}
	info, err := k.old.Stat()
	if err != nil || k.parts[i].offset+int64(keptPrefix+k.parts[i].size) > info.Size() {
		return nil, nil, false
	}
	part = make([]byte, keptPrefix+k.parts[i].size)
	if _, err := k.old.ReadAt(part, k.parts[i].offset); err != nil || !bytes.Equal(part[sha256.Size:2*sha256.Size], keptSum(part)) {
		return nil, nil, false
	}
	if n, err := s2.DecodedLen(part[keptPrefix:]); err != nil || n > maxKept {
		return nil, nil, false
	}
	plain, err = s2.Decode(nil, part[keptPrefix:])
	return part, plain, err == nil
}

// keptSum is the checksum of a part.
func keptSum(part []byte) []byte {
	h := sha256.New()
	h.Write(part[:sha256.Size])
	h.Write(part[2*sha256.Size:])
	return h.Sum(nil)
}

// add notes what a block declares, block after block.
func (k *keeping) add(is indexed) (err error) {
	if k == nil {
		return nil
	}
	block, part := is.block, is.part
	if k.w == nil && part != nil && k.same < len(k.parts) && k.parts[k.same].block == block {
		k.same++
		return nil
	}
	if k.w == nil {
		if err := k.begin(); err != nil {
			return err
		}
	}
	if part == nil {
		if part, err = hex.AppendDecode(nil, []byte(block)); err != nil || len(part) != sha256.Size {
			return errors.Join(err, fmt.Errorf("%q is no digest of a block", block))
		}
		part = append(part, make([]byte, keptPrefix-sha256.Size)...)
		part = append(part, s2.Encode(nil, is.plain)...)
		binary.LittleEndian.PutUint32(part[2*sha256.Size:], uint32(len(part)-keptPrefix)) //nolint:gosec // less than a block can declare
		copy(part[sha256.Size:], keptSum(part))
	}
	_, err = k.w.Write(part)
	return err
}

// begin begins a new file with what was the same so far.
func (k *keeping) begin() (err error) {
	if k.out, err = os.OpenFile(k.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	k.w = bufio.NewWriterSize(k.out, 256<<10)
	if _, err := k.w.Write(k.head); err != nil || k.same == 0 {
		return err
	}
	last, from := k.parts[k.same-1], int64(len(k.head))
	_, err = io.Copy(k.w, io.NewSectionReader(k.old, from, last.offset+int64(keptPrefix+last.size)-from))
	return err
}

// end gives the new file its name, if anything is not as it was.
func (k *keeping) end() error {
	if k == nil {
		return nil
	}
	if k.w == nil && k.same == len(k.parts) && k.old != nil {
		return nil
	}
	if k.w == nil {
		if err := k.begin(); err != nil {
			return err
		}
	}
	err := errors.Join(k.w.Flush(), k.out.Close())
	if err == nil {
		err = os.Rename(k.out.Name(), k.path)
	}
	if err == nil {
		k.out = nil
	}
	return err
}

// close lets go of files. What was not ended is removed.
func (k *keeping) close() {
	if k == nil {
		return
	}
	if k.old != nil {
		_ = k.old.Close()
	}
	if k.out != nil {
		_ = k.out.Close()
		_ = os.Remove(k.out.Name())
	}
}

// anyway tells which blocks are read though what they declare is kept: the
// first of a run, and one in two hundred, which changes from run to run.
func (k *keeping) anyway(blocks []audit.Block, asOf string) []bool {
	out := make([]bool, len(blocks))
	for i, b := range blocks {
		if k == nil {
			break
		}
		if _, known := k.byKey[b.Digest]; known {
			out[i] = !k.tried || bits64(audit.Digest([]byte("declared "+b.Digest+asOf))) < math.MaxUint64/evaluatedAnyway
			k.tried = true
		}
	}
	return out
}

// KeptError says that what was kept of a block is not what it declares.
type KeptError struct{ Path, Block string }

func (e *KeptError) Error() string {
	return fmt.Sprintf("%s: what an earlier run kept of block %s is not what the block declares, so nothing of this run is evidence; please report it, and use --full, which makes the file anew", e.Path, e.Block)
}
