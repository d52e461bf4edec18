package evidence

import "io"

// BreakDisk makes the vault write through w, as onto a disk that fails.
func (v *Vault) BreakDisk(w func(io.Writer) io.Writer) { v.wrap = w }

// Dir is the vault's folder.
func (v *Vault) Dir() string { return v.dir }

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
