# METADATA
# description: Whether what one source records is there in another.
package lib.reconcile.existence

import data.lib.keys

# The id by which the cloud knows what a state records.
id := keys.id(input.data.values.id) if {
	input.source == "terraform"
	input.type == "aws_instance"
}

id := keys.name(input.data.values.bucket) if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
}

id_path := "/data/values/id" if {
	input.source == "terraform"
	input.type == "aws_instance"
}

id_path := "/data/values/bucket" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
}

# What the cloud says of it: there, terminated, or not found.
standing := "there" if {
	input.source == "terraform"
	input.type == "aws_instance"
	_alive
}

standing := "terminated" if {
	input.source == "terraform"
	input.type == "aws_instance"
	data.estate.aws.instance[id]
	not _alive
}

standing := "not found" if {
	input.source == "terraform"
	input.type == "aws_instance"
	id
	not data.estate.aws.instance[id]
}

standing := "there" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
	data.estate.aws.bucket[id]
}

standing := "not found" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
	id
	not data.estate.aws.bucket[id]
}

_alive if {
	some hit in data.estate.aws.instance[id]
	not hit.value.state in {"shutting-down", "terminated"}
}
