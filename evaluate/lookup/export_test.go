package lookup

import "os"

// WithHash replaces the hash of names.
func (c Config) WithHash(hash func([]byte) uint64) Config {
	c.hash = hash
	return c
}

// WithFiles replaces what makes the files that an index writes.
func (c Config) WithFiles(create func(dir string) (*os.File, error)) Config {
	c.create = create
	return c
}

// Temporary makes a file as an index does by itself.
func Temporary(dir string) (*os.File, error) { return temporary(dir) }
