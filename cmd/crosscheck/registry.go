package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// supplies are what collectors are made with beside their configuration.
type supplies struct {
	redactor *audit.Redactor // nil where nothing live is read
	log      *slog.Logger
	catalog  audit.Catalog
}

// collectors is the only registration of collectors: one line each.
func collectors(s configs.Sources, sup supplies) ([]audit.Collector, error) {
	var out []audit.Collector
	for _, register := range []func() ([]audit.Collector, error){
		each("aws", s.AWS, sup.aws),
		each("kubernetes", s.Kubernetes, sup.kubernetes),
		each("terraform", s.Terraform, sup.terraform),
		each("netbox", s.NetBox, sup.netbox),
		each("recorded", s.Recorded, sup.recorded),
		each("demo", only(s.Demo), sup.demo),
	} {
		list, err := register()
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func each[T any](source string, list []T, build func(T) (audit.Collector, error)) func() ([]audit.Collector, error) {
	return func() ([]audit.Collector, error) {
		out := make([]audit.Collector, len(list))
		for i, cfg := range list {
			c, err := build(cfg)
			if errors.As(err, new(*configs.Error)) {
				return nil, err // says where
			}
			if err != nil {
				return nil, fmt.Errorf("sources.%s[%d]: %w", source, i, err)
			}
			out[i] = c
		}
		return out, nil
	}
}

// only is a list of one thing, or of none.
func only(is bool) []struct{} {
	if is {
		return make([]struct{}, 1)
	}
	return nil
}

func (s supplies) aws(cfg configs.AWS) (audit.Collector, error) {
	return aws.New(aws.Config{
		Account: cfg.Account, Regions: cfg.Regions, Profile: cfg.Profile, Endpoint: cfg.Endpoint,
		RoleARN: cfg.Role.ARN, ExternalID: cfg.Role.ExternalID, SessionName: cfg.Role.SessionName,
		Redactor: s.redactor, Log: s.log, Version: version(),
	})
}

func (s supplies) kubernetes(cfg configs.Kubernetes) (audit.Collector, error) {
	return kubernetes.New(kubernetes.Config{
		Name: cfg.Name, Kubeconfig: cfg.Kubeconfig, Context: cfg.Context, InCluster: cfg.InCluster,
		Redactor: s.redactor, Log: s.log, UserAgent: "crosscheck/" + version(), Types: types(s.catalog, audit.Kubernetes),
	})
}

func (s supplies) terraform(cfg configs.Terraform) (audit.Collector, error) {
	return terraform.New(terraform.Config{Name: cfg.Name, Files: cfg.Files, Redactor: s.redactor, Log: s.log})
}

func (s supplies) netbox(cfg configs.NetBox) (audit.Collector, error) {
	token, err := cfg.Token.Reveal()
	if err != nil {
		return nil, err
	}
	asserted := make([]netbox.Assertion, len(cfg.Asserted))
	for i, a := range cfg.Asserted {
		asserted[i] = netbox.Assertion(a)
	}
	return netbox.New(netbox.Config{
		Name: cfg.Name, URL: cfg.URL, Token: token, CAFile: cfg.CAFile, Asserted: asserted, Redactor: s.redactor, Log: s.log,
	})
}

func (s supplies) recorded(cfg configs.Recorded) (audit.Collector, error) {
	c, err := recorded.New(recorded.Config{FS: os.DirFS(cfg.Path)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Path, err)
	}
	return c, nil
}

func (s supplies) demo(struct{}) (audit.Collector, error) {
	fsys, err := estate.Recorded()
	if err != nil {
		return nil, err
	}
	return recorded.New(recorded.Config{FS: fsys})
}
