package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

const (
	headBytes = 64 << 10  // enough to tell what a file is
	maxStdin  = 512 << 20 // standard input is held whole: it is read twice
	maxInputs = 10_000    // files a gate reads
)

// input is one document that a gate judges: an origin of its own.
type input struct {
	path string
	open func() (io.ReadCloser, error)
}

// inputs turns a gate's arguments into collectors, each file by what is in it.
func inputs(args []string, stdin io.Reader, red *audit.Redactor, log *slog.Logger) ([]audit.Collector, error) {
	list, err := listInputs(args, stdin)
	if err != nil {
		return nil, err
	}
	var out []audit.Collector
	var manifests []kubernetes.Manifest
	buf := make([]byte, headBytes)
	for _, in := range list {
		head, err := head(in, buf)
		switch {
		case err != nil:
			return nil, err
		case len(bytes.TrimSpace(head)) == 0 && in.path == "-":
			return nil, errors.New("standard input is empty: expected a Terraform plan or state as JSON, or Kubernetes manifests")
		case len(bytes.TrimSpace(head)) == 0:
			return nil, fmt.Errorf("%s is empty: expected a Terraform plan or state as JSON, or Kubernetes manifests", in.path)
		case strings.Trim(string(head), "{} \t\r\n") == "":
			return nil, fmt.Errorf("%s is neither Terraform nor Kubernetes: expected a plan or state as JSON, or manifests", in.path)
		case !terraform.Looks(head):
			manifests = append(manifests, kubernetes.Manifest{Path: in.path, Open: in.open})
			continue
		}
		c, err := terraform.New(terraform.Config{
			Name: in.path, Inputs: []terraform.Input{{Path: in.path, Open: in.open}}, Redactor: red, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.path, err)
		}
		out = append(out, c)
	}
	if len(manifests) > 0 {
		c, err := kubernetes.NewManifests(kubernetes.ManifestConfig{Files: manifests, Redactor: red})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func listInputs(args []string, stdin io.Reader) ([]input, error) {
	var out []input
	for _, arg := range args {
		if arg == "-" {
			b, err := io.ReadAll(io.LimitReader(stdin, maxStdin+1))
			switch {
			case err != nil:
				return nil, fmt.Errorf("standard input: %w", err)
			case len(b) > maxStdin:
				return nil, fmt.Errorf("standard input has more than %d bytes: give it as a file", maxStdin)
			}
			out = append(out, input{"-", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
			continue
		}
		files, err := inputFiles(arg)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			out = append(out, input{f, func() (io.ReadCloser, error) { return os.Open(f) }})
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(in input) bool {
		again := seen[in.path]
		seen[in.path] = true
		return again
	}), nil
}

// inputFiles is a file, or the files of a directory that may hold resources.
func inputFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{filepath.Clean(arg)}, nil
	}
	var out []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.Type().IsRegular() && slices.Contains([]string{".json", ".tfstate", ".yaml", ".yml"}, filepath.Ext(path)):
			if out = append(out, path); len(out) > maxInputs {
				return fmt.Errorf("%s holds more than %d files: name those that matter", arg, maxInputs)
			}
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s holds no .json, .tfstate, .yaml or .yml file: there is nothing to judge", arg)
	}
	return out, err
}

// head reads the beginning of an input into buf.
func head(in input, buf []byte) ([]byte, error) {
	f, err := in.open()
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return buf[:n], errors.Join(err, f.Close())
}
