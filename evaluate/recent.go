package evaluate

import "sync"

// mostRecent bounds what is held of the blocks that were read to index them.
const mostRecent = 64 << 20

// recent holds blocks that were read to index them until they are read to judge
// them: of a small estate all, so that none is read, unpacked and hashed twice.
type recent struct {
	mu     sync.Mutex
	size   int
	blocks map[string][]byte // by digest
}

// keep takes the bytes of a block over, if there is room for them.
func (r *recent) keep(digest string, content []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size+cap(content) > mostRecent || r.blocks[digest] != nil {
		return false
	}
	if r.blocks == nil {
		r.blocks = map[string][]byte{}
	}
	r.blocks[digest] = content
	r.size += cap(content)
	return true
}

// take gives the bytes of a block away; nil if they are not held.
func (r *recent) take(digest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	content := r.blocks[digest]
	delete(r.blocks, digest)
	r.size -= cap(content)
	return content
}
