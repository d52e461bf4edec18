package netbox

import (
	"context"
	"fmt"

	api "github.com/netbox-community/go-netbox/v4"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// judge decides for each type how it is known that all of it was listed.
type judge struct {
	*session
	origin  string
	rights  rights
	tallies map[string]*tally
	types   map[string]audit.TypeCount
	gaps    []audit.Gap
	notices []audit.Notice
}

// counted is what sites and clusters say of a type: how many more there must
// be than were read, and whether the counts account for each one.
type counted struct {
	by       string // the sum, for the auditor
	hidden   int64
	accounts bool // every object of the type is in at least one of the sums
	equal    bool
}

// recount asks again where numbers disagree: NetBox may have changed meanwhile.
func (j *judge) recount(ctx context.Context) error {
	if err := j.totals(ctx); err != nil {
		return err
	}
	if j.settled(device) && j.settled(machine) {
		return nil
	}
	for _, e := range endpoints() {
		if len(e.sums) == 0 || j.tallies[e.typ].failed != nil {
			continue
		}
		again := newTally()
		err := j.list(ctx, e, again, func(_ int32, data map[string]any) error {
			again.add(e, data)
			return nil
		})
		if err := j.settle(ctx, e, again, err); err != nil {
			return err
		}
		if t := j.tallies[e.typ]; again.failed == nil && again.read == t.read {
			t.sums, t.blind = again.sums, again.blind
		}
	}
	return nil
}

// totals asks again how many there are where fewer were read than counted.
func (j *judge) totals(ctx context.Context) error {
	for _, e := range endpoints() {
		t := j.tallies[e.typ]
		if t.failed != nil || t.read >= t.total {
			continue
		}
		if err := j.total(ctx, e, t); err != nil {
			return err
		}
	}
	return nil
}

// settled tells whether another look at the counts would change nothing.
func (j *judge) settled(typ string) bool {
	c := j.of(typ)
	return c.equal || !c.accounts || j.tallies[typ].failed != nil
}

// total asks how many there are now: what was deleted while it was read is not missing.
func (j *judge) total(ctx context.Context, e endpoint, t *tally) error {
	r := e.request(page{limit: 1})
	r.parameters["id__gt"] = "0"
	r.send = func(ctx context.Context, c *api.APIClient) error { return e.send(ctx, c, page{limit: 1}) }
	if body, err := j.ask(ctx, r); err == nil { // else the first count stands, and with it the gap
		if p, err := decodePage(body); err == nil {
			t.total = max(p.count, t.read)
		}
	}
	return ctx.Err()
}

// of holds a type against what sites and clusters count, which NetBox does not
// narrow to what the token may see.
func (j *judge) of(typ string) counted {
	sites, clusters, t := j.tallies[site], j.tallies[cluster], j.tallies[typ]
	switch typ {
	case device:
		n := sites.sums[deviceCount]
		whole := sites.failed == nil && !sites.blind[deviceCount]
		return counted{
			by:     fmt.Sprintf("the sum of device_count over %d sites is %d", sites.read, n),
			hidden: n - t.read, accounts: whole, equal: whole && n == t.read,
		}
	case machine:
		inClusters, inSites := clusters.sums[machineCount], sites.sums[machineCount]
		clustered, sited := t.within["cluster"], t.within["site"]
		whole := clusters.failed == nil && sites.failed == nil && !clusters.blind[machineCount] && !sites.blind[machineCount] &&
			!t.blind["cluster"] && !t.blind["site"]
		return counted{
			by: fmt.Sprintf("the sum of virtualmachine_count over %d clusters is %d, of %d machines with a cluster, and over %d sites %d, of %d with a site; NetBox takes no machine without either",
				clusters.read, inClusters, clustered, sites.read, inSites, sited),
			hidden: max(inClusters-clustered, inSites-sited), accounts: whole,
			equal: whole && inClusters == clustered && inSites == sited,
		}
	}
	return counted{}
}

// judge says what is known of one type. Sites and clusters have to be judged
// before what they count: equal sums prove nothing over sites that are hidden.
func (j *judge) judge(e endpoint) audit.TypeCount {
	t, c := j.tallies[e.typ], j.of(e.typ)
	out := audit.TypeCount{Type: e.typ, Listed: max(t.read, t.total)}
	switch {
	case t.failed != nil:
		j.gap(e, t.failed.Code, e.operation())
	case t.read < t.total:
		j.gap(e, audit.Truncated, fmt.Sprintf("%s: %d read, %d counted", e.operation(), t.read, t.total))
	case c.hidden > 0:
		out.Listed = t.read + c.hidden
		j.gap(e, audit.Truncated, fmt.Sprintf("%s: %d read, but %s", e.operation(), t.read, c.by))
	default:
		out.Completeness, out.Basis = j.basis(e, c)
	}
	j.unasserted(e.typ, out.Completeness)
	if j.types == nil {
		j.types = map[string]audit.TypeCount{}
	}
	j.types[e.typ] = out
	return out
}

func (j *judge) basis(e endpoint, c counted) (audit.Completeness, string) {
	if proof := j.rights.proof(e.typ); proof != "" {
		return audit.Proved, proof
	}
	if c.equal && j.known(site) && (e.typ != machine || j.known(cluster)) {
		return audit.Reconciled, c.by
	}
	if j.rights.narrowed[e.typ] {
		j.gap(e, audit.Unproven, e.operation()+": the token's permission is constrained")
		return "", ""
	}
	for _, a := range j.c.cfg.Asserted {
		if a.Type == e.typ {
			return audit.Asserted, fmt.Sprintf("asserted by %s on %s: %s", a.By, a.On.UTC().Format("2006-01-02"), a.Reason)
		}
	}
	why := ": constrained permissions cannot be excluded"
	if c.equal {
		why += "; " + c.by + ", but what counts them may be hidden too"
	}
	j.gap(e, audit.Unproven, e.operation()+why)
	return "", ""
}

// known tells whether a type that was judged before is complete.
func (j *judge) known(typ string) bool { return j.types[typ].Completeness != "" }

// unasserted tells a person that their word was not needed, or did not hold.
func (j *judge) unasserted(typ string, known audit.Completeness) {
	for _, a := range j.c.cfg.Asserted {
		switch {
		case a.Type != typ || known == audit.Asserted:
		case known == "":
			j.notices = append(j.notices, audit.Notice{
				Code: "netbox_assertion_refuted", Subject: j.origin + "/" + typ,
				Message: a.By + " asserts that it is listed completely; what was read says otherwise, and the gap stays",
			})
		default:
			j.notices = append(j.notices, audit.Notice{
				Code: "netbox_assertion_unneeded", Subject: j.origin + "/" + typ,
				Message: "that it is listed completely is " + string(known) + ": the assertion of " + a.By + " can go",
			})
		}
	}
}

func (j *judge) gap(e endpoint, code audit.GapCode, operation string) {
	j.gaps = append(j.gaps, audit.Gap{Origin: j.origin, Type: e.typ, Code: code, Operation: operation})
}
