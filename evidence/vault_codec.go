package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Each place holds the CRC-32C of a zstd frame, and the frame: rot is found
// without decompressing.
const crcSize = crc32.Size

// maxStored bounds one block, compressed or not: a line may be as long as audit.MaxLine.
const maxStored = audit.MaxLine + audit.MaxLine/4

// maxDelta bounds a block that is stored as what differs from an earlier version.
const maxDelta = 1 << 20

// usualBlock is what most blocks have room in: see audit.Cutter.
const usualBlock = 512 << 10

// dictionary is the number under which a frame names the version that it is based on.
const dictionary = 1

// codec compresses and decompresses blocks and directories for one goroutine at
// a time. Each of its encoders takes its memory when it is first used, and
// keeps it: that costs more than to compress what is small.
type codec struct {
	whole, delta, list   *zstd.Encoder
	dec                  *zstd.Decoder
	raw                  []byte    // of a place
	versions             [2][]byte // on the way to a later one
	base                 []byte    // of what is being packed
	steps, added, passed []byte
	frame                bytes.Buffer
}

func newCodec() (*codec, error) {
	options := func(level zstd.EncoderLevel, window int) []zstd.EOption {
		return []zstd.EOption{
			zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window),
		}
	}
	whole, err := zstd.NewWriter(nil, options(zstd.SpeedFastest, 1<<20)...)
	if err != nil {
		return nil, err
	}
	delta, err := zstd.NewWriter(nil, options(zstd.SpeedFastest, 2*maxDelta)...) // both versions are within the window
	if err != nil {
		return nil, err
	}
	list, err := zstd.NewWriter(nil, options(zstd.SpeedBetterCompression, 1<<20)...)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStored))
	if err != nil {
		return nil, err
	}
	return &codec{whole: whole, delta: delta, list: list, dec: dec}, nil
}

// pack appends content.
func (c *codec) pack(content, buf []byte) []byte {
	from := len(buf)
	buf = c.whole.EncodeAll(content, append(buf, make([]byte, crcSize)...))
	binary.LittleEndian.PutUint32(buf[from:], crc(buf[from+crcSize:]))
	return buf
}

// packDelta appends what differs in content from base.
func (c *codec) packDelta(content, base, buf []byte) ([]byte, error) {
	from := len(buf)
	c.steps, c.added, c.passed = differ(base, content, c.steps[:0], c.added[:0], c.passed[:0])
	buf = append(buf, make([]byte, crcSize)...)
	buf = append(binary.AppendUvarint(buf, uint64(len(c.steps))), c.steps...)
	c.frame.Reset()
	err := c.delta.ResetWithOptions(&c.frame, zstd.WithEncoderDictRaw(dictionary, c.passed))
	if err != nil {
		return nil, err
	}
	_, err = c.delta.Write(c.added)
	if err := errors.Join(err, c.delta.Close()); err != nil {
		return nil, err
	}
	buf = append(buf, c.frame.Bytes()...)
	binary.LittleEndian.PutUint32(buf[from:], crc(buf[from+crcSize:]))
	return buf, nil
}

// unpack appends what the raw bytes of a place hold, base being the version
// that it is based on.
func (c *codec) unpack(raw, base, buf []byte) ([]byte, error) {
	if err := soundPlace(raw); err != nil {
		return nil, err
	}
	raw = raw[crcSize:]
	if base == nil {
		return c.dec.DecodeAll(raw, buf)
	}
	length, size := binary.Uvarint(raw)
	if size <= 0 || length > uint64(len(raw)-size) {
		return nil, errPatch
	}
	steps, frame := raw[size:size+int(length)], raw[size+int(length):]
	var err error
	if c.passed, err = passedOver(steps, base, c.passed[:0]); err != nil {
		return nil, err
	}
	if err = c.dec.ResetWithOptions(nil, zstd.WithDecoderDictRaw(dictionary, c.passed)); err != nil {
		return nil, err
	}
	if c.added, err = c.dec.DecodeAll(frame, c.added[:0]); err != nil {
		return nil, err
	}
	return apply(steps, base, c.added, buf)
}

var errRotten = errors.New("its bytes are not what was written")

func soundPlace(raw []byte) error {
	if len(raw) < crcSize || binary.LittleEndian.Uint32(raw) != crc(raw[crcSize:]) {
		return errRotten
	}
	return nil
}

func crc(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// codec lends a codec; giveBack takes it.
func (v *Vault) codec() (*codec, error) {
	if c, ok := v.codecs.Get().(*codec); ok {
		return c, nil
	}
	c, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return c, nil
}

func (v *Vault) giveBack(c *codec) { v.codecs.Put(c) }

// content lends an empty buffer for the bytes of a block, which goes back by blocks.Put.
func (v *Vault) content() []byte {
	if b, ok := v.blocks.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, usualBlock)
}

// buffer lends an empty buffer for what a block is packed into, which goes back by buffers.Put.
func (v *Vault) buffer() []byte {
	if b, ok := v.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}
