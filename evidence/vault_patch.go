package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// lookAhead lines of an earlier version are searched for where one of the later is found.
const lookAhead = 64

// A patch makes a later version of a block from an earlier one. It is a list of
// steps (so many bytes are new, so many of the earlier version are passed over,
// so many are copied), the length of that list before it, and a zstd frame of
// what is new, one after another. The frame's dictionary is what was passed over: mostly the
// same lines as they were.

// differ appends the steps from one version to another, and gives what is new
// and what was passed over.
func differ(from, to, steps, added, passed []byte) (_, _, _ []byte) {
	var starts []int // of from's lines that are not behind us
	for i := 0; i < len(from); {
		starts = append(starts, i)
		i += lineLength(from[i:])
	}
	fresh, at, copied := 0, 0, 0 // at: where in from the copy ends that is being made
	step := func(start int) {
		steps = binary.AppendUvarint(steps, uint64(fresh))
		steps = binary.AppendUvarint(steps, uint64(start-at))
		passed = append(passed, from[at:start]...)
	}
	for len(to) > 0 {
		n := lineLength(to)
		line := to[:n]
		to = to[n:]
		k := 0
		for k < min(len(starts), lookAhead) && !sameLine(from[starts[k]:], line) {
			k++
		}
		if k == min(len(starts), lookAhead) {
			if copied > 0 {
				steps = binary.AppendUvarint(steps, uint64(copied))
				at, copied = at+copied, 0
			}
			added, fresh = append(added, line...), fresh+n
			continue
		}
		if k > 0 && copied > 0 {
			steps = binary.AppendUvarint(steps, uint64(copied))
			at, copied = at+copied, 0
		}
		if copied == 0 {
			step(starts[k])
			at, fresh = starts[k], 0
		}
		copied += n
		starts = starts[k+1:]
	}
	if copied > 0 {
		steps = binary.AppendUvarint(steps, uint64(copied))
		at += copied
	}
	if fresh > 0 || at < len(from) {
		step(len(from))
		steps = binary.AppendUvarint(steps, 0)
	}
	return steps, added, passed
}

func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// sameLine tells whether from begins with line, and ends or breaks where it does.
func sameLine(from, line []byte) bool {
	return bytes.HasPrefix(from, line) && (line[len(line)-1] == '\n' || len(from) == len(line))
}

var errPatch = errors.New("what differs from an earlier version makes no sense")

// passedOver appends what a patch's frame has for its dictionary.
func passedOver(steps, from, buf []byte) ([]byte, error) {
	for len(steps) > 0 {
		_, skip, length, rest, err := nextStep(steps, len(from))
		if err != nil {
			return nil, err
		}
		buf = append(buf, from[:skip]...)
		from, steps = from[skip+length:], rest
	}
	return buf, nil
}

// apply appends the later version.
func apply(steps, from, added, buf []byte) ([]byte, error) {
	for len(steps) > 0 {
		fresh, skip, length, rest, err := nextStep(steps, len(from))
		if err != nil || fresh > len(added) {
			return nil, errPatch
		}
		buf = append(append(buf, added[:fresh]...), from[skip:skip+length]...)
		from, added, steps = from[skip+length:], added[fresh:], rest
	}
	if len(added) > 0 {
		return nil, errPatch
	}
	return buf, nil
}

// nextStep reads a step, whose bytes must be within what is left of the earlier version.
func nextStep(steps []byte, left int) (fresh, skip, length int, rest []byte, err error) {
	var n [3]uint64
	for i := range n {
		v, size := binary.Uvarint(steps)
		if size <= 0 || v > maxStored {
			return 0, 0, 0, nil, errPatch
		}
		n[i], steps = v, steps[size:]
	}
	if n[1]+n[2] > uint64(left) {
		return 0, 0, 0, nil, errPatch
	}
	return int(n[0]), int(n[1]), int(n[2]), steps, nil
}
