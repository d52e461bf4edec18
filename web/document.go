package web

import (
	_ "embed"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed openapi.yaml
var openAPIYAML []byte

// openAPI renders the document that describes the routes as JSON.
func openAPI() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPIYAML, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	b, err := audit.Canonical(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return append(b, '\n'), nil
}

func (s *server) document(w http.ResponseWriter, r *request) error {
	if err := r.nothing(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(s.openapi)
	return err
}
