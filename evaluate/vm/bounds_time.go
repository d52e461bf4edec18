package vm

import (
	"strings"
	"time"
)

// zoned is for what takes moments as [ns, zone]: the zone Local ends the call.
func zoned(b bound) bound {
	return func(m *Machine, a []*Value) {
		for _, v := range a {
			if v.kind != kArray {
				continue
			}
			if parts := m.elements(v); len(parts) > 1 && parts[1].kind == kString && ofTheMachine(parts[1].s) {
				m.fail(ErrZone)
				return
			}
		}
		if b != nil {
			b(m, a)
		}
	}
}

// ofTheMachine tells whether a zone's name is that of a file which says what the
// machine's own zone is, or its own for old rules, in whichever folder.
func ofTheMachine(zone string) bool {
	name := zone[strings.LastIndexByte(zone, '/')+1:]
	return strings.EqualFold(name, time.Local.String()) || strings.EqualFold(name, "localtime") || strings.EqualFold(name, "posixrules")
}

// abbreviating are the layouts that have a name in OPA and an abbreviation of a zone.
var abbreviating = map[string]string{"UnixDate": time.UnixDate, "RFC822": time.RFC822, "RFC850": time.RFC850, "RFC1123": time.RFC1123}

// zoneParsed ends the call where the offset of an abbreviated zone would be looked up
// in the machine's own: of CET it is an hour where that is Europe/Berlin, and else none.
func zoneParsed(m *Machine, a []*Value) {
	layout := a[0].s
	if l, ok := abbreviating[layout]; ok {
		layout = l
	}
	if !strings.Contains(layout, "MST") || strings.Contains(layout, "-07") || strings.Contains(layout, "Z07") {
		return
	}
	t, err := time.ParseInLocation(layout, a[1].s, time.UTC)
	if err != nil { // OPA's says what is wrong
		return
	}
	if zone := t.Location().String(); zone != "UTC" && !strings.HasPrefix(zone, "GMT") {
		m.fail(ErrZone)
	}
}
