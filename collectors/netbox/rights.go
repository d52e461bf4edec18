package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "github.com/netbox-community/go-netbox/v4"
)

// rights is what could be learnt of who reads. Absence of a grant means that
// nothing is known, not that there is none.
type rights struct {
	user            string
	userID, tokenID int32
	writes          bool
	whole           map[string]string // type → the grant that shows every object of it
	narrowed        map[string]bool   // types that only constrained grants were seen for
	superuser       bool
}

// rights finds the token's own user and what it may view. A grant without
// constraints shows every object: NetBox joins all grants of a user by or,
// those of its settings too, so that one such grant is proof whatever others
// say. The token is known by the last six digits that NetBox shows of it (v1)
// or by its key (v2). Whatever cannot be read proves nothing and is no failure.
func (s *session) rights(ctx context.Context) rights {
	r := rights{whole: map[string]string{}, narrowed: map[string]bool{}}
	if !s.ownToken(ctx, &r) {
		return r
	}
	groups, ok := s.ownUser(ctx, &r)
	if r.superuser {
		return r
	}
	if !ok {
		s.c.cfg.Log.InfoContext(ctx, "netbox groups of the own user cannot be read: only grants to the user itself count", "user", r.user)
	}
	err := s.list(ctx, permissions(), newTally(), func(id int32, p map[string]any) error {
		r.grant(id, p, groups)
		return nil
	})
	if err != nil {
		s.c.cfg.Log.InfoContext(ctx, "netbox permissions cannot be read", "user", r.user, "error", err.Error())
	}
	return r
}

// ownToken looks for the token that is used. Two that could be it and belong
// to different users are none.
func (s *session) ownToken(ctx context.Context, r *rights) bool {
	users := map[int32]bool{}
	err := s.list(ctx, tokens(), newTally(), func(id int32, t map[string]any) error {
		if !s.c.isOwn(t) {
			return nil
		}
		user, _ := t["user"].(map[string]any)
		r.user, r.userID, r.tokenID = text(user["username"]), number(user["id"]), id
		r.writes = r.writes || t["write_enabled"] == true
		users[r.userID] = true
		return nil
	})
	if err == nil && len(users) == 1 && r.user != "" && r.userID != 0 {
		return true
	}
	*r = rights{}
	why := fmt.Sprintf("%d users have a token that could be this one", len(users))
	if err != nil {
		why = err.Error()
	}
	s.c.cfg.Log.InfoContext(ctx, "netbox token's own user is not known", "reason", why)
	return false
}

func (c *Collector) isOwn(t map[string]any) bool {
	if key, v2 := strings.CutPrefix(c.cfg.Token, "nbt_"); v2 {
		key, _, _ = strings.Cut(key, ".")
		return key != "" && text(t["key"]) == key
	}
	const shown = 6
	display := text(t["display"])
	if len(c.cfg.Token) < 2*shown || len(display) < len(c.cfg.Token) {
		return false
	}
	mask, last := display[:len(display)-shown], display[len(display)-shown:]
	return display == c.cfg.Token || strings.Trim(mask, "*") == "" && strings.HasSuffix(c.cfg.Token, last)
}

// ownUser reads the groups of the own user and whether it is a superuser,
// which the API only filters by. A version that does not know the filter
// answers both questions alike: then nothing is known.
func (s *session) ownUser(ctx context.Context, r *rights) (groups []int32, ok bool) {
	is := map[bool]bool{}
	for _, super := range []bool{true, false} {
		body, err := s.ask(ctx, request{
			operation: "GET /api/users/users/", permission: "users.view_user",
			parameters: map[string]string{"id": strconv.Itoa(int(r.userID)), "is_superuser": strconv.FormatBool(super)},
			send: func(ctx context.Context, c *api.APIClient) error {
				_, resp, err := c.UsersAPI.UsersUsersList(ctx).Id([]int32{r.userID}).IsSuperuser(super).Execute()
				return sent(resp, err)
			},
		})
		if err != nil {
			return nil, false
		}
		p, err := decodePage(body)
		if err != nil {
			return nil, false
		}
		for _, raw := range p.results {
			id, user, err := decodeObject(raw)
			if err == nil && id == r.userID && text(user["username"]) == r.user {
				is[super], ok, groups = true, true, ids(user["groups"])
			}
		}
	}
	r.superuser = is[true] && !is[false]
	return groups, ok
}

// grant takes one permission into account.
func (r *rights) grant(id int32, p map[string]any, groups []int32) {
	mine := slices.Contains(ids(p["users"]), r.userID) ||
		slices.ContainsFunc(ids(p["groups"]), func(g int32) bool { return slices.Contains(groups, g) })
	if !mine || p["enabled"] != true || !slices.Contains(texts(p["actions"]), "view") {
		return
	}
	for _, typ := range texts(p["object_types"]) {
		if !unconstrained(p) {
			r.narrowed[typ] = true
			continue
		}
		if r.whole[typ] == "" {
			r.whole[typ] = fmt.Sprintf("GET /api/users/permissions/: permission %d lets user %s view all", id, r.user)
		}
	}
}

// unconstrained tells whether a permission has no constraint, or a list of
// alternatives of which one is empty.
func unconstrained(p map[string]any) bool {
	v, ok := p["constraints"]
	if list, is := v.([]any); is {
		return slices.ContainsFunc(list, empty)
	}
	return ok && empty(v)
}

func empty(v any) bool {
	m, is := v.(map[string]any)
	return v == nil || is && len(m) == 0
}

// proof says which grant shows every object of a type, empty if none is known.
func (r rights) proof(typ string) string {
	if r.superuser {
		return "GET /api/users/users/: user " + r.user + " is a superuser"
	}
	return r.whole[typ]
}

func ids(v any) (out []int32) {
	list, _ := v.([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		if id := number(m["id"]); id != 0 {
			out = append(out, id)
		}
	}
	return out
}

func texts(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}

func number(v any) int32 {
	n, _ := v.(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 32)
	if err != nil || i < 1 {
		return 0
	}
	return int32(i)
}
