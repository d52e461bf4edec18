package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crosscheck-dev/crosscheck/configs"
)

// local checks what sources need of this machine, and asks no source anything.
func local(s configs.Sources) error {
	var errs []error
	for i, t := range s.Terraform {
		for j, f := range t.Files {
			if err := localFiles(f); err != nil {
				errs = append(errs, fmt.Errorf("sources.terraform[%d].files[%d]: %w", i, j, err))
			}
		}
	}
	for i, k := range s.Kubernetes {
		if err := localContext(k); err != nil {
			errs = append(errs, fmt.Errorf("sources.kubernetes[%d]: %w", i, err))
		}
	}
	errs = append(errs, localProfiles("sources.aws", s.AWS))
	for i, n := range s.NetBox {
		if err := localAuthority(n.CAFile); err != nil {
			errs = append(errs, fmt.Errorf("sources.netbox[%d].ca_file: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// localFiles checks a path, or a pattern of paths.
func localFiles(pattern string) error {
	if _, err := os.Stat(pattern); err == nil {
		return nil
	}
	paths, err := filepath.Glob(pattern)
	if err == nil && len(paths) == 0 {
		err = errors.New("no file matches")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", pattern, err)
	}
	return nil
}

func localContext(k configs.Kubernetes) error {
	if k.InCluster {
		return nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.Kubeconfig
	cfg, err := rules.Load()
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	name := k.Context
	if name == "" {
		name = cfg.CurrentContext
	}
	where := k.Kubeconfig
	if where == "" {
		where = "the default kubeconfig"
	}
	switch _, ok := cfg.Contexts[name]; {
	case name == "":
		return fmt.Errorf("%s names no current context: give context", where)
	case !ok:
		return fmt.Errorf("%s has no context %q", where, name)
	}
	return nil
}

// localProfiles looks for the profiles of AWS that are named.
func localProfiles(field string, accounts []configs.AWS) error {
	var errs []error
	for i, a := range accounts {
		if a.Profile == "" {
			continue
		}
		var none awsconfig.SharedConfigProfileNotExistError
		if _, err := sharedProfile(a.Profile); errors.As(err, &none) {
			errs = append(errs, fmt.Errorf("%s[%d].profile: there is no profile %q in AWS's configuration files", field, i, a.Profile))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d].profile: %w", field, i, err))
		}
	}
	return errors.Join(errs...)
}

func localAuthority(path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}
