package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// perOrigin is how many resources one generated cluster has at most.
const perOrigin = 20_000

// clusters are generated Kubernetes clusters: n resources of a dozen types, or
// of those that hold a pod alone. Every document follows from seed, its number
// and its version, and is generated when it is asked for.
type clusters struct {
	seed      uint64
	n         int
	workloads bool
	version   func(i int) int // nil: every document is as it was first
	kept      map[int]keptLine
}

type keptLine struct {
	version int
	line    []byte
}

// parts are the clusters, each with its documents in the order of their ids.
func (s *clusters) parts() []part {
	var out []part
	for from := 0; from < s.n; from += perOrigin {
		to := min(from+perOrigin, s.n)
		origin := fmt.Sprintf("kubernetes/bench-%02d", from/perOrigin)
		out = append(out, part{origin: origin, write: func(yield func(typ string, line []byte) error) error {
			type named struct {
				id string
				i  int
			}
			order := make([]named, 0, to-from)
			for i := from; i < to; i++ {
				d := s.draft(i, origin)
				order = append(order, named{d.id(), i})
			}
			slices.SortFunc(order, func(a, b named) int { return cmp.Compare(a.id, b.id) })
			for _, o := range order {
				d := s.draft(o.i, origin)
				line, err := s.line(o.i, d)
				if err != nil {
					return err
				}
				if err := yield(d.kind.typ, line); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	return out
}

// line renders a document, or remembers it: a series asks for most of them again and again.
func (s *clusters) line(i int, d *draft) ([]byte, error) {
	if s.version != nil {
		d.version = s.version(i)
		if kept, ok := s.kept[i]; ok && kept.version == d.version {
			return kept.line, nil
		}
	}
	line, err := d.resource().Line()
	if s.version != nil && err == nil {
		if s.kept == nil {
			s.kept = map[int]keptLine{}
		}
		s.kept[i] = keptLine{d.version, line}
	}
	return line, err
}

// kinds are the types of a cluster, each with its share in a thousand.
var kinds = []objectKind{
	{"apps/v1/Deployment", 170, (*draft).controller},
	{"apps/v1/StatefulSet", 55, (*draft).controller},
	{"apps/v1/DaemonSet", 35, (*draft).controller},
	{"batch/v1/Job", 30, (*draft).controller},
	{"batch/v1/CronJob", 40, (*draft).cronJob},
	{"v1/Pod", 70, (*draft).pod},
	{"v1/Service", 170, (*draft).service},
	{"v1/ConfigMap", 130, (*draft).configMap},
	{"v1/ServiceAccount", 90, (*draft).serviceAccount},
	{"rbac.authorization.k8s.io/v1/RoleBinding", 90, (*draft).roleBinding},
	{"networking.k8s.io/v1/Ingress", 55, (*draft).ingress},
	{"networking.k8s.io/v1/NetworkPolicy", 55, (*draft).networkPolicy},
	{"apiextensions.k8s.io/v1/CustomResourceDefinition", 10, (*draft).definition},
}

// holdPods is how many of kinds come first and hold a pod.
const holdPods = 6

type objectKind struct {
	typ   string
	share int
	fill  func(d *draft) // sets what is not metadata
}

// draft is a document while it is generated.
type draft struct {
	random
	kind      objectKind
	origin    string
	namespace string
	name      string
	which     uint64 // which document of which seed
	version   int
	object    map[string]any
	redacted  []string
}

// draft begins document i: what its id tells.
func (s *clusters) draft(i int, origin string) *draft {
	d := &draft{random: newRandom(s.seed, uint64(i)), origin: origin, which: mix(s.seed, uint64(i))}
	of, sum := kinds, 0
	if s.workloads {
		of = kinds[:holdPods]
	}
	for _, k := range of {
		sum += k.share
	}
	at := d.IntN(sum)
	for _, k := range of {
		if at -= k.share; at < 0 {
			d.kind = k
			break
		}
	}
	d.namespace = pick(d, teams) + "-" + pick(d, stages)
	d.name = fmt.Sprintf("%s-%s-%06d", pick(d, nouns), pick(d, nouns), i)
	return d
}

func (d *draft) id() string {
	return audit.ResourceID(d.origin, d.kind.typ, d.namespace+"/"+d.name)
}

// resource fills the document in. A later version is the same object after it
// was changed: another image, another count, seldom another setting.
func (d *draft) resource() audit.Resource {
	at := strings.LastIndexByte(d.kind.typ, '/')
	uid := fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", d.IntN(1<<32), d.IntN(1<<16), d.IntN(1<<12), d.IntN(1<<12), d.Uint64()&0xffffffffffff)
	labels := map[string]any{
		"app.kubernetes.io/name": d.name[:strings.LastIndexByte(d.name, '-')], "app.kubernetes.io/managed-by": pick(d, []string{"Helm", "argocd", "kustomize"}),
		"app.kubernetes.io/version": fmt.Sprintf("%d.%d.%d", d.IntN(9), d.IntN(30), d.IntN(20)),
	}
	if !d.chance(5) {
		labels["cost-centre"], labels["app.kubernetes.io/part-of"] = fmt.Sprintf("K-%04d", d.IntN(10_000)), pick(d, teams)
	}
	if !d.chance(6) {
		labels["team"] = strings.SplitN(d.namespace, "-", 2)[0]
	}
	metadata := map[string]any{
		"name": d.name, "namespace": d.namespace, "uid": uid, "resourceVersion": fmt.Sprint(1_000_000 + d.IntN(9_000_000) + d.version),
		"creationTimestamp": fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02dZ", 1+d.IntN(10), 1+d.IntN(28), d.IntN(24), d.IntN(60), d.IntN(60)),
		"labels":            labels, "annotations": d.annotations(), "generation": d.number(1 + d.IntN(40) + d.version), "managedFields": nil, "finalizers": []any{},
	}
	if bare := d.chance(25); bare && !slices.Contains(workloads, "kubernetes/"+d.kind.typ) {
		delete(metadata, "annotations")
		clear(labels)
		d.redacted = nil
	}
	d.object = map[string]any{"apiVersion": d.kind.typ[:at], "kind": d.kind.typ[at+1:], "metadata": metadata}
	// What follows is drawn anew one time in eight: then most of it is another.
	if anew := mix(d.which, uint64(d.version)); d.version > 0 && anew%8 == 0 {
		d.random = newRandom(anew, 1)
	}
	d.kind.fill(d)
	tags := map[string]string{}
	for key, v := range labels {
		tags[key] = fmt.Sprint(v)
	}
	return audit.Resource{
		Source: audit.Kubernetes, Origin: d.origin, Type: d.kind.typ, ID: d.id(), Name: d.name,
		Data: d.object, Redacted: d.redacted, Tags: tags,
	}
}

// annotations are a few, and one time in thirty some that go on for pages.
func (d *draft) annotations() map[string]any {
	out := map[string]any{
		"meta.helm.sh/release-name": d.name, "checksum/config": d.hex(64),
		"nordhafen.example/purpose": pick(d, purposes),
	}
	if d.chance(50) {
		out["kubectl.kubernetes.io/last-applied-configuration"] = "redacted:" + d.hex(32)
		d.redacted = append(d.redacted, "/data/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
	}
	if d.chance(3) {
		out["nordhafen.example/runbook"] = d.prose(500 + d.IntN(7_000))
	}
	return out
}

// chance is true so many times in a hundred.
func (d *draft) chance(percent int) bool { return d.IntN(100) < percent }

func (d *draft) number(n int) json.Number { return json.Number(fmt.Sprint(n)) }

func (d *draft) hex(digits int) string {
	b := make([]byte, digits)
	for i := range b {
		b[i] = "0123456789abcdef"[d.IntN(16)]
	}
	return string(b)
}

// prose is text of about n bytes.
func (d *draft) prose(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(pick(d, purposes))
		b.WriteString(pick(d, []string{" ", ". ", ",\n", " \"", "\t", " <", "> "}))
		b.WriteString(pick(d, nouns))
	}
	return b.String()
}

func pick[T any](d *draft, from []T) T { return from[d.IntN(len(from))] }

var (
	teams  = []string{"payments", "tracking", "customs", "platform", "wms", "billing", "identity", "routing", "fleet", "portal", "ledger"}
	stages = []string{"prod", "staging", "dev", "canary", "eu", "us", "apac", "dr"}
	nouns  = []string{
		"api", "worker", "gateway", "importer", "exporter", "scheduler", "cache", "broker", "indexer", "mailer", "auth", "audit", "quote",
		"invoice", "parcel", "manifest", "berth", "crane", "pallet", "scanner", "label", "ledger", "proxy", "session", "search", "report",
	}
	purposes = []string{
		"Nimmt Zollanmeldungen entgegen und prüft sie", "Berechnet Liegezeiten für alle Kais in Hamburg", "追跡イベントを倉庫へ転送する",
		"Sends parcels' events to the customer's own endpoint & retries", "Schickt Rechnungen 💶 an die Buchhaltung", "Ne pas redémarrer pendant l'inventaire",
		"Keeps sessions; nothing else is stored here", "Ældre integration, må ikke slettes før 2027", "Обмен с портом Мурманск",
	}
)
