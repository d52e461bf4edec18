package configs

import (
	"bytes"
	_ "embed"
)

//go:embed kibana/crosscheck.ndjson
var kibana []byte

// Kibana is what Kibana 8 imports: data views, saved searches and dashboards, as NDJSON.
func Kibana() []byte { return bytes.Clone(kibana) }
