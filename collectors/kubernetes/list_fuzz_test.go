package kubernetes_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func FuzzListAnswers(f *testing.F) {
	for _, text := range []string{
		`{"kind":"PodList","metadata":{"continue":"x","remainingItemCount":3},"items":[{"metadata":{"name":"a","labels":{"x":"y"}},"spec":{"containers":[{"env":[{"value":"s"}]}]}}]}`,
		`{"items":null}`, `{"items":[{}]}`, `[]`, ``, `{"metadata":{"remainingItemCount":-9223372036854775808},"items":[{"metadata":{"name":"\u0000/"}}]}`,
		`{"items":[{"kind":"PartialObjectMetadata","metadata":{"name":"a"}}]}`,
	} {
		f.Add([]byte(text))
	}
	s := &apiServer{resources: cluster(), preferred: map[string]string{}, count: map[string]int{}}
	f.Fuzz(func(t *testing.T, answer []byte) {
		lists := 0
		transport := roundTrip(func(r *http.Request) *http.Response {
			rec := httptest.NewRecorder()
			if strings.HasSuffix(r.URL.Path, "/pods") || strings.HasSuffix(r.URL.Path, "/secrets") {
				if lists++; lists > 1000 {
					t.Error("the list does not come to an end")
				}
				_, _ = io.Copy(rec, bytes.NewReader(answer))
			} else {
				s.ServeHTTP(rec, r)
			}
			return rec.Result()
		})
		c := collector(t, s, func(cfg *kubernetes.Config) {
			cfg.REST, cfg.Parallel = &rest.Config{Host: "http://cluster.example", Transport: transport}, 1
		})
		w, col, err := collect(t, c)
		if err != nil {
			t.Fatal(err)
		}
		documents := map[string]int64{}
		for i, r := range w.Resources {
			documents[r.Type]++
			if _, err := audit.ParseResource(w.Lines[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, tc := range col.Types {
			if tc.Listed > documents[tc.Type] && len(col.Gaps) == 0 {
				t.Fatalf("%d of %s listed, %d documents, and no gap", tc.Listed, tc.Type, documents[tc.Type])
			}
		}
	})
}
