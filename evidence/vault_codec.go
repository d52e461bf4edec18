package evidence

import (
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

// maxDelta bounds a block that is stored as what differs from an earlier
// version. Both versions must be within the window.
const maxDelta, deltaWindow = 1 << 20, 2 << 20

// dictionary is the number under which a frame names the version that it is based on.
const dictionary = 1

// codec compresses and decompresses blocks for one goroutine at a time.
type codec struct {
	whole, delta *zstd.Encoder
	dec          *zstd.Decoder
	raw          []byte    // of a place
	versions     [2][]byte // on the way to a later one
}

func newCodec() (*codec, error) {
	options := []zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(deltaWindow),
	}
	whole, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, err
	}
	delta, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStored))
	if err != nil {
		return nil, err
	}
	return &codec{whole: whole, delta: delta, dec: dec}, nil
}

// pack appends content, as what differs from base if there is one.
func (c *codec) pack(content, base, buf []byte) ([]byte, error) {
	from := len(buf)
	buf = append(buf, make([]byte, crcSize)...)
	if base == nil {
		buf = c.whole.EncodeAll(content, buf)
	} else {
		if err := c.delta.ResetWithOptions(nil, zstd.WithEncoderDictRaw(dictionary, base)); err != nil {
			return nil, err
		}
		buf = c.delta.EncodeAll(content, buf)
	}
	binary.LittleEndian.PutUint32(buf[from:], crc(buf[from+crcSize:]))
	return buf, nil
}

// unpack appends what a place holds, base being the version that it is based on.
func (c *codec) unpack(raw, base, buf []byte) ([]byte, error) {
	if err := soundPlace(raw); err != nil {
		return nil, err
	}
	if base != nil {
		if err := c.dec.ResetWithOptions(nil, zstd.WithDecoderDictRaw(dictionary, base)); err != nil {
			return nil, err
		}
	}
	return c.dec.DecodeAll(raw[crcSize:], buf)
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
