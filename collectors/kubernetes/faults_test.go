package kubernetes_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// fault answers requests itself where it wants to.
type fault = func(w http.ResponseWriter, r *http.Request, n int) bool

// on has f answer the requests for one path.
func on(path string, f func(w http.ResponseWriter, r *http.Request, n int)) fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.URL.Path == path {
			f(w, r, n)
		}
		return r.URL.Path == path
	}
}

// from has the n-th and later requests for one path refused.
func from(path string, first, last, code int, reason string) fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.URL.Path != path || n < first || n > last {
			return false
		}
		w.Header().Set("Retry-After", "0")
		refuse(w, code, reason)
		return true
	}
}

func TestFaultsOfOneKind(t *testing.T) {
	t.Parallel()
	const pods, always = "/api/v1/pods", 1 << 30
	tests := map[string]struct {
		fault     fault
		code      audit.GapCode // of the gap; empty: none
		documents int
		listed    int64
	}{
		"forbidden":                  {from(pods, 1, always, 403, "Forbidden"), audit.AccessDenied, 0, 0},
		"forbidden from page two":    {from(pods, 2, always, 403, "Forbidden"), audit.AccessDenied, 5, 12},
		"token expires":              {from(pods, 2, always, 401, "Unauthorized"), audit.Unauthenticated, 5, 12},
		"throttled for a while":      {from(pods, 2, 4, 429, "TooManyRequests"), "", 12, 12},
		"throttled for good":         {from(pods, 2, always, 429, "TooManyRequests"), audit.Throttled, 5, 12},
		"list expires":               {from(pods, 3, 3, 410, "Expired"), "", 12, 12},
		"list expires, nameless":     {from(pods, 3, 3, 410, "Gone"), "", 12, 12},
		"list expires again":         {from(pods, 3, always, 410, "Expired"), audit.Failed, 10, 12},
		"list expires in both":       {expiring(pods), audit.Truncated, 10, 12},
		"expired at once":            {from(pods, 1, always, 410, "Expired"), audit.Failed, 0, 0},
		"breaks down":                {from(pods, 1, always, 500, "InternalError"), audit.Failed, 0, 0},
		"gone since discovery":       {from(pods, 1, always, 404, "NotFound"), audit.Failed, 0, 0},
		"dies in the first page":     {on(pods, func(w http.ResponseWriter, _ *http.Request, _ int) { cutOff(w, `{"items":[`) }), audit.Unreachable, 0, 0},
		"dies in the second page":    {dying(pods, 2, always), audit.Unreachable, 6, 12},
		"hangs up once":              {dying(pods, 2, 2), "", 12, 12},
		"answers with HTML":          {text(pods, "<html>login</html>"), audit.Failed, 0, 0},
		"answers with another thing": {text(pods, `{"kind":"Pod","metadata":{"name":"x"}}`), audit.Failed, 0, 0},
		"answers with half a thing":  {text(pods, `{"kind":"PodList","items":[{"metadata":{"name":"x"}}`), audit.Unreachable, 1, 1},
		"items is no array":          {text(pods, `{"items":{}}`), audit.Failed, 0, 0},
		"items is null":              {text(pods, `{"kind":"PodList","items":null}`), "", 0, 0},
		"an object without a name":   {text(pods, `{"items":[{"metadata":{}}]}`), audit.Failed, 0, 0},
		"an object that is a number": {text(pods, `{"items":[1]}`), audit.Failed, 0, 0},
		"a name that is a path":      {text(pods, `{"items":[{"metadata":{"name":"../x"}}]}`), audit.Failed, 0, 0},
		"a key twice":                {text(pods, `{"items":[{"metadata":{"name":"good"}},{"metadata":{"name":"x"},"spec":{"hostNetwork":true,"hostNetwork":false}}]}`), audit.Failed, 1, 1},
		"names that are not UTF-8":   {text(pods, "{\"items\":[{\"metadata\":{\"name\":\"good\"}},{\"metadata\":{\"name\":\"x\xff\"}},{\"metadata\":{\"name\":\"x\xfe\"}}]}"), audit.Failed, 1, 1},
		"items twice":                {text(pods, `{"items":[{"metadata":{"name":"good"}}],"items":[]}`), audit.Failed, 1, 1},
		"metadata twice":             {text(pods, `{"metadata":{"continue":"c"},"items":[{"metadata":{"name":"good"}}],"metadata":{"continue":""}}`), audit.Failed, 1, 1},
		"two lists":                  {text(pods, `{"items":[{"metadata":{"name":"good"}}]} {"items":[{}]}`), audit.Failed, 1, 1},
		"pages without an end":       {endless(pods), audit.Failed, 1, 1},
		"pages that repeat":          {text(pods, `{"items":[{"metadata":{"name":"x"}}],"metadata":{"continue":"again"}}`), audit.Failed, 1, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, col, err := collect(t, collector(t, serve(t, cluster(), tt.fault)))
			if err != nil {
				t.Fatal(err)
			}
			var documents int
			for _, r := range w.Resources {
				if r.Type == "v1/Pod" {
					documents++
				}
			}
			var listed int64
			for _, tc := range col.Types {
				if tc.Type == "v1/Pod" {
					listed = tc.Listed
				}
			}
			if documents != tt.documents || listed != tt.listed {
				t.Errorf("%d documents of %d listed, want %d of %d", documents, listed, tt.documents, tt.listed)
			}
			switch {
			case tt.code == "" && len(col.Gaps) > 0:
				t.Errorf("gaps %v, want none", col.Gaps)
			case tt.code != "" && (len(col.Gaps) != 1 || !hasGap(col, "v1/Pod", tt.code, "list pods")):
				t.Errorf("gaps %v, want %s of v1/Pod only", col.Gaps, tt.code)
			}
		})
	}
}

