package controls.compute.encryption_by_default_test

import data.controls.compute.encryption_by_default
import data.lib.compute.region

_region(answer) := {"source": "aws", "type": "AWS::::Region", "data": answer}

test_on_passes if {
	encryption_by_default.violation == set() with input as _region({"GetEbsEncryptionByDefault": {"EbsEncryptionByDefault": true}})
}

test_off_fails if {
	{v.path | some v in encryption_by_default.violation} == {"/data/GetEbsEncryptionByDefault/EbsEncryptionByDefault"} with input as _region({"GetEbsEncryptionByDefault": {"EbsEncryptionByDefault": false}})
}

test_unread_is_undefined if {
	not region.encrypts_by_default with input as _region({})
}
