package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// payloadType of the envelope: what is signed is a manifest, byte for byte.
const payloadType = "application/vnd.crosscheck.manifest+json"

// maxKeyFile bounds key files, which a person names and which may be anything.
const maxKeyFile = 64 << 10

// Signer signs manifests with an Ed25519 key.
type Signer struct {
	private     ed25519.PrivateKey
	public      []byte // PEM
	fingerprint string
}

// NewSigner signs with a key that the caller keeps.
func NewSigner(private ed25519.PrivateKey) (*Signer, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, errors.New("signing key: want an Ed25519 private key")
	}
	public, fingerprint, err := describe(private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &Signer{private: private, public: public, fingerprint: fingerprint}, nil
}

// LoadSigner reads a PKCS#8 PEM key and makes one, readable by its owner only,
// where there is none. Of two processes that make one at once both use the same.
func LoadSigner(path string) (*Signer, error) {
	if path == "" {
		return nil, errors.New("signing key: a path is required")
	}
	s, err := readSigner(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err := makeKey(path); err != nil {
		return nil, fmt.Errorf("making signing key %s: %w", path, err)
	}
	return readSigner(path)
}

// Fingerprint is the hex SHA-256 of the public key's DER (SubjectPublicKeyInfo).
func (s *Signer) Fingerprint() string { return s.fingerprint }

// PublicPEM is the public key as openssl reads it.
func (s *Signer) PublicPEM() []byte { return bytes.Clone(s.public) }

// Sign implements dsse.Signer.
func (s *Signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.private, data), nil
}

// KeyID implements dsse.Signer.
func (s *Signer) KeyID() (string, error) { return s.fingerprint, nil }

func readSigner(path string) (*Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("signing key %s is open to others (mode %04o): chmod 600 it, and make a new one if someone may have read it", path, info.Mode().Perm())
	}
	b, err := readBounded(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("signing key %s: want one PEM block PRIVATE KEY (openssl genpkey -algorithm ed25519)", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: not a PKCS#8 key: openssl genpkey -algorithm ed25519 makes one", path)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key %s: want an Ed25519 key, got %T", path, key)
	}
	return NewSigner(private)
}

// makeKey places a whole key at path, unless another process was first.
func makeKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// describe renders a public key and its fingerprint.
func describe(key ed25519.PublicKey) (pemBytes []byte, fingerprint string, err error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), audit.Digest(der), nil
}

// parsePublic reads a PEM public key; only its one canonical rendering is accepted.
func parsePublic(b []byte) (ed25519.PublicKey, string, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, "", errors.New("want one PEM block PUBLIC KEY")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, "", errors.New("not a public key that can be read")
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, "", fmt.Errorf("want an Ed25519 key, got %T", key)
	}
	canonical, fingerprint, err := describe(public)
	if err != nil {
		return nil, "", err
	}
	if !bytes.Equal(canonical, b) {
		return nil, "", errors.New("more than one way to write the same key: want the PEM block alone, as openssl writes it")
	}
	return public, fingerprint, nil
}

// seal signs a manifest and renders the envelope, a line of canonical JSON.
func seal(ctx context.Context, s *Signer, manifest []byte) ([]byte, error) {
	es, err := dsse.NewEnvelopeSigner(s)
	if err != nil {
		return nil, fmt.Errorf("signing the manifest: %w", err)
	}
	env, err := es.SignPayload(ctx, payloadType, manifest)
	if err != nil {
		return nil, fmt.Errorf("signing the manifest: %w", err)
	}
	return renderEnvelope(*env)
}

func renderEnvelope(env dsse.Envelope) ([]byte, error) {
	b, err := audit.Canonical(env)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return append(b, '\n'), nil
}

// openEnvelope checks that an envelope is the one way to write one signature of
// this manifest by this key. Every bit of it counts.
func openEnvelope(ctx context.Context, b, manifest []byte, public ed25519.PublicKey, fingerprint string) error {
	var env dsse.Envelope
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&env); err != nil {
		return errors.New("is not a DSSE envelope")
	}
	if len(env.Signatures) != 1 {
		return fmt.Errorf("holds %d signatures, want one", len(env.Signatures))
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(env.Signatures[0].Sig)
	if err != nil {
		return errors.New("its signature is not base64")
	}
	want, err := renderEnvelope(dsse.Envelope{
		PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(manifest),
		Signatures: []dsse.Signature{{KeyID: fingerprint, Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
	switch {
	case err != nil:
		return err
	case env.PayloadType != payloadType:
		return fmt.Errorf("payload type is %q, want %q", clip(env.PayloadType), payloadType)
	case env.Signatures[0].KeyID != fingerprint:
		return fmt.Errorf("key id is %q, but the key in the pack has fingerprint %s", clip(env.Signatures[0].KeyID), fingerprint)
	case !bytes.Equal(b, want):
		return errors.New("is not the canonical envelope of this manifest")
	}
	ev, err := dsse.NewEnvelopeVerifier(verifier{public, fingerprint})
	if err != nil {
		return err
	}
	if _, err := ev.Verify(ctx, &env); err != nil {
		return errors.New("the signature does not fit manifest and key")
	}
	return nil
}

// verifier checks signatures for the dsse package.
type verifier struct {
	public      ed25519.PublicKey
	fingerprint string
}

// Verify implements dsse.Verifier.
func (v verifier) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(v.public, data, sig) {
		return errors.New("bad signature")
	}
	return nil
}

// KeyID implements dsse.Verifier.
func (v verifier) KeyID() (string, error) { return v.fingerprint, nil }

// Public implements dsse.Verifier.
func (v verifier) Public() crypto.PublicKey { return v.public }

// readBounded reads a file that should be small.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, nil
}
