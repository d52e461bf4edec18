package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/policies"
)

func (a *app) controlsCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "controls", Short: "Read the library",
		Example: "  crosscheck controls list --severity high\n  crosscheck controls show STO-001",
	}, a.controlsListCmd(), a.controlsShowCmd())
}

func (a *app) controlsListCmd() *cobra.Command {
	var f scopeFlags
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the controls", Args: cobra.NoArgs,
		Example: "  crosscheck controls list\n  crosscheck controls list --framework soc2-2017 -o json",
		RunE: func(*cobra.Command, []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			lib, err := a.library()
			if err != nil {
				return err
			}
			list, err := lib.Catalog.Select(f.scope())
			if err != nil {
				return naming(lib.Catalog, err)
			}
			if output == "json" {
				return a.json(map[string]any{"revision": lib.Catalog.Revision, "controls": append([]audit.Control{}, list...)})
			}
			t := newTable(a.out, "CONTROL", "SEVERITY", "SOURCES", "TITLE")
			for _, c := range list {
				t.row(c.ID, string(c.Severity), strings.Join(sources(c), ","), c.Title)
			}
			return t.flush()
		},
	}
	f.register(cmd)
	for flag, usage := range map[string]string{
		"control": "list only these controls (ids)", "framework": "list only controls that a framework refers to",
		"severity": "list only controls of this severity and worse",
	} {
		cmd.Flags().Lookup(flag).Usage = usage
	}
	outputFlag(cmd, &output)
	return cmd
}

// library loads the configured library alone.
func (a *app) library() (*policies.Library, error) {
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	return library(cfg)
}

// naming adds to the error of an unknown framework those that there are.
func naming(catalog audit.Catalog, err error) error {
	var unknown audit.UnknownError
	if !errors.As(err, &unknown) || unknown.Kind != "framework" {
		return err
	}
	var known []string
	for _, f := range catalog.Frameworks {
		known = append(known, f.ID)
	}
	return fmt.Errorf("%w: there are %s", err, strings.Join(known, " and "))
}

func sources(c audit.Control) []string {
	var out []string
	for _, at := range c.AppliesTo {
		out = append(out, audit.SourceOf(at))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (a *app) controlsShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show CONTROL", Short: "Show one control: what it asks, what it reads, and how to mend what fails", Args: wanted(1, 1, "one control"),
		Example: "  crosscheck controls show STO-001\n  crosscheck controls show REC-003 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.showControl(cmd.Context(), args[0], output)
		},
		ValidArgsFunction: a.completeControl,
	}
	outputFlag(cmd, &output)
	return cmd
}

// completeControl offers the library's controls for a first argument.
func (a *app) completeControl(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	lib, err := a.library()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, c := range lib.Catalog.Controls {
		ids = append(ids, c.ID+"\t"+c.Title)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) showControl(ctx context.Context, id, output string) error {
	lib, err := a.library()
	if err != nil {
		return err
	}
	c, ok := lib.Catalog.Control(id)
	if !ok {
		return audit.UnknownError{Kind: "control", Name: id}
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		return err
	}
	reads := map[string]plan.Reads{}
	for _, at := range c.AppliesTo {
		source, typ, _ := strings.Cut(at, "/")
		if reads[at], err = e.Reads(ctx, id, source, typ); err != nil {
			return err
		}
	}
	requirements := append([]string{}, lib.Catalog.Requirements(id)...)
	if output == "json" {
		return a.json(map[string]any{"control": c, "rego": c.Rego, "reads": reads, "requirements": requirements, "revision": lib.Catalog.Revision})
	}
	var buf bytes.Buffer
	printControl(&buf, c, reads, requirements)
	_, err = a.out.Write(buf.Bytes())
	return err
}

// readWords is a pointer that a control reads, and how much of what is there.
func readWords(r plan.Read) string {
	pointer := cmp.Or(r.Pointer, "/")
	if r.Whole {
		return pointer
	}
	return pointer + " (only whether it is there)"
}

func printControl(w *bytes.Buffer, c audit.Control, reads map[string]plan.Reads, requirements []string) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("%s  %s  %s", c.ID, c.Severity, c.Title)
	line("\nWHAT IT ASKS\n%s", indent(c.Description))
	if c.Excludes != "" {
		line("\nWHAT IT LEAVES OUT\n%s", indent(c.Excludes))
	}
	line("\nWHY IT MATTERS\n%s", indent(c.Why))
	if len(c.Parameters) > 0 {
		line("\nPARAMETERS")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		p := c.Parameters[name]
		line("  %s (%s) = %s, default %s\n    %s", name, p.Type, inline(p.Value), inline(p.Default), p.Description)
	}
	line("\nWHAT IT READS")
	for _, at := range slices.Sorted(maps.Keys(reads)) {
		line("  %s", at)
		for _, r := range reads[at].Input {
			line("    %s", readWords(r))
		}
		for _, kind := range reads[at].Estate {
			line("    looks up %s", kind)
		}
		if reads[at].Time {
			line("    the moment the run judges by")
		}
	}
	line("\nHOW TO FIX WHAT FAILS")
	for _, tool := range slices.Sorted(maps.Keys(c.Fix)) {
		line("  %s:\n%s", tool, indent(indent(c.Fix[tool])))
	}
	if len(requirements) > 0 {
		line("\nEVIDENCE FOR\n  %s", strings.Join(requirements, "\n  "))
	}
	line("\nRego: %s, package %s, digest %s", c.File, c.Package, c.Digest)
}
