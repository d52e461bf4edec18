package netboxtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// What the recorded NetBox was configured with.
const (
	defaultPage = 50
	maxPage     = 1000
)

// list is what one label saw of one endpoint, in the order in which it was answered.
type list struct {
	count   int
	objects []object
}

func (l *list) has(id int64) bool {
	return slices.ContainsFunc(l.objects, func(o object) bool { return o.id == id })
}

// object keeps the bytes as they came.
type object struct {
	id         int64
	name       string // of a machine or device
	username   string // of a user
	raw        []byte
	instanceID string
	address    string // primary IPv4 address, without its mask
}

func newObject(raw []byte) (object, error) {
	var v struct {
		ID       int64   `json:"id"`
		Name     *string `json:"name"`
		Username string  `json:"username"`
		Primary  *struct {
			Address string `json:"address"`
		} `json:"primary_ip4"`
		CustomFields struct {
			InstanceID *string `json:"aws_instance_id"`
		} `json:"custom_fields"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return object{}, err
	}
	o := object{id: v.ID, username: v.Username, raw: raw}
	if v.Name != nil {
		o.name = *v.Name
	}
	if v.CustomFields.InstanceID != nil {
		o.instanceID = *v.CustomFields.InstanceID
	}
	if v.Primary != nil {
		if p, err := netip.ParsePrefix(v.Primary.Address); err == nil {
			o.address = p.Addr().String()
		}
	}
	return o, nil
}

// rename puts the instance id of the running machine in the recorded one's place.
func (o object) rename(ids map[string]string, keep []string) (object, error) {
	id := ids[o.address]
	if o.instanceID == "" || id == "" || slices.Contains(keep, o.name) {
		return o, nil
	}
	was, is := strconv.Quote(o.instanceID), strconv.Quote(id)
	if bytes.Count(o.raw, []byte(was)) != 1 {
		return object{}, fmt.Errorf("machine %q: instance id %s occurs more than once", o.name, was)
	}
	return newObject(bytes.Replace(o.raw, []byte(was), []byte(is), 1))
}

// without leaves a key out of an object, which newObject found to be one; all
// else keeps its bytes and order.
func without(raw []byte, key string) []byte {
	if !bytes.Contains(raw, []byte(strconv.Quote(key))) {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return raw
	}
	var fields []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return raw
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return raw
		}
		if name != key {
			fields = append(fields, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return []byte("{" + strings.Join(fields, ",") + "}")
}

func (o object) bytes(q url.Values) []byte {
	if slices.Contains(q["exclude"], "config_context") {
		return without(o.raw, "config_context")
	}
	return o.raw
}

// filterUsers answers is_superuser, which the API filters by but does not show.
func (s *Server) filterUsers(objects []object, q url.Values) []object {
	want, err := strconv.ParseBool(q.Get("is_superuser"))
	if err != nil {
		return objects
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return slices.Contains(s.superusers, o.username) != want })
}

func serveOne(w http.ResponseWriter, objects []object, id int64, q url.Values) {
	for _, o := range objects {
		if o.id == id {
			answer{status: http.StatusOK, header: jsonHeader(), body: o.bytes(q)}.write(w)
			return
		}
	}
	answer{status: http.StatusNotFound, header: jsonHeader(), body: []byte(`{"detail":"No object matches the given query."}`)}.write(w)
}

// serveList answers one page. The count is of what the filters leave: with
// id__gt it is the remainder.
func serveList(w http.ResponseWriter, r *http.Request, objects []object, as label) {
	q := r.URL.Query()
	ids, ok := integers(q["id"])
	after, ok2 := integers(q["id__gt"])
	if !ok || !ok2 {
		answer{status: http.StatusBadRequest, header: jsonHeader(), body: []byte(`{"id":["Enter a number."]}`)}.write(w)
		return
	}
	objects = slices.DeleteFunc(slices.Clone(objects), func(o object) bool {
		return len(ids) > 0 && !slices.Contains(ids, o.id) || len(after) > 0 && o.id <= slices.Min(after)
	})
	switch q.Get("ordering") {
	case "id":
		slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(a.id, b.id) })
	case "-id":
		slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(b.id, a.id) })
	}
	limit, offset := window(q, cmp.Or(as.MaxPage, maxPage))
	host := cmp.Or(as.Host, r.Header.Get("X-Forwarded-Host"), r.Host)
	from := min(offset, len(objects))
	page := objects[from:min(from+limit, len(objects))]

	var body bytes.Buffer
	fmt.Fprintf(&body, `{"count":%d,"next":%s,"previous":%s,"results":[`, len(objects),
		link(r, host, limit, offset+limit, offset+limit < len(objects)), link(r, host, limit, max(offset-limit, 0), offset > 0))
	for i, o := range page {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(o.bytes(q))
	}
	body.WriteString("]}")
	answer{status: http.StatusOK, header: jsonHeader(), body: body.Bytes()}.write(w)
}

// window reads limit and offset: 0 means the largest page, what is more is
// clamped, and nonsense is taken for the default.
func window(q url.Values, largest int) (limit, offset int) {
	limit = defaultPage
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n >= 0 {
		limit = n
	}
	if limit == 0 || limit > largest {
		limit = largest
	}
	if n, err := strconv.Atoi(q.Get("offset")); err == nil && n > 0 {
		offset = n
	}
	return limit, offset
}

// link builds next and previous as the real one does, from the host that the
// request, or whoever forwarded it, names.
func link(r *http.Request, host string, limit, offset int, there bool) string {
	if !there {
		return "null"
	}
	q := r.URL.Query()
	q.Set("limit", strconv.Itoa(limit))
	q.Del("offset")
	if offset > 0 {
		q.Set("offset", strconv.Itoa(offset))
	}
	return strconv.Quote("http://" + host + r.URL.Path + "?" + q.Encode())
}

func integers(values []string) (out []int64, ok bool) {
	for _, v := range values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}
