# What the recorded files in this folder's parent were made of, with Terraform
# 1.11.4 and moto 5.2.5: applied with stage 1, then planned with stage 2.
terraform {
  required_providers { aws = { source = "hashicorp/aws", version = "5.100.0" } }
}
variable "endpoint" { type = string }
variable "stage" { type = number }
variable "note" {
  type      = string
  sensitive = true
}
variable "canaries" { type = map(string) }

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "testing"
  secret_key                  = "testing"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  default_tags { tags = { owner = "platform" } }
  endpoints {
    ec2            = var.endpoint
    ecs            = var.endpoint
    iam            = var.endpoint
    s3             = var.endpoint
    secretsmanager = var.endpoint
    ssm            = var.endpoint
    sts            = var.endpoint
  }
}

locals {
  buckets = var.stage == 1 ? ["assets", "logs"] : ["assets", "logs", "invoices"]
  web     = var.stage == 1 ? 1 : 2
}

data "aws_caller_identity" "me" {}

module "log" {
  source = "./bucket"
  name   = "nordhafen-access"
}
module "bucket" {
  source      = "./bucket"
  for_each    = toset(local.buckets)
  name        = "nordhafen-${each.key}"
  log_buckets = { access = module.log.id }
}
resource "aws_s3_bucket_versioning" "each" {
  for_each = module.bucket
  bucket   = each.value.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_vpc" "main" { cidr_block = "10.4.0.0/16" }
resource "aws_subnet" "main" {
  vpc_id     = aws_vpc.main.id
  cidr_block = "10.4.7.0/24"
}
resource "aws_security_group" "web" {
  count  = local.web
  name   = "web-${count.index}"
  vpc_id = aws_vpc.main.id
  ingress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = [aws_vpc.main.cidr_block]
  }
}
resource "aws_instance" "web" {
  count                  = local.web
  ami                    = "ami-0ff8a91507f77f867"
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.main.id
  vpc_security_group_ids = [aws_security_group.web[count.index].id]
  user_data              = "#!/bin/sh\nexport PASS=${var.canaries.user_data}\n"
  tags                   = { Name = "web-${count.index}" }
  metadata_options {
    http_tokens   = "required"
    http_endpoint = "enabled"
  }
}
resource "aws_ebs_volume" "old" {
  count             = var.stage == 1 ? 1 : 0
  availability_zone = "eu-central-1a"
  size              = 1
}
resource "aws_ebs_volume" "data" {
  availability_zone = var.stage == 1 ? "eu-central-1a" : "eu-central-1b"
  size              = 2
  encrypted         = true
}

resource "aws_ssm_parameter" "key" {
  name  = "/nordhafen/key"
  type  = "SecureString"
  value = var.canaries.ssm
}
resource "aws_secretsmanager_secret" "db" { name = "nordhafen-db" }
resource "aws_secretsmanager_secret_version" "db" {
  secret_id     = aws_secretsmanager_secret.db.id
  secret_string = var.canaries.secretsmanager
}
resource "aws_iam_user" "ci" { name = "ci" }
resource "aws_iam_access_key" "ci" { user = aws_iam_user.ci.name }
resource "aws_ecs_task_definition" "api" {
  family = "api"
  container_definitions = jsonencode([{
    name  = "api", image = "nginx", memory = 64,
    environment = [{ name = "DB_PASS", value = var.canaries.ecs }]
  }])
}
resource "terraform_data" "note" {
  input = { open = "seen", shut = var.note, list = ["plain", var.note] }
}
resource "terraform_data" "whole" {
  input = sensitive(var.canaries.whole)
}
resource "terraform_data" "later" {
  for_each         = toset(var.stage == 1 ? [] : ["a \"quoted\" key", "b/c"])
  input            = { bucket = module.bucket["invoices"].id, fixed = each.key, secret = var.note }
  triggers_replace = [aws_instance.web[0].id, aws_ebs_volume.data.id]
}
output "note" {
  value     = var.canaries.output
  sensitive = true
}
output "buckets" { value = [for b in module.bucket : b.id] }
