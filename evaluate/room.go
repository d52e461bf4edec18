package evaluate

import "github.com/crosscheck-dev/crosscheck/audit"

// roomSize is for how many decisions room is made at a time.
const roomSize = 4096

// room hands out room for the decisions on the documents of a block. Where who
// is given them keeps none, it is used again for a later block: decisions are
// large, and most of what is made while deciding.
type room struct {
	judging *judging
	used    [][]audit.Decision
	free    []audit.Decision
}

func newRoom(j *judging) *room { return &room{judging: j} }

// take gives room for n decisions, in which anything may stand.
func (r *room) take(n int) []audit.Decision {
	if !r.judging.request.Reuse || n > roomSize {
		return make([]audit.Decision, n)
	}
	if n > len(r.free) {
		r.free = r.judging.lend()
		r.used = append(r.used, r.free)
	}
	out := r.free[:n:n]
	r.free = r.free[n:]
	return out
}

// filled gives what was taken since it was last called.
func (r *room) filled() [][]audit.Decision {
	out := r.used
	r.used, r.free = nil, nil
	return out
}

func (j *judging) lend() []audit.Decision {
	if list, ok := j.rooms.Get().(*[]audit.Decision); ok {
		return *list
	}
	return make([]audit.Decision, roomSize)
}

// giveBack takes room again that nobody looks at any more.
func (j *judging) giveBack(rooms [][]audit.Decision) {
	for i := range rooms {
		j.rooms.Put(&rooms[i])
	}
}
