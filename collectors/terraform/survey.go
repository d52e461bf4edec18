package terraform

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// survey is what the first reading of a document tells: that all of it can be
// read, what it is, and of a plan what references are resolved with.
type survey struct {
	form             form
	formatVersion    string
	version          string // of the state format
	terraformVersion string
	serial           string
	lineage          string
	timestamp        string
	errored          bool
	limited          bool // a plan of a part: -target, or deferred changes
	late             bool // raw state: a resource goes on after its instances
	code             *module
	planned          *instances
	changed          map[string]bool   // addresses that a plan's changes name
	managed          map[string]string // address → type of what a plan has beside its changes
	sha256           string
}

// surveyDocument reads a document once. Nothing of it is written before this has succeeded.
func surveyDocument(ctx context.Context, c *content) (*survey, error) {
	head, _ := c.Peek(headBytes) // a read error comes again, and is returned then
	if f := formOf(head); f != other || len(head) > 0 && !strings.HasPrefix(strings.TrimLeft(string(head), " \t\r\n"), "{") {
		if err := refuse(f); err != nil {
			return nil, err
		}
	}
	v := &survey{planned: newInstances(), changed: map[string]bool{}, managed: map[string]string{}}
	s := newStream(c)
	var keys []string
	err := s.object(func(key string) error {
		keys = append(keys, key)
		return v.field(ctx, s, key)
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	v.form = formOfKeys(keys)
	if err := refuse(v.form); err != nil {
		return nil, err
	}
	if err := v.supported(); err != nil {
		return nil, err
	}
	v.sha256, err = c.digest()
	return v, err
}

func (v *survey) field(ctx context.Context, s *stream, key string) error {
	text := func(to *string) error {
		got, err := s.scalar()
		*to = brief(got)
		return err
	}
	flag := func(to *bool, when string) error {
		got, err := s.scalar()
		*to = got == when
		return err
	}
	switch key {
	case "format_version":
		return text(&v.formatVersion)
	case "version":
		return text(&v.version)
	case "terraform_version":
		return text(&v.terraformVersion)
	case "serial":
		return text(&v.serial)
	case "lineage":
		return text(&v.lineage)
	case "timestamp":
		return text(&v.timestamp)
	case "errored":
		return flag(&v.errored, "true")
	case "complete":
		return flag(&v.limited, "false")
	case "configuration":
		config, err := s.value()
		v.code = readConfiguration(config)
		return err
	case "resources":
		return v.resources(ctx, s)
	case "resource_changes":
		return s.array(func() error {
			m, err := s.record()
			if err := cmp.Or(err, ctx.Err()); err != nil {
				return err
			}
			v.changed[str(m, "address")] = true
			if remains(m) {
				v.planned.add(str(m, "address"))
			}
			return nil
		})
	case "planned_values":
		return shownValues(s, v.note)
	case "prior_state":
		return priorState(s, v.note)
	}
	return s.skip()
}

// note takes what a plan has beside its changes: data sources can be referred
// to, and of what is managed the changes have to tell what becomes of it.
func (v *survey) note(m map[string]any) error {
	switch {
	case str(m, "mode") == modeData:
		v.planned.add(str(m, "address"))
	case str(m, "deposed_key") == "":
		v.managed[str(m, "address")] = str(m, "type")
	}
	return nil
}

// untold lists the types of which a plan has resources that its changes do not mention.
func (v *survey) untold() []string {
	types := map[string]bool{}
	for address, typ := range v.managed {
		if !v.changed[address] {
			types[typ] = true
		}
	}
	return slices.Sorted(maps.Keys(types))
}

// resources notes whether a resource's own fields come after its instances:
// then it has to be held whole when it is read.
func (v *survey) resources(ctx context.Context, s *stream) error {
	return s.array(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		seen := false
		return s.object(func(key string) error {
			v.late = v.late || seen
			seen = seen || key == "instances"
			return s.skip()
		})
	})
}

// supported refuses versions whose meaning is not known.
func (v *survey) supported() error {
	e := &FileError{}
	major, _, _ := strings.Cut(v.formatVersion, ".")
	switch {
	case v.form == rawState && v.version != "4":
		e.What = fmt.Sprintf("a state of version %q; supported is 4", v.version)
		e.Remedy = "let a current Terraform rewrite it (`terraform apply -refresh-only`) and give the new state"
	case v.form == rawState:
		return nil
	case !slices.Contains([]string{"0", "1"}, major):
		e.What = fmt.Sprintf("%s with format_version %q; supported are 0.x and 1.x", v.form, v.formatVersion)
		e.Remedy = "write it with a Terraform whose `show -json` has one of these versions"
	case v.errored:
		e.What, e.Remedy = "a plan that ended in an error, so that what it plans is not all there", "mend the error and plan again"
	case v.form == plan && len(v.changed) == 0 && len(v.managed) > 0:
		e.What, e.Remedy = "a plan that does not say what becomes of its resources, as -refresh-only makes it", "plan without -refresh-only, or give the state"
	default:
		return nil
	}
	return e
}

// brief keeps what a hostile file calls its version from filling the log.
func brief(s string) string {
	printable := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 80)])
	return printable
}

func str(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}
