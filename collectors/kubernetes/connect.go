package kubernetes

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// unknownIdentity stands where the cluster does not say who asks.
const unknownIdentity = "unknown"

// restConfig loads credentials the way kubectl does.
func (c *Collector) restConfig() (*rest.Config, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: set kubeconfig and context, or in_cluster, for %s", err, c.origin)
	}
	cfg.QPS = -1 // the API server's own priority and fairness is the limit
	cfg.Timeout = c.cfg.Timeout
	cfg.UserAgent = c.cfg.UserAgent
	cfg.WarningHandler, cfg.WarningHandlerWithContext = rest.NoWarnings{}, nil
	cfg.AcceptContentTypes, cfg.ContentType = "application/json", "application/json"
	return cfg, nil
}

func (c *Collector) loadConfig() (*rest.Config, error) {
	switch {
	case c.cfg.REST != nil:
		return rest.CopyConfig(c.cfg.REST), nil
	case c.cfg.InCluster:
		return rest.InClusterConfig()
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.cfg.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.cfg.Context}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
}

// identify asks the cluster who it takes us for. It is a review, which creates nothing.
func (c *Collector) identify(ctx context.Context, client rest.Interface, watch *audit.Stopwatch, col *audit.Collection) {
	const operation = "create selfsubjectreviews.authentication.k8s.io"
	call := audit.Call{Operation: operation, Permission: operation, Requests: 1}
	stop := watch.Start(operation)
	b, err := client.Post().AbsPath("/apis/authentication.k8s.io/v1/selfsubjectreviews").
		SetHeader("Content-Type", "application/json").
		Body([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)).Do(ctx).Raw()
	var review struct {
		Status struct {
			UserInfo struct {
				Username string `json:"username"`
			} `json:"userInfo"`
		} `json:"status"`
	}
	if err == nil {
		err = json.Unmarshal(b, &review)
	}
	stop(err)
	switch name := review.Status.UserInfo.Username; {
	case err != nil:
		call.Errors = 1
		c.cfg.Log.WarnContext(ctx, "cluster does not say who reads it", "origin", c.origin, "error", err.Error())
		col.Notices = append(col.Notices, audit.Notice{
			Code: "identity_unknown", Subject: c.origin,
			Message: "the cluster does not say as whom it was read: " + codeOf(err).Reason(operation) + "; grant system:basic-user, or use Kubernetes 1.28 or later",
		})
	case name != "":
		col.Identity = name
		call.Items = 1
	}
	col.Calls = append(col.Calls, call)
}

// codeOf classifies an error of the API server or of the way to it.
func codeOf(err error) audit.GapCode {
	var (
		netErr  net.Error
		urlErr  *url.Error
		certErr x509.UnknownAuthorityError
		broken  *brokenError
	)
	switch {
	case apierrors.IsForbidden(err):
		return audit.AccessDenied
	case apierrors.IsUnauthorized(err):
		return audit.Unauthenticated
	case apierrors.IsTooManyRequests(err):
		return audit.Throttled
	case apierrors.ReasonForError(err) == "" && (errors.As(err, &netErr) || errors.As(err, &urlErr) || errors.As(err, &certErr)),
		errors.As(err, &broken), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), status(err) == http.StatusBadGateway:
		return audit.Unreachable
	}
	return audit.Failed
}

func status(err error) int32 {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		return s.Status().Code
	}
	return 0
}
