package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// title is the version and what it was built with and for.
func title() string {
	return fmt.Sprintf("%s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs,
		Example: "  crosscheck version\n  crosscheck version -o json",
		RunE: func(*cobra.Command, []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			v := map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if output == "json" {
				return a.json(v)
			}
			_, err := fmt.Fprintln(a.out, "crosscheck", title())
			return err
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// version is what the toolchain stamped into the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	v := "devel"
	if rev := settings["vcs.revision"]; len(rev) >= 12 {
		v += "-" + rev[:12]
	}
	if settings["vcs.modified"] == "true" {
		v += "-modified"
	}
	return v
}

// provenance says what runs here. What cannot be told is said so, and stops no audit.
func provenance() audit.Provenance {
	p := audit.Provenance{Version: version(), BinarySHA256: "unknown", Host: "unknown", User: "unknown"}
	if sum, err := binaryDigest(); err == nil {
		p.BinarySHA256 = sum
	}
	if host, err := os.Hostname(); err == nil {
		p.Host = host
	}
	if u, err := user.Current(); err == nil {
		p.User = u.Username
	}
	return p
}

func binaryDigest() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, f.Close())
}
