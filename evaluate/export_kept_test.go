package evaluate

import (
	"os"
)

// ForgeKept changes what is kept of every block, as somebody does who knows the format.
func ForgeKept(path string, change func(plain []byte) []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	k := &keeping{path: path, head: old[:len(keptMagic)+65], byKey: map[string]int{}}
	defer k.close()
	k.open()
	for _, p := range k.parts {
		_, plain, ok := k.read(p.block)
		if !ok {
			return errDeclaration
		}
		if err := k.add(indexed{block: p.block, plain: change(plain)}); err != nil {
			return err
		}
	}
	return k.end()
}

// RecodeDeclaration reads what is kept of a block, and renders it again.
func RecodeDeclaration(b []byte) ([]byte, error) {
	d, err := decodeDeclaration(b)
	return d.encode(), err
}
