package controls.network.administration_ports_test

import data.controls.network.administration_ports
import data.lib.network.ingress

_parameters := {"NET-001": {"ports": [22, 3389]}}

_group(permissions) := {"source": "aws", "type": "AWS::EC2::SecurityGroup", "data": {"DescribeSecurityGroups": {"IpPermissions": permissions}}}

_inline(entries) := {"source": "terraform", "type": "aws_security_group", "data": {"values": {"ingress": entries}}}

_rule(values) := {"source": "terraform", "type": "aws_security_group_rule", "data": {"values": values}}

_vpc(values) := {"source": "terraform", "type": "aws_vpc_security_group_ingress_rule", "data": {"values": values}}

_world := [{"CidrIp": "203.0.113.0/24"}, {"CidrIp": "0.0.0.0/0"}]

_paths contains v.path if some v in administration_ports.violation

test_an_open_port_fails if {
	administration_ports.violation == {{
		"message": "0.0.0.0/0 reaches port 22 (tcp 20-25)", "observed": "0.0.0.0/0",
		"expected": "a narrower network, or no rule",
		"path": "/data/DescribeSecurityGroups/IpPermissions/0/IpRanges/1/CidrIp",
	}} with data.parameters as _parameters with input as _group([{"IpProtocol": "tcp", "FromPort": 20, "ToPort": 25, "IpRanges": _world, "Ipv6Ranges": []}])
}

test_ipv6_fails if {
	_paths == {"/data/DescribeSecurityGroups/IpPermissions/0/Ipv6Ranges/0/CidrIpv6"} with data.parameters as _parameters with input as _group([{
		"IpProtocol": "tcp", "FromPort": 3389, "ToPort": 3389,
		"Ipv6Ranges": [{"CidrIpv6": "::/0"}],
	}])
}

test_every_protocol_fails if {
	{v.message | some v in administration_ports.violation} == {"0.0.0.0/0 reaches port 22, 3389 (all 0-65535)"} with data.parameters as _parameters with input as _group([{"IpProtocol": "-1", "IpRanges": _world}])
}

test_other_ports_networks_and_protocols_pass if {
	_paths == set() with data.parameters as _parameters with input as _group([
		{"IpProtocol": "tcp", "FromPort": 23, "ToPort": 3388, "IpRanges": _world},
		{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.0/24"}]},
		{"IpProtocol": "icmp", "FromPort": 8, "ToPort": 80, "IpRanges": _world},
	])
	_paths == set() with data.parameters as _parameters with input as _group([])
}

test_a_permission_that_cannot_be_understood_is_undefined if {
	every permission in [
		{"FromPort": 22, "ToPort": 22, "IpRanges": _world},
		{"IpProtocol": "tcp", "ToPort": 22, "IpRanges": _world},
		{"IpProtocol": "tcp", "FromPort": 22, "IpRanges": _world},
	] {
		not ingress.world_openings with input as _group([permission])
	}
	not ingress.world_openings with input as {"source": "aws", "type": "AWS::EC2::SecurityGroup", "data": {"DescribeSecurityGroups": {}}}
}

test_inline_rules if {
	_paths == {"/data/values/ingress/0/cidr_blocks/0", "/data/values/ingress/1/ipv6_cidr_blocks/0"} with data.parameters as _parameters with input as _inline([
		{"protocol": "TCP", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": []},
		{"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": [], "ipv6_cidr_blocks": ["::/0"]},
	])
	every entry in [
		{"from_port": 22, "to_port": 22},
		{"protocol": "tcp", "to_port": 22},
		{"protocol": "tcp", "from_port": 22},
	] {
		not ingress.world_openings with input as _inline([object.union(entry, {"cidr_blocks": ["0.0.0.0/0"]})])
	}
}

test_rules_of_their_own if {
	_paths == {"/data/values/cidr_blocks/0"} with data.parameters as _parameters with input as _rule({"type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": null})
	_paths == set() with data.parameters as _parameters with input as _rule({"type": "egress", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]})
	not ingress.world_openings with input as _rule({"type": "ingress", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]})
}

test_vpc_rules if {
	_paths == {"/data/values/cidr_ipv4"} with data.parameters as _parameters with input as _vpc({"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "0.0.0.0/0", "cidr_ipv6": null})
	_paths == {"/data/values/cidr_ipv6"} with data.parameters as _parameters with input as _vpc({"ip_protocol": "-1", "from_port": null, "to_port": null, "cidr_ipv4": null, "cidr_ipv6": "::/0"})
	_paths == set() with data.parameters as _parameters with input as _vpc({"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "0.0.0.0/0"})
	not ingress.world_openings with input as _vpc({"ip_protocol": "tcp", "to_port": 22, "cidr_ipv4": "0.0.0.0/0"})
	not ingress.world_openings with input as _vpc({"ip_protocol": "tcp", "from_port": 22, "cidr_ipv4": "0.0.0.0/0"})
}
