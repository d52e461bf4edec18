# METADATA
# description: Packet filters in front of machines.
package lib.network.ingress

# What is let in from every address: protocol, first and last port, the network, and where it is written.
world_openings := [opening | some opening in _permitted] if {
	input.source == "aws"
	input.type == "AWS::EC2::SecurityGroup"
	is_array(input.data.DescribeSecurityGroups.IpPermissions)
	not _unclear_permission
}

world_openings := [opening | some opening in _inline] if {
	input.source == "terraform"
	input.type == "aws_security_group"
	is_array(input.data.values.ingress)
	not _unclear_inline
}

world_openings := [opening | some opening in _single] if {
	input.source == "terraform"
	input.type == "aws_security_group_rule"
	input.data.values.type == "ingress"
	input.data.values.protocol
	is_number(input.data.values.from_port)
	is_number(input.data.values.to_port)
}

world_openings := [] if {
	input.source == "terraform"
	input.type == "aws_security_group_rule"
	input.data.values.type == "egress"
}

world_openings := [opening | some opening in _vpc] if {
	input.source == "terraform"
	input.type == "aws_vpc_security_group_ingress_rule"
	input.data.values.ip_protocol
	not _unclear_vpc
}

_ranges := {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6"}

_blocks := ["cidr_blocks", "ipv6_cidr_blocks"]

_permitted contains _opening(permission.IpProtocol, permission.FromPort, permission.ToPort, cidr, path) if {
	some i, permission in input.data.DescribeSecurityGroups.IpPermissions
	some list, field in _ranges
	some j, block in permission[list]
	cidr := block[field]
	path := sprintf("/data/DescribeSecurityGroups/IpPermissions/%d/%s/%d/%s", [i, list, j, field])
}

_permitted contains _opening("-1", 0, 65535, cidr, path) if {
	some i, permission in input.data.DescribeSecurityGroups.IpPermissions
	permission.IpProtocol == "-1"
	some list, field in _ranges
	some j, block in permission[list]
	cidr := block[field]
	path := sprintf("/data/DescribeSecurityGroups/IpPermissions/%d/%s/%d/%s", [i, list, j, field])
}

_unclear_permission if {
	some permission in input.data.DescribeSecurityGroups.IpPermissions
	not permission.IpProtocol
}

_unclear_permission if {
	some permission in input.data.DescribeSecurityGroups.IpPermissions
	_ports[permission.IpProtocol]
	[1 | is_number(permission.FromPort)] == []
}

_unclear_permission if {
	some permission in input.data.DescribeSecurityGroups.IpPermissions
	_ports[permission.IpProtocol]
	[1 | is_number(permission.ToPort)] == []
}

_inline contains _opening(entry.protocol, entry.from_port, entry.to_port, cidr, path) if {
	some i, entry in input.data.values.ingress
	some list in _blocks
	some j, cidr in entry[list]
	path := sprintf("/data/values/ingress/%d/%s/%d", [i, list, j])
}

_unclear_inline if {
	some entry in input.data.values.ingress
	not entry.protocol
}

_unclear_inline if {
	some entry in input.data.values.ingress
	[1 | is_number(entry.from_port)] == []
}

_unclear_inline if {
	some entry in input.data.values.ingress
	[1 | is_number(entry.to_port)] == []
}

_single contains _opening(input.data.values.protocol, input.data.values.from_port, input.data.values.to_port, cidr, path) if {
	some list in _blocks
	some i, cidr in input.data.values[list]
	path := sprintf("/data/values/%s/%d", [list, i])
}

_vpc contains _opening(input.data.values.ip_protocol, input.data.values.from_port, input.data.values.to_port, cidr, path) if {
	some field in ["cidr_ipv4", "cidr_ipv6"]
	cidr := input.data.values[field]
	path := sprintf("/data/values/%s", [field])
}

_vpc contains _opening("-1", 0, 65535, cidr, path) if {
	input.data.values.ip_protocol == "-1"
	some field in ["cidr_ipv4", "cidr_ipv6"]
	cidr := input.data.values[field]
	path := sprintf("/data/values/%s", [field])
}

_unclear_vpc if {
	_ports[input.data.values.ip_protocol]
	[1 | is_number(input.data.values.from_port)] == []
}

_unclear_vpc if {
	_ports[input.data.values.ip_protocol]
	[1 | is_number(input.data.values.to_port)] == []
}

# Protocols with ports, as they may be written.
_ports := {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}

_opening(protocol, from, to, cidr, path) := {"protocol": _ports[lower(protocol)], "from": from, "to": to, "cidr": cidr, "path": path} if {
	_world(cidr)
	is_number(from)
}

_opening(protocol, _, _, cidr, path) := {"protocol": "all", "from": 0, "to": 65535, "cidr": cidr, "path": path} if {
	_world(cidr)
	lower(protocol) in {"-1", "all"}
}

# Every address: a network of no fixed bits.
_world(cidr) if {
	is_string(cidr)
	endswith(cidr, "/0")
}
