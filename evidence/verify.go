package evidence

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// VerifyOptions say whom to trust and how to decide again.
type VerifyOptions struct {
	// Key is the fingerprint of the signer's key, or a file with the public key
	// in PEM, obtained in another way than with the pack. Empty: the signer is not authenticated.
	Key string
	// Library makes a decider from a pack's own library (a tar.gz) and parameters;
	// nil: decisions are not made again.
	Library func(ctx context.Context, library io.Reader, parameters map[string]map[string]any) (audit.Decider, error)
	// Exceptions reads exceptions.yaml; nil: accepted risks are not compared with it.
	Exceptions func(yaml []byte) ([]audit.Exception, error)
	// Program is what verifies. Where it is the very program that wrote the pack,
	// a report that it would write otherwise is a problem; else it is only said.
	Program audit.Provenance
}

// Bounds on what is held in memory of a pack.
const (
	maxSmall    = 256 << 20 // run.json, exceptions.yaml
	maxEnvelope = 2 * maxManifest
)

// Verify checks a pack, a directory or an exported zip, that may come from
// anyone. An error means that it could not be checked at all; what is wrong with
// the pack is in the report, and each problem names its file.
func Verify(ctx context.Context, path string, o VerifyOptions) (Report, error) {
	named, err := namedKey(o.Key)
	if err != nil {
		return Report{}, err
	}
	src, err := openPack(path)
	if err != nil {
		return Report{}, err
	}
	v := &verification{src: src, opts: o, named: named, sliced: sums{}, r: &Report{Checked: []string{}, Unchecked: []string{}, Problems: []Problem{}}}
	err = errors.Join(v.all(ctx), v.discard(), src.Close())
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Report{}, fmt.Errorf("verifying %s: %w", path, err)
	}
	v.r.Intact = len(v.r.Problems) == 0
	return *v.r, nil
}

// verification is one pack being verified.
type verification struct {
	src      packSource
	opts     VerifyOptions
	named    string // fingerprint of the key that the caller trusts, or ""
	r        *Report
	manifest Manifest
	doc      verifiedRun
	decider  audit.Decider // nil until redecide has made it
	sliced   sums          // digests of the slices that decisions rest on
	gathered *gathered     // every slice, once redecide has made the decisions again
	repaired []audit.Repair
}

func (v *verification) discard() error {
	if v.gathered == nil {
		return nil
	}
	return v.gathered.discard()
}

// all checks from the outside in. What is not intact outside is not read inside.
func (v *verification) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{v.envelope, v.files, v.run, v.decisions, v.slices, v.redecide, v.repairs, v.rewrite, v.wrapping} {
		if err := step(ctx); err != nil {
			return err
		}
		if len(v.r.Problems) > 0 {
			v.r.unchecked("what is further inside: the problems above come first")
			return nil
		}
	}
	return nil
}

// envelope checks manifest, signature and key.
func (v *verification) envelope(ctx context.Context) error {
	manifest, err := readSmall(v.src, manifestFile, maxManifest)
	if err != nil {
		v.r.problem(manifestFile, "cannot be read: %v", err)
		return nil
	}
	if v.manifest, err = ParseManifest(manifest); err != nil {
		v.r.problem(manifestFile, "%v", err)
		return nil
	}
	v.r.Pack, v.r.Run = v.manifest.Pack, v.manifest.Run
	key, err := readSmall(v.src, publicKeyFile, maxKeyFile)
	if err != nil {
		v.r.problem(publicKeyFile, "cannot be read: %v", err)
		return nil
	}
	public, fingerprint, err := parsePublic(key)
	if err != nil {
		v.r.problem(publicKeyFile, "%v", err)
		return nil
	}
	v.r.Signer.Fingerprint = fingerprint
	envelope, err := readSmall(v.src, envelopeFile, maxEnvelope)
	if err != nil {
		v.r.problem(envelopeFile, "cannot be read: %v", err)
		return nil
	}
	v.signature(ctx, envelope, manifest, public, fingerprint)
	return nil
}

func (v *verification) signature(ctx context.Context, envelope, manifest []byte, public ed25519.PublicKey, fingerprint string) {
	if err := openEnvelope(ctx, envelope, manifest, public, fingerprint); err != nil {
		v.r.problem(envelopeFile, "%v", err)
		return
	}
	switch {
	case v.named == "":
		v.r.unchecked("whose key it is: no key was given")
	case v.named != fingerprint:
		v.r.problem(publicKeyFile, "the pack is signed by key %s, not by %s, which you named", fingerprint, v.named)
		return
	default:
		v.r.Signer.Authenticated = true
	}
	v.r.checked("the signature over manifest.json, by the key in %s", publicKeyFile)
}

// files checks that the pack holds what the manifest lists and nothing else.
func (v *verification) files(ctx context.Context) error {
	found, err := v.src.entries()
	if err != nil {
		return err
	}
	there, whole := map[string]bool{}, map[string]bool{}
	for _, e := range found {
		there[e.path] = true
		listed, ok := v.manifest.Find(e.path)
		switch {
		case e.problem != "":
			v.r.problem(printable(e.path), "is %s: a pack holds plain files alone", e.problem)
		case e.path == manifestFile || e.path == envelopeFile:
		case !ok:
			v.r.problem(printable(e.path), "is not listed in %s", manifestFile)
		case listed.Size != e.size:
			v.r.problem(e.path, "has %d bytes, %s says %d", e.size, manifestFile, listed.Size)
		default:
			whole[e.path] = true
		}
	}
	for _, f := range v.manifest.Files {
		switch {
		case !there[f.Path]:
			v.r.problem(f.Path, "is listed in %s and missing", manifestFile)
		case whole[f.Path]:
			if err := v.hash(ctx, f); err != nil {
				return err
			}
		}
	}
	v.r.checked("%d files, %d bytes: digest and size of each, no other file, no link", v.r.Files, v.r.Bytes)
	return nil
}

func (v *verification) hash(ctx context.Context, f File) error {
	r, err := v.src.open(f.Path)
	if err != nil {
		v.r.problem(f.Path, "cannot be read: %v", err)
		return nil
	}
	defer func() { _ = r.Close() }()
	digest, n, err := digestOf(contextReader{ctx, io.LimitReader(r, f.Size+1)})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.r.problem(f.Path, "cannot be read: %v", err)
	case n != f.Size:
		v.r.problem(f.Path, "does not have the %d bytes that %s says", f.Size, manifestFile)
	case digest != f.SHA256:
		v.r.problem(f.Path, "has been changed: its SHA-256 is %s, %s says %s", digest, manifestFile, f.SHA256)
	}
	v.r.Files++
	v.r.Bytes += n
	return nil
}

// namedKey makes a fingerprint of what the caller trusts.
func namedKey(key string) (string, error) {
	if key == "" {
		return "", nil
	}
	if low := strings.ToLower(strings.TrimPrefix(key, "sha256:")); len(low) == hex.EncodedLen(32) && isDigest(low) {
		return low, nil
	}
	b, err := readBounded(key, maxKeyFile)
	if err != nil {
		return "", fmt.Errorf("key: want a fingerprint of 64 hex digits or a file with a public key: %w", err)
	}
	_, fingerprint, err := parsePublic(b)
	if err != nil {
		return "", fmt.Errorf("key %s: %w", key, err)
	}
	return fingerprint, nil
}

// printable makes a name from a stranger fit for a terminal.
func printable(name string) string {
	if safePath(name) {
		return name
	}
	return fmt.Sprintf("%q", clip(name))
}
