package vm

// wide is the number of members from which an object's keys are kept in a map
// while it is read: finding duplicates by comparing would be quadratic.
const wide = 32

// keySet finds the keys of one object that come twice. In canonical JSON each
// key comes after the one before, and none can: then nothing else is done (which
// took a sixth of reading). Else a bloom filter of 64 bits answers for nearly all
// small objects.
type keySet struct {
	tape     *tape
	at       int // the object's node
	n        int32
	shuffled bool   // a key was not after the one before it
	last     string // until then
	bloom    uint64
	seen     map[string]int32
}

// add notes a key that is about to be pushed.
func (k *keySet) add(key string) {
	if !k.shuffled {
		if k.n == 0 || key > k.last {
			k.last = key
			k.n++
			return
		}
		k.shuffle()
	}
	here := int32(len(k.tape.nodes))
	k.n++
	if k.seen != nil {
		if old, ok := k.seen[key]; ok {
			k.tape.nodes[old].dead = true
			k.n--
		}
		k.seen[key] = here
		return
	}
	if bit := keyBit(key); k.bloom&bit == 0 {
		k.bloom |= bit
	} else {
		k.each(func(_ int32, old *Value) {
			if old.s == key {
				old.dead = true
				k.n--
			}
		})
	}
	if k.n == wide {
		k.remember()
		k.seen[key] = here
	}
}

// shuffle begins to look for keys that come twice, at the first that is out of order.
func (k *keySet) shuffle() {
	k.shuffled = true
	if k.n >= wide {
		k.remember()
		return
	}
	k.each(func(_ int32, old *Value) { k.bloom |= keyBit(old.s) })
}

// remember puts the keys that are on the tape into a map.
func (k *keySet) remember() {
	k.seen = make(map[string]int32, 2*wide)
	k.each(func(i int32, old *Value) { k.seen[old.s] = i })
}

// each visits the keys that are on the tape and count.
func (k *keySet) each(do func(i int32, key *Value)) {
	nodes := k.tape.nodes
	for i := k.at + 1; i < len(nodes); i = nodes[i+1].next(i + 1) {
		if !nodes[i].dead {
			do(int32(i), &nodes[i])
		}
	}
}

func keyBit(k string) uint64 {
	h := uint64(len(k)) * 7
	if len(k) > 0 {
		h += uint64(k[0])*5 + uint64(k[len(k)-1])*11 + uint64(k[len(k)/2])*3
	}
	return 1 << (h & 63)
}
