variable "name" { type = string }
variable "log_buckets" {
  type    = map(string)
  default = {}
}
resource "aws_s3_bucket" "this" {
  bucket = var.name
  tags   = { Name = var.name, data_classification = "internal" }
}
resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}
resource "terraform_data" "log" {
  for_each = var.log_buckets
  input    = { from = aws_s3_bucket.this.id, to = each.value }
}
output "id" { value = aws_s3_bucket.this.id }
