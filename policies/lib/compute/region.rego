# METADATA
# description: What a cloud account sets for all machines of one region.
package lib.compute.region

# Whether new disks are encrypted without being asked for.
encrypts_by_default := input.data.GetEbsEncryptionByDefault.EbsEncryptionByDefault if {
	input.source == "aws"
	input.type == "AWS::::Region"
}

encrypts_by_default_path := "/data/GetEbsEncryptionByDefault/EbsEncryptionByDefault" if {
	input.source == "aws"
	input.type == "AWS::::Region"
}
