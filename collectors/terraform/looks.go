package terraform

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
)

// form is what a file is, told by its content.
type form string

// The forms. The first three are read; the others are mistakes with a remedy of their own.
const (
	rawState  form = "state v4"
	shown     form = "show -json of a state"
	plan      form = "show -json of a plan"
	encrypted form = "encrypted state"
	binary    form = "saved plan"
	planLog   form = "log of plan -json"
	schemas   form = "provider schemas"
	validated form = "result of validate -json"
	backend   form = "record of a backend"
	source    form = "HCL source"
	zipped    form = "gzip"
	utf16     form = "UTF-16"
	empty     form = "empty"
	other     form = "something else"
)

// headBytes is how much of a file is looked at to tell what it is.
const headBytes = 64 << 10

// Looks tells from the beginning of a file (64 KiB are plenty) whether it is
// Terraform's: a state, a plan, or something of Terraform's that this collector
// refuses with a remedy, such as a plan that is not JSON or HCL source. What it
// calls false is not for this package; Kubernetes manifests are among that.
func Looks(head []byte) bool {
	switch formOf(head) {
	case utf16: // as PowerShell writes what is redirected: look at its ASCII
		return Looks(bytes.ReplaceAll(head[2:], []byte{0}, nil))
	case rawState, shown, plan, encrypted, binary, planLog, schemas, validated, backend, source, zipped:
		return true
	}
	return false
}

// blockLine is the head of an HCL block. It stands at the beginning of a line:
// HCL quoted within a manifest is indented.
var blockLine = regexp.MustCompile(`(?m)^(resource|data|variable|output|module|provider)\s+"[^"]*"(\s+"[^"]*")?\s*\{|^(terraform|locals)\s*\{`)

// formOf tells what a file is. A form told by top-level keys is a guess until
// the whole file has been read: keys may come in any order.
func formOf(head []byte) form {
	head = bytes.TrimPrefix(head, bom)
	text := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return binary
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return zipped
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return utf16
	case len(text) == 0:
		return empty
	case text[0] == '{':
		return formOfKeys(headKeys(text))
	case blockLine.Match(text):
		return source
	}
	return other
}

// formOfKeys tells what a JSON object is by its top-level keys.
func formOfKeys(keys []string) form {
	has := func(all ...string) bool {
		return !slices.ContainsFunc(all, func(k string) bool { return !slices.Contains(keys, k) })
	}
	switch {
	case has("apiVersion"), has("kind"):
		return other
	case has("encrypted_data"):
		return encrypted
	case has("@level"), has("@message"), has("@module"):
		return planLog
	case has("provider_schemas"):
		return schemas
	case has("diagnostics", "valid"), has("format_version", "valid"):
		return validated
	case has("backend") && !has("resources"):
		return backend
	case has("planned_values"), has("resource_changes"), has("configuration", "format_version"), has("applyable"):
		return plan
	case has("format_version"), has("values", "terraform_version"):
		return shown
	case has("lineage"), has("serial", "version"), has("terraform_version", "version"), has("check_results"), has("resources", "version"):
		return rawState
	}
	return other
}

// errTold says that no other key can change what a file is.
var errTold = errors.New("it is told")

// headKeys are the top-level keys of the JSON object that begins in head, as far
// as it goes, or until one says that it is none of Terraform's.
func headKeys(head []byte) []string {
	s := newStream(bytes.NewReader(head))
	var keys []string
	_ = s.object(func(key string) error { // the head ends anywhere: what was seen before is all there is
		keys = append(keys, key)
		if key == "apiVersion" || key == "kind" {
			return errTold
		}
		return s.skip()
	})
	return keys
}

var bom = []byte("\xef\xbb\xbf")

// refuse explains why a file of a form cannot be read, or returns nil.
func refuse(f form) error {
	e := &FileError{}
	show := "run `terraform show -json` on it and give its output"
	switch f {
	case rawState, shown, plan:
		return nil
	case encrypted:
		e.What, e.Remedy = "a state that OpenTofu has encrypted", "decrypt it with `tofu show -json` and give its output"
	case binary:
		e.What, e.Remedy = "a saved plan, which is not JSON", show
	case planLog:
		e.What, e.Remedy = "the log of `terraform plan -json`, which is not the plan", "save the plan with `terraform plan -out=FILE` and give the output of `terraform show -json FILE`"
	case schemas:
		e.What, e.Remedy = "provider schemas, neither state nor plan", "give the output of `terraform show -json`"
	case validated:
		e.What, e.Remedy = "the result of `terraform validate -json`, neither state nor plan", "give the output of `terraform show -json`"
	case backend:
		e.What, e.Remedy = "Terraform's own record of where the state is kept, not the state", "give the output of `terraform state pull`"
	case source:
		e.What, e.Remedy = "HCL source", "plan it with `terraform plan -out=FILE` and give the output of `terraform show -json FILE`"
	case zipped:
		e.What, e.Remedy = "compressed with gzip", "unpack it with gunzip"
	case utf16:
		e.What, e.Remedy = "text in UTF-16, as PowerShell writes it", "save it as UTF-8: `terraform show -json FILE | Out-File -Encoding utf8 plan.json`"
	case empty:
		e.What, e.Remedy = "empty", "give a state, or the output of `terraform show -json`"
	default:
		e.What, e.Remedy = "neither a Terraform state nor a plan", "give a state (version 4), or the output of `terraform show -json`"
	}
	return e
}
