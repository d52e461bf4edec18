package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Role is what a token may be used for.
type Role string

// The roles. Every role may read what a viewer may; no other role holds another.
const (
	Viewer   Role = "viewer"   // read runs, decisions, violations, controls and repairs
	Auditor  Role = "auditor"  // download evidence
	Operator Role = "operator" // start audits, retry deliveries, ask for repairs, stop them
	Approver Role = "approver" // approve and deny repairs
)

// Roles lists all of them.
func Roles() []Role { return []Role{Viewer, Auditor, Operator, Approver} }

// What a route asks for instead of a role.
const (
	anybody Role = ""        // no token
	signed  Role = "signed"  // no token: the handler checks a signature
	scraper Role = "scraper" // that of a viewer; nothing while no token is configured, on this machine alone
)

// minToken is the least length of a token: 16 bytes as hex are twice that.
const minToken = 20

// Token is one bearer of the API. It does not hold the token itself.
type Token struct {
	Name   string
	Roles  []Role
	digest [sha256.Size]byte
}

// NewToken makes a token. The error does not repeat the secret.
func NewToken(name string, roles []Role, secret string) (Token, error) {
	switch {
	case name == "":
		return Token{}, errors.New("a token needs a name")
	case len(roles) == 0:
		return Token{}, fmt.Errorf("token %s has no role", name)
	case len(secret) < minToken:
		return Token{}, fmt.Errorf("token %s is shorter than %d characters: make one with `openssl rand -hex 24`", name, minToken)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Token{}, fmt.Errorf("token %s holds what a header cannot: make one with `openssl rand -hex 24`", name)
	}
	for _, r := range roles {
		if !slices.Contains(Roles(), r) {
			return Token{}, fmt.Errorf("token %s: no role %q", name, r)
		}
	}
	return Token{Name: name, Roles: slices.Clone(roles), digest: sha256.Sum256([]byte(secret))}, nil
}

// may tells whether the token has what a route asks for.
func (t Token) may(role Role) bool {
	return role == Viewer || slices.Contains(t.Roles, role)
}

func checkTokens(list []Token) error {
	for i, t := range list {
		if t.Name == "" || len(t.Roles) == 0 {
			return errors.New("web: tokens are made by NewToken")
		}
		for _, u := range list[:i] {
			switch {
			case u.Name == t.Name:
				return fmt.Errorf("web: two tokens are called %s", t.Name)
			case u.digest == t.digest:
				return fmt.Errorf("web: the tokens of %s and %s are the same", u.Name, t.Name)
			}
		}
	}
	return nil
}

// authenticate finds the bearer. All tokens are compared, in a time that does
// not depend on which is right, or how much of it.
func (s *server) authenticate(r *http.Request) (Token, error) {
	if len(s.Tokens) == 0 {
		return Token{}, problem(http.StatusUnauthorized, "the API is closed: no token is configured", "configure api.tokens, and reload crosscheck")
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(r.Header.Values("Authorization")) != 1 {
		return Token{}, problem(http.StatusUnauthorized, "no bearer token was given", "send the header Authorization: Bearer TOKEN")
	}
	digest, found := sha256.Sum256([]byte(secret)), -1
	for i := range s.Tokens {
		same := subtle.ConstantTimeCompare(digest[:], s.Tokens[i].digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return Token{}, problem(http.StatusUnauthorized, "the bearer token is not known", "use one of the tokens in api.tokens")
	}
	return s.Tokens[found], nil
}

// authorize finds the bearer and sees whether they may.
func (s *server) authorize(r *http.Request, role Role) (Token, error) {
	switch {
	case role == anybody, role == signed, role == scraper && len(s.Tokens) == 0:
		return Token{}, nil
	case role == scraper:
		role = Viewer
	}
	t, err := s.authenticate(r)
	if err == nil && !t.may(role) {
		err = problem(http.StatusForbidden, fmt.Sprintf("token %s does not have the role %s", t.Name, role),
			fmt.Sprintf("use a token with the role %s, or add it to the token's roles in api.tokens", role))
	}
	return t, err
}
