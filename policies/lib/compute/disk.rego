# METADATA
# description: Disks of virtual machines, whether they are resources of their own or parts of a machine.
package lib.compute.disk

# The disks that are not encrypted at rest: what each is called, what is recorded of it, and where.
unencrypted := [{"disk": input.data.DescribeVolumes.VolumeId, "observed": encrypted, "path": "/data/DescribeVolumes/Encrypted"} |
	encrypted := input.data.DescribeVolumes.Encrypted
	encrypted != true
] if {
	input.source == "aws"
	input.type == "AWS::EC2::Volume"
	is_boolean(input.data.DescribeVolumes.Encrypted)
	is_string(input.data.DescribeVolumes.VolumeId)
}

unencrypted := [{"disk": input.data.address, "observed": encrypted, "path": "/data/values/encrypted"} |
	encrypted := input.data.values.encrypted
	encrypted != true
] if {
	input.source == "terraform"
	input.type == "aws_ebs_volume"
	input.data.values.encrypted in {true, false, null}
	is_string(input.data.address)
}

unencrypted := [{"disk": device.disk, "observed": device.encrypted, "path": device.path} |
	some device in _devices
	device.encrypted != true
] if {
	input.source == "terraform"
	input.type == "aws_instance"
	input.data.values.root_block_device[0].encrypted in {true, false, null}
	is_string(input.data.address)
	not _unclear
}

_devices := array.concat(_encryption(_root, sprintf("%s root_block_device", [input.data.address]), "root_block_device"), _encryption(_extra, sprintf("%s ebs_block_device", [input.data.address]), "ebs_block_device"))

_encryption(list, disk, name) := [{"disk": disk, "encrypted": device.encrypted, "path": path} |
	some i, device in list
	path := sprintf("/data/values/%s/%d/encrypted", [name, i])
]

# A device of which it is not recorded whether it is encrypted.
_unclear if {
	some list in [_root, _extra]
	some device in list
	not device.encrypted == true
	not device.encrypted == false
	not device.encrypted == null
}

_root := input.data.values.root_block_device

_extra := input.data.values.ebs_block_device

_extra := [] if not input.data.values.ebs_block_device
