package controls.database.deletion_protection_test

import data.controls.database.deletion_protection
import data.lib.database.instance

_instance(answer) := {"source": "aws", "type": "AWS::RDS::DBInstance", "data": {"DescribeDBInstances": object.union({"DBInstanceIdentifier": "ledger"}, answer)}}

_declared(values) := {"source": "terraform", "type": "aws_db_instance", "data": {"values": values}}

_paths contains v.path if some v in deletion_protection.violation

test_protected_passes if {
	every database in [_instance({"DeletionProtection": true}), _declared({"deletion_protection": true})] {
		deletion_protection.applies with input as database
		_paths == set() with input as database
	}
}

test_unprotected_fails if {
	_paths == {"/data/DescribeDBInstances/DeletionProtection"} with input as _instance({"DeletionProtection": false})
	every protection in [false, null] {
		_paths == {"/data/values/deletion_protection"} with input as _declared({"deletion_protection": protection})
	}
}

test_part_of_a_cluster_is_excluded if {
	not deletion_protection.applies with input as _instance({"DeletionProtection": false, "DBClusterIdentifier": "tracking"})
}

test_unread_is_undefined if {
	not instance.deletion_protection with input as _instance({})
	not instance.deletion_protection with input as _declared({})
	not instance.cluster with input as {"source": "aws", "type": "AWS::RDS::DBInstance", "data": {}}
}
