package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// credentials are those of a made-up person whom moto believes.
func credentials() []string {
	return []string{"AWS_ACCESS_KEY_ID=FAKEadmin", "AWS_SECRET_ACCESS_KEY=FAKEsecret", "AWS_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true"}
}

// apply lets the real Terraform build the AWS estate, in a copy of its folder, and leaves its state in e.dir.
func (e *estate) apply(ctx context.Context) error {
	if err := e.seed(ctx); err != nil {
		return err
	}
	dir := filepath.Join(e.dir, "terraform")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(e.repository, "testdata", "estate", "terraform"))); err != nil {
		return err
	}
	commands := [][]string{
		{"init", "-input=false"},
		{"apply", "-input=false", "-auto-approve", "-parallelism=20"},
		// Read back once, as any later run would: groups then hold the rules that were made beside them.
		{"apply", "-input=false", "-auto-approve", "-parallelism=20", "-refresh-only"},
	}
	if err := e.terraform(ctx, dir, commands...); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "terraform.tfstate"), filepath.Join(e.dir, "terraform.tfstate"))
}

// plan writes what Terraform would do to the folder gate/change, as `terraform show -json` tells it.
func (e *estate) plan(ctx context.Context) error {
	if err := e.servers(ctx, "estate", estatePorts); err != nil {
		return err
	}
	gate := filepath.Join(e.repository, "testdata", "estate", "gate")
	dir := filepath.Join(e.dir, "change")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(gate, "change"))); err != nil {
		return err
	}
	if err := e.terraform(ctx, dir, []string{"init", "-input=false"}, []string{"plan", "-input=false", "-out=plan"}); err != nil {
		return err
	}
	env, err := e.terraformEnv()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "terraform", "-chdir="+dir, "show", "-json", "-no-color", "plan")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("terraform show: %w", err)
	}
	return os.WriteFile(filepath.Join(gate, "plan.json"), append(out, '\n'), 0o644)
}

func (e *estate) terraform(ctx context.Context, dir string, commands ...[]string) error {
	env, err := e.terraformEnv()
	if err != nil {
		return err
	}
	for _, c := range commands {
		args := append([]string{"terraform", "-chdir=" + dir, c[0], "-no-color"}, c[1:]...)
		if err := e.script(ctx, env, args...); err != nil {
			return err
		}
	}
	return nil
}

// terraformEnv says where AWS is and, if there is one, where providers are mirrored.
func (e *estate) terraformEnv() ([]string, error) {
	if _, err := exec.LookPath("terraform"); err != nil {
		return nil, fmt.Errorf("%w: Terraform 1.11 or later builds the estate", err)
	}
	env := append(credentials(), "AWS_ENDPOINT_URL="+e.url(estatePorts), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	mirror, err := providers()
	switch {
	case err != nil:
		return nil, err
	case mirror == "":
		return env, nil
	}
	settings := filepath.Join(e.dir, "terraformrc")
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	return append(env, "TF_CLI_CONFIG_FILE="+settings), os.WriteFile(settings, []byte(text), 0o600)
}

// providers finds a mirror of the AWS provider: CROSSCHECK_TERRAFORM_PLUGINS, else
// where one usually is. Empty: Terraform asks its registry, or is configured already.
func providers() (string, error) {
	const aws = "registry.terraform.io/hashicorp/aws"
	if dir := os.Getenv("CROSSCHECK_TERRAFORM_PLUGINS"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, aws)); err != nil {
			return "", fmt.Errorf("CROSSCHECK_TERRAFORM_PLUGINS is no mirror of the AWS provider: %w", err)
		}
		return dir, nil
	}
	for _, dir := range []string{"/opt/tf-plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"} {
		_, err := os.Stat(filepath.Join(dir, aws))
		switch {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("looking for a mirror of Terraform providers: %w", err)
		}
	}
	fmt.Fprintln(os.Stderr, "estate: no mirror of Terraform providers is known (set CROSSCHECK_TERRAFORM_PLUGINS); asking the registry")
	return "", nil
}

// seed makes the ids that moto gives repeat, as far as requests come in the same order.
func (e *estate) seed(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url(estatePorts)+"/moto-api/seed?a=42", strings.NewReader(""))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("moto answered %s to a seed", resp.Status)
	}
	return nil
}

func (e *estate) afterwards(ctx context.Context) error {
	home, err := servers()
	if err != nil {
		return err
	}
	script := filepath.Join(e.repository, "testdata", "estate", "afterwards.py")
	return e.script(ctx, nil, filepath.Join(home, "moto", "bin", "python"), script, e.url(estatePorts))
}

// instances gives the instance id of each private address.
func (e *estate) instances(ctx context.Context) (map[string]string, error) {
	client := ec2.New(ec2.Options{
		Region: "eu-central-1", BaseEndpoint: sdk.String(e.url(estatePorts)),
		Credentials: static.NewStaticCredentialsProvider("FAKEadmin", "FAKEsecret", ""),
	})
	out := map[string]string{}
	for pages := ec2.NewDescribeInstancesPaginator(client, &ec2.DescribeInstancesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				out[sdk.ToString(i.PrivateIpAddress)] = sdk.ToString(i.InstanceId)
			}
		}
	}
	return out, nil
}
