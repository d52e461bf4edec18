# A bucket that cannot be opened to the public.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "name" {}
variable "owner" {}
variable "classification" {}
variable "versioning" {
  default     = ""
  description = "Enabled, Suspended, or empty where it was never set."
}

resource "aws_s3_bucket" "this" {
  bucket = var.name
  tags   = { owner = var.owner, data_classification = var.classification }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  count  = var.versioning == "" ? 0 : 1
  bucket = aws_s3_bucket.this.id
  versioning_configuration { status = var.versioning }
}

output "name" { value = aws_s3_bucket.this.id }
