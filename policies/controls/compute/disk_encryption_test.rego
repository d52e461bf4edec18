package controls.compute.disk_encryption_test

import data.controls.compute.disk_encryption
import data.lib.compute.disk

_volume(fields) := {"source": "aws", "type": "AWS::EC2::Volume", "data": {"DescribeVolumes": object.union({"VolumeId": "vol-1"}, fields)}}

_ebs(values) := {"source": "terraform", "type": "aws_ebs_volume", "data": {"address": "aws_ebs_volume.a", "values": values}}

_instance(values) := {"source": "terraform", "type": "aws_instance", "data": {"address": "aws_instance.a", "values": values}}

test_encrypted_passes if {
	disk_encryption.violation == set() with input as _volume({"Encrypted": true})
	disk_encryption.violation == set() with input as _ebs({"encrypted": true})
	disk_encryption.violation == set() with input as _instance({"root_block_device": [{"encrypted": true}], "ebs_block_device": [{"encrypted": true}]})
	disk_encryption.violation == set() with input as _instance({"root_block_device": [{"encrypted": true}]})
}

test_unencrypted_fails if {
	{v.message | some v in disk_encryption.violation} == {"vol-1 is not encrypted"} with input as _volume({"Encrypted": false})
	{v.path | some v in disk_encryption.violation} == {"/data/values/encrypted"} with input as _ebs({"encrypted": null})
	{v.path | some v in disk_encryption.violation} == {"/data/values/root_block_device/0/encrypted", "/data/values/ebs_block_device/1/encrypted"} with input as _instance({
		"root_block_device": [{"encrypted": false}],
		"ebs_block_device": [{"encrypted": true}, {"encrypted": false}],
	})
}

test_unread_is_undefined if {
	not disk.unencrypted with input as _volume({})
	not disk.unencrypted with input as _ebs({})
	not disk.unencrypted with input as _instance({"ebs_block_device": []})
	not disk.unencrypted with input as _instance({"root_block_device": [{"encrypted": true}], "ebs_block_device": [{}]})
}
