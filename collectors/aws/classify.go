package aws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// classify says with which code an error of the SDK becomes a gap.
func classify(err error) audit.GapCode {
	var ce *credentialError
	if errors.As(err, &ce) {
		var oe *smithy.OperationError
		code := answered(ce.err)
		if code == audit.Failed || errors.As(ce.err, &oe) && oe.Service() == "ec2imds" {
			return audit.Unauthenticated // nothing there to take credentials from
		}
		return code
	}
	return answered(err)
}

func answered(err error) audit.GapCode {
	if errors.Is(err, errTruncated) {
		return audit.Truncated
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if code, ok := codeOf(api.ErrorCode()); ok {
			return code
		}
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) {
		switch resp.HTTPStatusCode() {
		case http.StatusUnauthorized:
			return audit.Unauthenticated
		case http.StatusForbidden:
			return audit.AccessDenied
		case http.StatusTooManyRequests:
			return audit.Throttled
		}
	}
	var send *smithyhttp.RequestSendError
	var network net.Error
	switch {
	case api != nil:
		return audit.Failed
	case errors.As(err, &send), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return audit.Unreachable
	}
	return audit.Failed
}

func codeOf(code string) (audit.GapCode, bool) {
	switch {
	case slices.Contains(deniedCodes, code):
		return audit.AccessDenied, true
	case slices.Contains(credentialCodes, code):
		return audit.Unauthenticated, true
	case slices.Contains(throttleCodes, code):
		return audit.Throttled, true
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return audit.Throttled, true
	}
	return "", false
}

var (
	// What services answer to an identity that may not.
	deniedCodes = []string{
		"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AuthorizationError", "AuthorizationErrorException",
		"Forbidden", "NotAuthorized", "OptInRequired", "UnauthorizedAccess", "UnauthorizedOperation",
	}
	// What they answer to credentials that are wrong, disabled or too old.
	credentialCodes = []string{
		"AuthFailure", "ExpiredToken", "ExpiredTokenException", "IDPRejectedClaim", "IncompleteSignature", "InvalidAccessKeyId",
		"InvalidClientTokenId", "InvalidGrantException", "InvalidIdentityToken", "InvalidSignatureException", "InvalidToken",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestExpired", "RequestTimeTooSkewed",
		"SignatureDoesNotMatch", "TokenRefreshRequired", "UnauthorizedException", "UnrecognizedClientException",
	}
	// What they answer beside the codes that the SDK retries.
	throttleCodes = []string{"ReportGenerationLimitExceeded", "TooManyRequests"}
)
