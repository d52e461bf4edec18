package evaluate

import (
	"encoding/binary"
	"errors"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// encode renders a declaration: how many entries and gaps there are, and each
// text after its length.
func (d declaration) encode() []byte {
	size := 2 * binary.MaxVarintLen64
	for _, e := range d.entries {
		size += len(e.Source) + len(e.Kind) + len(e.Key) + len(e.ID) + len(e.Origin) + len(e.Value) + 6*binary.MaxVarintLen32
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(len(d.entries)))
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for _, e := range d.entries {
		text(e.Source)
		text(e.Kind)
		text(e.Key)
		text(e.ID)
		text(e.Origin)
		b = append(binary.AppendUvarint(b, uint64(len(e.Value))), e.Value...)
	}
	b = binary.AppendUvarint(b, uint64(len(d.gaps)))
	for _, g := range d.gaps {
		text(g.kind)
		text(g.what)
	}
	return b
}

var errDeclaration = errors.New("what was kept of a block makes no sense")

// decodeDeclaration reads what encode rendered. Values share b.
func decodeDeclaration(b []byte) (d declaration, err error) {
	all := string(b)
	number := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) { // nothing takes less than a byte
			err, b = errDeclaration, nil
			return 0
		}
		b = b[size:]
		return int(n) //nolint:gosec // less than len(b)
	}
	bytes := func() []byte {
		n := number()
		out := b[:n:n]
		b = b[n:]
		return out
	}
	text := func() string {
		n := number()
		from := len(all) - len(b)
		b = b[n:]
		return all[from : from+n]
	}
	for range number() {
		d.entries = append(d.entries, lookup.Entry{Source: text(), Kind: text(), Key: text(), ID: text(), Origin: text(), Value: bytes()})
	}
	for range number() {
		d.gaps = append(d.gaps, concealed{text(), text()})
	}
	if len(b) > 0 {
		err = errDeclaration
	}
	if err != nil {
		return declaration{}, err
	}
	return d, nil
}
