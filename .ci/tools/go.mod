// The tools of `make check` and of CI, apart from what the program is built of:
// .ci/tools/install builds each at the version written here.
module github.com/crosscheck-dev/crosscheck/ci/tools

go 1.26.0

require (
	github.com/golangci/golangci-lint/v2 v2.15.0
	github.com/open-policy-agent/opa v1.22.0
	mvdan.cc/gofumpt v0.12.0
)
