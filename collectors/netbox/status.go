package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	api "github.com/netbox-community/go-netbox/v4"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var versionRE = regexp.MustCompile(`^(([0-9]{1,3})\.[0-9]{1,3})(\.[0-9A-Za-z.-]{1,40})?$`)

// status asks NetBox for its version: the first call, so that what is wrong
// with address, token or server is one error of the whole origin.
func (s *session) status(ctx context.Context) (version string, err error) {
	const operation = "GET /api/status/"
	body, err := s.ask(ctx, request{
		operation: operation, permission: "a valid token",
		send: func(ctx context.Context, c *api.APIClient) error {
			_, resp, err := c.StatusAPI.StatusRetrieve(ctx).Execute()
			return sent(resp, err)
		},
	})
	if err != nil {
		return "", err
	}
	var v struct {
		Version string `json:"netbox-version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "", &audit.SourceError{Code: audit.Failed, Operation: operation, Err: fmt.Errorf("the answer is not that of a NetBox: %w", err)}
	}
	m := versionRE.FindStringSubmatch(v.Version)
	switch {
	case m == nil:
		return "", nil
	case m[2] != "4":
		return "", &audit.SourceError{Code: audit.Failed, Operation: operation, Err: fmt.Errorf("NetBox %s: only NetBox 4 can be read", v.Version)}
	}
	return v.Version, nil
}

// minor is the minor version: 4.3 of 4.3.7.
func minor(version string) string {
	if m := versionRE.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return ""
}
