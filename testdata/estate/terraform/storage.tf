# DEFECT: made before encryption by default was turned on, and never copied.
resource "aws_ebs_volume" "wms_import" {
  availability_zone = "eu-central-1a"
  size              = 80
  type              = "gp2"
  tags              = { Name = "wms-import-scratch", owner = "marit.solheim" }
}

resource "aws_ebs_encryption_by_default" "main" {
  enabled    = true
  depends_on = [aws_ebs_volume.wms_import, aws_instance.bastion]
}

# DEFECT: eu-west-1 does not encrypt by default, and nobody asked for it here.
resource "aws_ebs_volume" "dr_staging" {
  provider          = aws.dr
  availability_zone = "eu-west-1a"
  size              = 40
  tags              = { Name = "dr-staging", owner = "ylva.brandt" }
}

# In the same region, encrypted because it says so.
resource "aws_ebs_volume" "dr_ledger" {
  provider          = aws.dr
  availability_zone = "eu-west-1a"
  size              = 200
  encrypted         = true
  tags              = { Name = "dr-ledger", owner = "teun.verhoef" }
}

module "ledger_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-payments-ledger"
  owner          = "teun.verhoef"
  classification = "restricted"
  versioning     = "Enabled"
}

# DEFECT: versioning was suspended to save money.
module "settlement_exports_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-settlement-exports"
  owner          = "teun.verhoef"
  classification = "confidential"
  versioning     = "Suspended"
}

# DEFECT: versioning was never turned on.
module "hr_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-hr-documents"
  owner          = "jonas.keller"
  classification = "confidential"
}

# Nothing to keep: versioning is not asked of internal data.
module "logs_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-logs"
  owner          = "ylva.brandt"
  classification = "internal"
}

module "tfstate_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-tfstate"
  owner          = "ylva.brandt"
  classification = "confidential"
  versioning     = "Enabled"
}

# DEFECT, later: somebody removes the public access block by hand.
module "partners_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-partner-dropbox"
  owner          = "ylva.brandt"
  classification = "internal"
}

# DEFECT, later: somebody deletes it by hand.
module "reporting_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-reporting-2024"
  owner          = "marit.solheim"
  classification = "internal"
}

# Four blocks on, and a policy that serves a content network: narrow enough not to be public.
module "cdn_bucket" {
  source         = "./modules/bucket"
  name           = "nordhafen-cdn-origin"
  owner          = "bea.lindqvist"
  classification = "public"
}

resource "aws_s3_bucket_policy" "cdn" {
  bucket = module.cdn_bucket.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ContentNetwork"
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = "arn:aws:s3:::${module.cdn_bucket.name}/*"
      Condition = { StringEquals = { "AWS:SourceAccount" = "123456789012" } }
    }]
  })
}

# DEFECT: no public access block at all, and a policy for everyone.
resource "aws_s3_bucket" "www" {
  bucket = "nordhafen-www-assets"
  tags   = { owner = "bea.lindqvist", data_classification = "public" }
}

resource "aws_s3_bucket_policy" "www" {
  bucket = aws_s3_bucket.www.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Everyone", Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "${aws_s3_bucket.www.arn}/*" }]
  })
}

# DEFECT: three of the four blocks.
resource "aws_s3_bucket" "wms_imports" {
  bucket = "nordhafen-wms-imports"
  tags   = { owner = "marit.solheim", data_classification = "internal" }
}

resource "aws_s3_bucket_public_access_block" "wms_imports" {
  bucket                  = aws_s3_bucket.wms_imports.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = false
}

module "dr_bucket" {
  source         = "./modules/bucket"
  providers      = { aws = aws.dr }
  name           = "nordhafen-dr-replica"
  owner          = "teun.verhoef"
  classification = "restricted"
  versioning     = "Enabled"
}

# DEFECT: no public access block.
resource "aws_s3_bucket" "dr_scratch" {
  provider = aws.dr
  bucket   = "nordhafen-dr-scratch"
  tags     = { owner = "ylva.brandt", data_classification = "internal" }
}

module "archive_bucket" {
  source         = "./modules/bucket"
  providers      = { aws = aws.archive }
  name           = "nordhafen-archive-2019"
  owner          = "pieter.dewit"
  classification = "restricted"
  versioning     = "Enabled"
}
