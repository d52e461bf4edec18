package audit

import "context"

// SpillAll writes resources through a spill of a few bytes, so that every path of the merge runs.
func SpillAll(ctx context.Context, dir string, limit int, v Vault, origin string, resources []Resource) (digest string, types map[string]int64, duplicates []string, err error) {
	s := newSpill(dir, origin)
	s.limit = limit
	for _, r := range resources {
		if err := s.Write(r); err != nil {
			return "", nil, nil, err
		}
	}
	m, err := s.commit(ctx, v)
	return m.digest, m.types, m.duplicates, err
}
