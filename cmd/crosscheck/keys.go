package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// keyDir is where keys live: outside data_dir, so that handing over a ledger
// hands over no key.
func keyDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for keys: %w: set XDG_CONFIG_HOME", err)
	}
	return filepath.Join(dir, "crosscheck"), nil
}

const redactionBytes = 32

// redactor uses the installation's redaction key, made at first use.
func redactor() (*audit.Redactor, error) {
	dir, err := keyDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "redaction.key")
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(dir, path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("redaction key: %w", err)
	}
	return audit.NewRedactor(key), nil
}

// passingRedactor is for what keeps nothing: a key of its own where the installation has none.
func passingRedactor() (*audit.Redactor, error) {
	dir, err := keyDir()
	if err == nil {
		key, err := readKey(filepath.Join(dir, "redaction.key"))
		switch {
		case err == nil:
			return audit.NewRedactor(key), nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("redaction key: %w", err)
		}
	}
	return audit.NewRedactor(newKey()), nil
}

func newKey() []byte {
	key := make([]byte, redactionBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

func readKey(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != redactionBytes {
		return nil, fmt.Errorf("%s: expected %d hex digits: restore it, or remove it and accept that secrets get other tokens", path, 2*redactionBytes)
	}
	return key, nil
}

// makeKey links a finished file into place: of two processes that make a key at
// once, both use the same.
func makeKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".redaction-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(hex.EncodeToString(newKey()) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
