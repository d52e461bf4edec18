# METADATA
# description: How the keys of the estate are spelt, so that sources that write the same thing differently meet.
package lib.keys

# An address without its prefix length, lower case; IPv6 in its shortest form.
host(address) := bare(split(trim_space(address), "/")[0])

bare(address) := lower(address) if not contains(address, ":")

bare(address) := lower(address) if {
	contains(address, ":")
	not net.cidr_is_valid(sprintf("%s/128", [address]))
}

bare(address) := [split(cidr, "/")[0] | some cidr in net.cidr_merge([sprintf("%s/128", [address])])][0] if {
	contains(address, ":")
	net.cidr_is_valid(sprintf("%s/128", [address]))
}

# The name of a machine, a node or a bucket.
name(text) := trim_suffix(lower(trim_space(text)), ".")

# The id that a cloud gave.
id(text) := lower(trim_space(text))

# An address within one routing table of one NetBox.
in_vrf(origin, vrf, address) := sprintf("%s|%s|%s", [origin, vrf, host(address)])

# A resource of a Terraform configuration, by its address within one state.
address(origin, text) := sprintf("%s|%s", [origin, text])

# What makes pods, by its namespace, kind and name within one cluster or set of manifests.
controller(origin, namespace, kind, text) := sprintf("%s|%s/%s/%s", [origin, namespace, kind, name(text)])

# A namespace within one cluster, or within all manifests that are judged together.
namespace(scope, text) := sprintf("%s|%s", [scope, name(text)])
