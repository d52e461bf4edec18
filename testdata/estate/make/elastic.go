package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// elasticPorts is where Elasticsearch listens, and its transport beside it.
const elasticPorts = 16

// elasticsearch starts an empty Elasticsearch for tests that search.
func (e *estate) elasticsearch(ctx context.Context) error {
	run := filepath.Join(e.dir, "elasticsearch")
	script := filepath.Join(e.repository, "testdata", "servers", "elasticsearch")
	for p := e.port + elasticPorts; p < e.port+elasticPorts+2; p++ {
		if err := free(ctx, p); err != nil {
			return err
		}
	}
	if err := e.script(ctx, nil, "bash", filepath.Join(script, "start.sh"), run, fmt.Sprint(e.port+elasticPorts)); err != nil {
		return err
	}
	e.stop = append(e.stop, func() error {
		return e.script(context.WithoutCancel(ctx), nil, "bash", filepath.Join(script, "stop.sh"), run)
	})
	return nil
}
