package audit

import (
	"cmp"
	"errors"
	"io"
)

// LineSource is a reader of NDJSON that can also give its lines as they are,
// with what names them: nothing is copied, and nobody searches a line for its
// id again. A reader gives either bytes or lines, not both.
type LineSource interface {
	io.Reader
	// NextLine gives a line without its newline, and the id and type that the
	// line has. It fails with io.EOF after the last. The line must not be changed.
	NextLine() (line []byte, id, typ string, err error)
}

// batchBytes of lines are handed over at once.
const batchBytes = 128 << 10

// feed is a LineSource that another goroutine fills.
type feed struct {
	full    chan []idLine // closed by end
	empty   chan []idLine // to be filled again
	stopped chan struct{} // closed by stop
	why     error         // of end, before full is closed
	broken  error         // of stop, before stopped is closed

	filling []idLine // by write
	size    int      // bytes of filling

	batch []idLine // by NextLine
	at    int
	rest  []byte // by Read
	lines []byte
}

func newFeed() *feed {
	return &feed{full: make(chan []idLine, 1), empty: make(chan []idLine, 2), stopped: make(chan struct{})}
}

// write hands a line over, which nobody may change from now on.
func (f *feed) write(l idLine) error {
	f.filling = append(f.filling, l)
	if f.size += len(l.line) + 1; f.size < batchBytes {
		return nil
	}
	return f.flush()
}

func (f *feed) flush() error {
	select {
	case f.full <- f.filling:
	case <-f.stopped:
		return f.broken
	}
	f.filling, f.size = nil, 0
	select {
	case f.filling = <-f.empty:
	default:
	}
	return nil
}

// end says that there are no more lines, or why they are not wanted. It may be called once.
func (f *feed) end(why error) error {
	if why == nil && len(f.filling) > 0 {
		why = f.flush()
	}
	f.why = why
	close(f.full)
	return why
}

// stop ends waiting for a reader that reads no more, and says why.
func (f *feed) stop(err error) {
	f.broken = cmp.Or(err, errors.New("vault stopped reading"))
	close(f.stopped)
}

// NextLine implements LineSource.
func (f *feed) NextLine() (line []byte, id, typ string, err error) {
	for f.at == len(f.batch) {
		if f.batch != nil {
			clear(f.batch) // what it held is garbage
			select {
			case f.empty <- f.batch[:0]:
			default:
			}
		}
		var more bool
		f.at = 0
		if f.batch, more = <-f.full; !more {
			if f.why != nil {
				return nil, "", "", f.why
			}
			return nil, "", "", io.EOF
		}
	}
	l := f.batch[f.at]
	f.at++
	return l.line, l.id, l.typ, nil
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		line, _, _, err := f.NextLine()
		if err != nil {
			return 0, err
		}
		f.lines = append(append(f.lines[:0], line...), '\n')
		f.rest = f.lines
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
