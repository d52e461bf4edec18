package lib.keys_test

import data.lib.keys

test_host if {
	keys.host("10.0.0.1/24") == "10.0.0.1"
	keys.host(" 10.0.0.1") == "10.0.0.1"
	keys.host("2001:DB8:0:0::1/64") == "2001:db8::1"
	keys.host("not:an:address") == "not:an:address"
}

test_names if {
	keys.name(" Web-1.Example.") == "web-1.example"
	keys.id("I-0A ") == "i-0a"
	keys.address("terraform/prod", "aws_s3_bucket.a") == "terraform/prod|aws_s3_bucket.a"
	keys.controller("kubernetes/a", "ns", "Job", "j") == "kubernetes/a|ns/Job/j"
	keys.namespace("kubernetes/a", "ns") == "kubernetes/a|ns"
	keys.in_vrf("netbox/nh", "global", "10.0.0.1/24") == "netbox/nh|global|10.0.0.1"
}
