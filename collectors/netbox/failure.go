package netbox

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// failure says what is wrong with an answer, nil if nothing is. NetBox answers
// 403 to everything about who asks; only the detail tells the cases apart.
// Texts that NetBox wrote stay out, but for those that are known.
func (r *reply) failure(operation string) *audit.SourceError {
	fail := func(code audit.GapCode, format string, args ...any) *audit.SourceError {
		return &audit.SourceError{Code: code, Operation: operation, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case !r.done && untrusted(r.err):
		return fail(audit.Unreachable, "NetBox's certificate is not trusted: name the CA that signed it in ca_file (%w)", bare(r.err))
	case !r.done:
		return fail(audit.Unreachable, "no answer from NetBox: %w", bare(r.err))
	case len(r.body) > maxBody:
		return fail(audit.Failed, "the answer is larger than %d MiB: lower page", maxBody>>20)
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		code, why := refusal(r.body)
		return fail(code, "%s", why)
	case r.status == http.StatusTooManyRequests:
		return fail(audit.Throttled, "too many requests, also after %d attempts", attempts)
	case r.status >= http.StatusMultipleChoices && r.status < http.StatusBadRequest:
		return fail(audit.Failed, "NetBox answered %d, a redirect%s, which is not followed: correct url", r.status, toHost(r.header.Get("Location")))
	case r.status == http.StatusBadRequest && !r.json():
		return fail(audit.Failed, "NetBox answered 400 and no JSON: it may refuse the host name in url (ALLOWED_HOSTS)")
	case r.status == http.StatusNotFound:
		return fail(audit.Failed, "NetBox answered 404: is url the address of NetBox 4?")
	case r.status >= http.StatusInternalServerError:
		return fail(audit.Failed, "NetBox answered %d%s: look into its log", r.status, exception(r.body))
	case r.status != http.StatusOK:
		return fail(audit.Failed, "NetBox answered %d", r.status)
	case !r.json():
		return fail(audit.Failed, "the answer is no JSON: is url the address of NetBox, or is a log-in page before it?")
	}
	return nil
}

// refusal tells the 403s of NetBox apart.
func refusal(body []byte) (audit.GapCode, string) {
	var v struct {
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return audit.AccessDenied, "NetBox, or a proxy before it, denied access"
	}
	switch detail := v.Detail; {
	case detail == "Invalid token" || strings.HasPrefix(detail, "Invalid v"):
		return audit.Unauthenticated, "NetBox does not know the token: check the file or variable that holds it"
	case detail == "Token expired":
		return audit.Unauthenticated, "the token has expired: create a new one"
	case detail == "User inactive":
		return audit.Unauthenticated, "the token's user is inactive"
	case detail == "Authentication credentials were not provided.":
		return audit.Unauthenticated, "NetBox did not take the token: v2 tokens (nbt_…) need NetBox 4.5 or later"
	case strings.HasPrefix(detail, "Source IP "):
		return audit.AccessDenied, "the token may not be used from this address: add it to the token's allowed IPs"
	case strings.HasPrefix(detail, "You do not have permission"):
		return audit.AccessDenied, noPermission
	}
	return audit.AccessDenied, "NetBox denied access"
}

const noPermission = "the token's user has no permission to view this"

func (r *reply) json() bool {
	t, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

var className = regexp.MustCompile(`^[A-Za-z]{1,40}$`)

// exception is the class of error that a NetBox names in its JSON 500s.
func exception(body []byte) string {
	var v struct {
		Exception string `json:"exception"`
	}
	if json.Unmarshal(body, &v) != nil || !className.MatchString(v.Exception) {
		return ""
	}
	if v.Exception == "OperationalError" {
		return " (OperationalError: its database does not answer)"
	}
	return " (" + v.Exception + ")"
}

// toHost names where a redirect leads, without path or query.
func toHost(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || len(u.Host) > 255 {
		return ""
	}
	return fmt.Sprintf(" to %q", u.Scheme+"://"+u.Host)
}

func untrusted(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}

// bare takes the URL off an error of the HTTP client.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
