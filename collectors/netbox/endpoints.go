package netbox

import (
	"context"
	"net/url"
	"strconv"

	api "github.com/netbox-community/go-netbox/v4"
)

// The types collected. They are NetBox's own names, also in its permissions.
const (
	device  = "dcim.device"
	address = "ipam.ipaddress"
	prefix  = "ipam.prefix"
	machine = "virtualization.virtualmachine"
	site    = "dcim.site"
	cluster = "virtualization.cluster"
)

// What sites and clusters count of what is in them, whoever asks.
const (
	deviceCount  = "device_count"
	machineCount = "virtualmachine_count"
)

// endpoint is one list of NetBox.
type endpoint struct {
	typ        string // of the documents, empty for what is read for its own sake
	path       string
	permission string
	context    bool     // renders config_context, which may hold secrets, unless told not to
	fields     []string // what adapters read: one that is missing is a gap
	choices    []string // fields that are {value, label}
	customs    []string // custom fields that adapters read: NetBox leaves out those that are not defined
	sums       []string // counts of other objects
	within     []string // fields that place the object in something that counts it
	send       func(context.Context, *api.APIClient, page) error
}

// page is what a request is told: how many, beyond which id, and of which ids alone.
type page struct {
	limit, after int32
	ids          []int32
}

// endpoints lists the types in the order in which they are read: what counts
// others comes first.
func endpoints() []endpoint {
	return []endpoint{
		{
			typ: site, path: "/api/dcim/sites/", permission: "dcim.view_site",
			fields: []string{"name", "slug", "tags", "custom_fields"}, choices: []string{"status"},
			sums: []string{deviceCount, machineCount},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.DcimAPI.DcimSitesList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
		{
			typ: cluster, path: "/api/virtualization/clusters/", permission: "virtualization.view_cluster",
			fields: []string{"name", "tags", "custom_fields"}, choices: []string{"status"},
			sums: []string{machineCount},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.VirtualizationAPI.VirtualizationClustersList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
		{
			typ: device, path: "/api/dcim/devices/", permission: "dcim.view_device", context: true,
			fields:  []string{"name", "primary_ip4", "primary_ip6", "site", "tags", "custom_fields"},
			choices: []string{"status"}, customs: []string{"owner"},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.DcimAPI.DcimDevicesList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
		{
			typ: machine, path: "/api/virtualization/virtual-machines/", permission: "virtualization.view_virtualmachine", context: true,
			fields:  []string{"name", "primary_ip4", "primary_ip6", "site", "cluster", "tags", "custom_fields"},
			choices: []string{"status"}, customs: []string{"aws_instance_id", "owner"}, within: []string{"cluster", "site"},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.VirtualizationAPI.VirtualizationVirtualMachinesList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
		{
			typ: prefix, path: "/api/ipam/prefixes/", permission: "ipam.view_prefix",
			fields: []string{"prefix", "vrf", "tags", "custom_fields"}, choices: []string{"status"},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.IpamAPI.IpamPrefixesList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
		{
			typ: address, path: "/api/ipam/ip-addresses/", permission: "ipam.view_ipaddress",
			fields: []string{"address", "vrf", "role", "dns_name", "assigned_object_type", "assigned_object_id", "tags", "custom_fields"}, choices: []string{"status"},
			send: func(ctx context.Context, c *api.APIClient, p page) error {
				_, resp, err := c.IpamAPI.IpamIpAddressesList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
				return sent(resp, err)
			},
		},
	}
}

// tokens and permissions are read to learn who reads, and with which rights.
func tokens() endpoint {
	return endpoint{
		path: "/api/users/tokens/", permission: "one's own, always",
		send: func(ctx context.Context, c *api.APIClient, p page) error {
			_, resp, err := c.UsersAPI.UsersTokensList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
			return sent(resp, err)
		},
	}
}

func permissions() endpoint {
	return endpoint{
		path: "/api/users/permissions/", permission: "users.view_objectpermission",
		send: func(ctx context.Context, c *api.APIClient, p page) error {
			_, resp, err := c.UsersAPI.UsersPermissionsList(ctx).Ordering("id").Limit(p.limit).IdGt([]int32{p.after}).Execute()
			return sent(resp, err)
		},
	}
}

func (e endpoint) operation() string { return "GET " + e.path }

// request asks for one page.
func (e endpoint) request(p page) request {
	r := request{
		operation: e.operation(), permission: e.permission,
		parameters: map[string]string{"ordering": "id", "limit": strconv.Itoa(int(p.limit)), "id__gt": "last id read"},
		send:       func(ctx context.Context, c *api.APIClient) error { return e.send(ctx, c, p) },
	}
	r.extra = url.Values{}
	if e.context {
		r.extra.Set("exclude", "config_context")
		r.parameters["exclude"] = "config_context"
	}
	if len(p.ids) > 0 {
		for _, id := range p.ids {
			r.extra.Add("id", strconv.Itoa(int(id)))
		}
		r.parameters["id"] = "those asked for"
	}
	return r
}
