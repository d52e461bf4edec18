package evaluate

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// index fills the estate in a first pass over every snapshot. engine names what
// decides.
func (j *judging) index(ctx context.Context, workers int, engine string) error {
	kinds := map[string]bool{}
	for source := range j.estate.sources {
		declared, err := j.lib.declares(source, audit.AllTypes)
		if err != nil {
			return err
		}
		for _, k := range declared {
			kinds[source+"."+k] = true
		}
	}
	if err := j.indexSnapshots(ctx, workers, engine); err != nil {
		return err
	}
	if err := j.estate.addPopulationGaps(j.lib, j.request.Snapshots); err != nil {
		return err
	}
	return j.estate.seal(slices.Sorted(maps.Keys(kinds)))
}

// atOnce is how many blocks, at least, are handed to the workers: of snapshots
// that have few each, as a gate's have, those of many.
const atOnce = 256

func (j *judging) indexSnapshots(ctx context.Context, workers int, engine string) error {
	kept, err := j.keep(engine)
	if err != nil {
		return err
	}
	defer kept.close()
	var waiting []audit.Block
	for _, snap := range j.request.Snapshots {
		more, err := j.declaringBlocks(ctx, snap)
		if err != nil {
			return fmt.Errorf("indexing %s: %w", snap.Origin, err)
		}
		if waiting = append(waiting, more...); len(waiting) >= atOnce {
			if err := j.indexBlocks(ctx, workers, waiting, kept); err != nil {
				return err
			}
			waiting = waiting[:0]
		}
	}
	if err := j.indexBlocks(ctx, workers, waiting, kept); err != nil {
		return err
	}
	return kept.end()
}

// declaringBlocks are the blocks of a snapshot in which something can be declared.
func (j *judging) declaringBlocks(ctx context.Context, snap audit.Snapshot) ([]audit.Block, error) {
	if some, err := j.declaring(snap.Origin, snap.Documents); err != nil || !some {
		return nil, err
	}
	blocks, err := audit.Blocks(ctx, j.request.Vault, snap.Digest)
	if err != nil {
		return nil, err
	}
	var out []audit.Block
	for _, b := range blocks {
		some, err := j.declaring(snap.Origin, b.Types)
		if err != nil {
			return nil, err
		}
		if some {
			out = append(out, b)
		}
	}
	return out, nil
}

// indexBlocks adds what blocks declare to the estate.
func (j *judging) indexBlocks(ctx context.Context, workers int, blocks []audit.Block, kept *keeping) error {
	anyway := kept.anyway(blocks, audit.Stamp(j.request.AsOf))
	do := func(ctx context.Context, w *worker, i int, read func() ([]byte, error)) (indexed, error) {
		out, err := w.indexBlock(ctx, blocks[i], kept, anyway[i], read)
		if err != nil {
			err = fmt.Errorf("indexing: %w", err)
		}
		return out, err
	}
	return ordered(ctx, j, workers, blocks, do, kept.add)
}

// indexed is what a block declares, as it is kept.
type indexed struct {
	block string // digest
	part  []byte // as it stands in the file; nil if it is not there
	plain []byte // else as it is encoded
}

// indexBlock adds what a block declares to the estate, from what is kept of it
// unless it is to be read anyway.
func (w *worker) indexBlock(ctx context.Context, b audit.Block, kept *keeping, anyway bool, read func() ([]byte, error)) (indexed, error) {
	part, plain, known := kept.read(b.Digest)
	if known && !anyway {
		if d, err := decodeDeclaration(plain); err == nil {
			return indexed{block: b.Digest, part: part}, w.estate.add(d)
		}
		part, known = nil, false
	}
	content, err := read()
	if err != nil {
		return indexed{}, err
	}
	d, err := w.declare(ctx, content)
	if err != nil {
		return indexed{}, err
	}
	if w.recent.keep(b.Digest, content) {
		w.content = nil
	}
	out := indexed{block: b.Digest, part: part}
	if kept != nil {
		if out.plain = d.encode(); known && !bytes.Equal(out.plain, plain) {
			return indexed{}, &KeptError{Path: kept.path, Block: b.Digest}
		}
	}
	return out, w.estate.add(d)
}

// declaring tells whether resources of some types can declare something. Where
// the types are not known, some can.
func (j *judging) declaring(origin string, types []audit.TypeCount) (bool, error) {
	for _, t := range types {
		kinds, err := j.lib.declares(audit.SourceOf(origin), t.Type)
		if err != nil || len(kinds) > 0 {
			return true, err
		}
	}
	return len(types) == 0, nil
}
