// What `make bench` compares crosscheck with: testdata/bench/tools/install
// builds each at the version written here.
module github.com/crosscheck-dev/crosscheck/testdata/bench/tools

go 1.26.0

require (
	github.com/open-policy-agent/conftest v0.71.1
	github.com/open-policy-agent/opa v1.22.0
)
