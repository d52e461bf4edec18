# A change that somebody proposes to the estate. `make estate` writes what Terraform plans of it to ../plan.json;
# ../README.md says what a gate must find.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region            = "eu-central-1"
  s3_use_path_style = true
}

locals {
  owner = "marit.solheim"
}

# A bucket and its block, joined by a reference: the bucket's name is not known yet to either.
resource "aws_s3_bucket" "manifests" {
  bucket_prefix = "nordhafen-manifests-"
  tags          = { owner = local.owner, data_classification = "internal" }
}

resource "aws_s3_bucket_public_access_block" "manifests" {
  bucket                  = aws_s3_bucket.manifests.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

# DEFECT: no block.
resource "aws_s3_bucket" "labels" {
  bucket = "nordhafen-labels"
  tags   = { owner = local.owner, data_classification = "internal" }
}

resource "aws_security_group" "labels" {
  name        = "label-printers"
  description = "label printers"
  # DEFECT: SSH for everyone.
  ingress {
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_vpc_security_group_ingress_rule" "ipp" {
  security_group_id = aws_security_group.labels.id
  ip_protocol       = "tcp"
  from_port         = 631
  to_port           = 631
  cidr_ipv4         = "203.0.113.0/27"
}

# DEFECT, twice: no session asked for metadata, and a volume that says it is not encrypted.
resource "aws_instance" "labels" {
  ami           = "ami-0123456789abcdef0"
  instance_type = "t3.micro"
  metadata_options {
    http_tokens = "optional"
  }
  root_block_device {
    encrypted   = false
    volume_size = 20
  }
  tags = { Name = "labels-1", owner = local.owner }
}

# Nobody can tell before it is applied: it depends on the account's default.
resource "aws_ebs_volume" "spool" {
  availability_zone = "eu-central-1a"
  size              = 10
  tags              = { Name = "labels-spool", owner = local.owner }
}

resource "aws_ebs_volume" "archive" {
  availability_zone = "eu-central-1a"
  size              = 50
  encrypted         = true
  tags              = { Name = "labels-archive", owner = local.owner }
}
