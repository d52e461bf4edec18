package main

import "github.com/crosscheck-dev/crosscheck/audit"

// watch shows a person how an audit gets on. The function returned ends it.
func (a *app) watch(auditor *audit.Auditor, quiet bool) func() {
	return func() {}
}