// expiring has each list expire at its third page.
func expiring(path string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != path || r.URL.Query().Get("continue") != "10" {
			return false
		}
		refuse(w, 410, "Expired")
		return true
	}
}

// dying has the server hang up in the middle of answers.
func dying(path string, first, last int) fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.URL.Path != path || n < first || n > last {
			return false
		}
		cutOff(w, `{"kind":"PodList","items":[{"metadata":{"name":"pod-005","namespace":"shop"}},{"metadata":{"na`)
		return true
	}
}

func text(path, body string) fault {
	return on(path, func(w http.ResponseWriter, _ *http.Request, _ int) { fmt.Fprint(w, body) })
}

// endless gives one object again and again, on ever new pages.
func endless(path string) fault {
	return on(path, func(w http.ResponseWriter, _ *http.Request, n int) {
		fmt.Fprintf(w, `{"items":[{"metadata":{"name":"x"}}],"metadata":{"continue":"%d"}}`, n)
	})
}

func TestFaultsOfTheWhole(t *testing.T) {
	t.Parallel()
	const always = 1 << 30
	tests := map[string]struct {
		fault fault
		code  audit.GapCode
	}{
		"no credentials":          {from("/api", 1, always, 401, "Unauthorized"), audit.Unauthenticated},
		"no permission":           {from("/apis", 1, always, 403, "Forbidden"), audit.AccessDenied},
		"breaks down":             {from("/api", 1, always, 500, "InternalError"), audit.Failed},
		"throttled":               {from("/api", 1, always, 429, "TooManyRequests"), audit.Throttled},
		"hangs up":                {on("/api", func(w http.ResponseWriter, _ *http.Request, _ int) { cutOff(w, "{") }), audit.Unreachable},
		"not an API server":       {text("/api", "<html>"), audit.Failed},
		"nonsense group":          {text("/apis", `{"groups":[{"name":"a/b","versions":[{"groupVersion":"a/b/c/d","version":"c/d"}]}]}`), audit.Failed},
		"bad gateway on the way ": {from("/api", 1, always, 502, "BadGateway"), audit.Unreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, col, err := collect(t, collector(t, serve(t, cluster(), tt.fault)))
			if name == "nonsense group" {
				if err == nil && len(col.Gaps) == 0 {
					t.Error("nonsense left no gap")
				}
				return
			}
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.code || se.Operation != "discover kinds" {
				t.Errorf("Collect() = %v, want an error of the source with code %s", err, tt.code)
			}
			if col.Identity == "" || len(col.Calls) == 0 {
				t.Errorf("identity %q and %d calls", col.Identity, len(col.Calls))
			}
		})
	}
}

func TestGroupThatCannotBeDiscovered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path, typ string
		code      int
		want      audit.GapCode
	}{
		"aggregated server is down": {"/apis/shop.example/v1alpha1", "shop.example/v1alpha1/*", 503, audit.Failed},
		"no permission":             {"/apis/apps/v1", "apps/v1/*", 403, audit.AccessDenied},
		"core group not found":      {"/api/v1", "v1/*", 404, audit.Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reasons := map[int]string{503: "ServiceUnavailable", 403: "Forbidden", 404: "NotFound"}
			w, col, err := collect(t, collector(t, serve(t, cluster(), from(tt.path, 1, 1<<30, tt.code, reasons[tt.code]))))
			if err != nil {
				t.Fatal(err)
			}
			if len(col.Gaps) != 1 || !hasGap(col, tt.typ, tt.want, "discover "+strings.TrimSuffix(tt.typ, "/*")) {
				t.Errorf("gaps %v, want one of %s", col.Gaps, tt.typ)
			}
			if len(w.Resources) == 0 {
				t.Error("the other groups were not read")
			}
		})
	}
}

