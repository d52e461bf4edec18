package aws

import (
	"encoding/json"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Row is what tests see of a row of the table of calls.
type Row struct {
	Operation, Permission, Type, Tagged string
	Global, List                        bool
}

// Rows lists the table.
func Rows() []Row {
	var out []Row
	for _, k := range kinds() {
		if k.list != nil {
			out = append(out, Row{Operation: k.operation, Permission: k.permission, Type: k.name, Tagged: k.tagged, Global: k.global, List: true})
		}
		for _, c := range k.calls {
			out = append(out, Row{Operation: c.operation, Permission: c.permission, Type: k.name, Tagged: c.tagged, Global: k.global})
		}
	}
	return out
}

// CredentialError is an error of finding credentials.
func CredentialError(err error) error { return &credentialError{err} }

// What the tests look into.
func Classify(err error) audit.GapCode                                 { return classify(err) }
func Encode(v any) (any, error)                                        { return encode(v) }
func ParsePolicy(text string) any                                      { return parsePolicy(text) }
func ParseReport(content []byte) (map[string]map[string]string, error) { return parseReport(content) }

// Literal is a number as it is written.
func Literal(s string) json.Number { return json.Number(s) }
