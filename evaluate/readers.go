package evaluate

import "github.com/crosscheck-dev/crosscheck/evaluate/plan"

// readers are the reads of all controls on a kind of resource, by the steps of
// their pointers: the controls of a type read mostly the same places, and each
// hole is held against all of them at once. (For 70 controls this took a tenth
// of the time of deciding when each read was held against each hole.)
type readers struct {
	next map[string]*readers // "*" for any step
	here []reader
}

// reader is who reads at a place, and what for.
type reader struct {
	who   int32 // index of the part, or of the estate kind
	what  uint8 // readsAll and so on
	whole bool  // all below the place, too
}

// readersOf gathers the reads of a program's parts and estate kinds.
func (p *program) readersOf() *readers {
	root := &readers{}
	for i := range p.parts {
		r := p.parts[i].reads()
		root.add(r.all, i, readsAll)
		root.add(r.toApply, i, readsToApply)
		root.add(r.secret, i, readsSecret)
	}
	for i, k := range sortedKeys(p.declares) {
		root.add(p.kindReads(k), i, declaresBy)
	}
	return root
}

func (r *readers) add(reads plan.Reads, who int, what uint8) {
	for _, read := range reads.Input {
		at := r
		for _, step := range plan.Steps(read.Pointer) {
			if at.next == nil {
				at.next = map[string]*readers{}
			}
			if at.next[step] == nil {
				at.next[step] = &readers{}
			}
			at = at.next[step]
		}
		at.here = append(at.here, reader{int32(who), what, read.Whole})
	}
}

// touched visits those on whom a hole, given by its steps, bears: who reads at
// or below it, and who reads the whole of something that it lies in.
func (r *readers) touched(hole []string, visit func(reader)) {
	for _, x := range r.here {
		if x.whole || len(hole) == 0 {
			visit(x)
		}
	}
	if len(hole) == 0 || hole[0] == "*" {
		rest := hole[min(1, len(hole)):]
		for _, n := range r.next {
			n.touched(rest, visit)
		}
		return
	}
	if n := r.next[hole[0]]; n != nil {
		n.touched(hole[1:], visit)
	}
	if n := r.next["*"]; n != nil {
		n.touched(hole[1:], visit)
	}
}