func TestCoreGroupMissing(t *testing.T) {
	t.Parallel()
	_, col, err := collect(t, collector(t, serve(t, cluster(), from("/api", 1, 1<<30, 404, "NotFound"))))
	if err != nil || !hasGap(col, "v1/*", audit.Failed, "discover v1") {
		t.Errorf("Collect() = %v with gaps %v, want a gap of v1/*", err, col.Gaps)
	}
}

func TestIdentityUnknown(t *testing.T) {
	t.Parallel()
	const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	for name, f := range map[string]fault{"too old": from(path, 1, 9, 404, "NotFound"), "forbidden": from(path, 1, 9, 403, "Forbidden"), "nonsense": text(path, "?")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, col, err := collect(t, collector(t, serve(t, cluster(), f)))
			if err != nil || col.Identity != "unknown" || len(col.Notices) != 1 || col.Notices[0].Code != "identity_unknown" || len(w.Resources) != 25 {
				t.Errorf("Collect() = %v as %q with %v and %d documents, want an unknown identity, a notice and 25", err, col.Identity, col.Notices, len(w.Resources))
			}
		})
	}
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	var kinds []served
	for i := range 20 {
		kinds = append(kinds, served{gv: "v1", plural: fmt.Sprintf("things%d", i), kind: fmt.Sprintf("Thing%d", i)})
	}
	s := serve(t, kinds, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.Contains(r.URL.Path, "/things") {
			cutOff(w, "{")
		}
		return false
	})
	_, col, err := collect(t, collector(t, s))
	if err != nil {
		t.Fatal(err)
	}
	var asked int64
	for _, c := range col.Calls {
		if strings.HasPrefix(c.Operation, "list ") {
			asked += c.Requests
		}
	}
	if len(col.Gaps) != 20 || len(col.Types) != 20 || asked > 16 {
		t.Errorf("%d gaps and %d types after %d requests, want 20 and 20 after a few", len(col.Gaps), len(col.Types), asked)
	}
}

// fullDisk takes a few documents, then fails.
type fullDisk struct {
	audittest.Writer
	err error
}

func (w *fullDisk) Write(r audit.Resource) error {
	if r.Type == "v1/Pod" {
		return w.err
	}
	return w.Writer.Write(r)
}

func TestDocumentsThatCannotBeStored(t *testing.T) {
	t.Parallel()
	c := collector(t, serve(t, cluster(), nil))
	full := &audit.StorageError{Doing: "spilling", Err: errors.New("no space left on device")}
	_, err := c.Collect(t.Context(), audit.Request{Origin: "kubernetes/prod"}, &fullDisk{err: full})
	if !errors.Is(err, full) {
		t.Errorf("Collect() onto a full disk = %v, want %v", err, full)
	}
	col, err := c.Collect(t.Context(), audit.Request{Origin: "kubernetes/prod"}, &fullDisk{err: errors.New("document of 65 MiB")})
	if err != nil || !hasGap(col, "v1/Pod", audit.Failed, "list pods") {
		t.Errorf("Collect() of a document that is too large = %v with gaps %v, want a gap", err, col.Gaps)
	}
}

// TestTimed has each page timed, and no name of the cluster's among what is told.
func TestTimed(t *testing.T) {
	t.Parallel()
	c := collector(t, serve(t, cluster(), from("/api/v1/pods", 2, 1<<30, 403, "Forbidden")))
	_, w, err := audittest.Timed(t, c, audit.Request{Origin: "kubernetes/prod"}, &audittest.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	answered, failed := w.Told()
	if diff := cmp.Diff(failed, map[string]int{"list": 1}); diff != "" {
		t.Errorf("failed (-got +want):\n%s", diff)
	}
	// The first page of pods, two of deployments, and one each of services, secrets and tills.
	want := map[string]int{"create selfsubjectreviews.authentication.k8s.io": 1, "discover": 1, "list": 6}
	if diff := cmp.Diff(answered, want); diff != "" {
		t.Errorf("answered (-got +want):\n%s", diff)
	}
}
