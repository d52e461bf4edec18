package evidence

import "io"

// BreakDisk makes the vault write through w, as onto a disk that fails.
func (v *Vault) BreakDisk(w func(io.Writer) io.Writer) { v.wrap = w }

// Dir is the vault's folder.
func (v *Vault) Dir() string { return v.dir }
