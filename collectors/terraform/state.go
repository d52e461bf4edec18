package terraform

import (
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	modeManaged = "managed"
	modeData    = "data"
)

// stateResource is a resource block of a raw state, without its instances.
type stateResource struct{ module, mode, typ, name, provider string }

// readState reads a raw state, one instance at a time.
func readState(s *stream, late bool, each func(instance) error) error {
	return s.object(func(key string) error {
		if key != "resources" {
			return s.skip() // outputs among them: they are no resources and may be secret
		}
		return s.array(func() error {
			if late {
				return wholeResource(s, each)
			}
			return streamedResource(s, each)
		})
	})
}

func streamedResource(s *stream, each func(instance) error) error {
	m := map[string]any{}
	return s.object(func(key string) (err error) {
		if key != "instances" {
			m[key], err = s.value()
			return err
		}
		block := stateBlock(m)
		return s.array(func() error {
			v, err := s.record()
			if err != nil {
				return err
			}
			return block.instance(v, each)
		})
	})
}

// wholeResource holds all instances of a block: of a file whose keys another program has sorted.
func wholeResource(s *stream, each func(instance) error) error {
	m, err := s.record()
	if err != nil {
		return err
	}
	block := stateBlock(m)
	for _, v := range list(m["instances"]) {
		o, ok := v.(map[string]any)
		if !ok {
			return s.wrong("want an object, got %T", v)
		}
		if err := block.instance(o, each); err != nil {
			return err
		}
	}
	return nil
}

func stateBlock(m map[string]any) stateResource {
	return stateResource{str(m, "module"), str(m, "mode"), str(m, "type"), str(m, "name"), providerSource(str(m, "provider"))}
}

// providerSource takes registry.terraform.io/hashicorp/aws out of
// module.a.provider["registry.terraform.io/hashicorp/aws"].eu, as `show -json` has it.
func providerSource(p string) string {
	if _, rest, ok := strings.Cut(p, `provider["`); ok {
		if name, _, ok := strings.Cut(rest, `"]`); ok {
			return name
		}
	}
	return p
}

func (b stateResource) instance(m map[string]any, each func(instance) error) error {
	in := instance{
		module: b.module, mode: b.mode, typ: b.typ, name: b.name, index: m["index_key"], provider: b.provider,
		schemaVersion: m["schema_version"], deposed: str(m, "deposed"),
		extra: map[string]any{"dependencies": list(m["dependencies"])},
	}
	key, err := renderKey(in.index)
	if err != nil {
		return err
	}
	in.address = fullAddress(b.module, b.mode, b.typ, b.name, key)
	if str(m, "status") == "tainted" {
		in.extra["tainted"] = true
	}
	if err := in.attributes(m["attributes"]); err != nil {
		return err
	}
	if m["attributes"] == nil {
		in.missing, in.why = audit.Failed, "attributes"
		if m["attributes_flat"] != nil {
			in.why = "attributes_flat" // as Terraform before 0.12 wrote them
		}
	}
	if in.secret, err = ctyPaths(m["sensitive_attributes"], in.values); err != nil {
		return fmt.Errorf("sensitive_attributes: %w", err)
	}
	return each(in)
}
