# METADATA
# title: Databases cannot be deleted by one call
# description: >-
#   Each database instance of RDS has deletion protection turned on, so that it has to be turned off before the
#   database can be deleted. Of an instance in a cluster (Aurora, DocumentDB, Neptune, Multi-AZ clusters) the
#   protection is the cluster's, which is not judged here.
# custom:
#   id: DAT-001
#   severity: high
#   applies_to: ["aws/AWS::RDS::DBInstance", "terraform/aws_db_instance"]
#   why: >-
#     One mistaken or malicious call deletes a database with all that is in it, and by default its automated
#     backups too. What was to be kept is then as old as the last snapshot, or gone.
#   excludes: The database is part of a cluster, and only the cluster can be protected.
#   fix:
#     terraform: |
#       resource "aws_db_instance" "this" {
#         deletion_protection = true
#       }
#     aws: |
#       aws rds modify-db-instance --db-instance-identifier NAME --deletion-protection
#   runbook: rds-protect-from-deletion
package controls.database.deletion_protection

import data.lib.database.instance

default applies := false

applies if instance.cluster == ""

violation contains {
	"message": "the database can be deleted by one call",
	"observed": instance.deletion_protection,
	"expected": true,
	"path": instance.deletion_protection_path,
} if {
	instance.deletion_protection == false
}
