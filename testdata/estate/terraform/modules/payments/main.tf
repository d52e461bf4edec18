# The settlement pair.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "ami" {}
variable "subnet" {}
variable "security_groups" { type = list(string) }
variable "addresses" { type = map(string) }

locals {
  names = sort(keys(var.addresses))
  owner = "teun.verhoef"
}

resource "aws_instance" "settlement" {
  count                  = length(local.names)
  ami                    = var.ami
  instance_type          = "m6i.large"
  subnet_id              = var.subnet
  private_ip             = var.addresses[local.names[count.index]]
  vpc_security_group_ids = var.security_groups
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  root_block_device {
    encrypted   = true
    volume_size = 20
    tags        = { Name = "payments-settlement-${local.names[count.index]}-root" }
  }
  tags = {
    Name  = "payments-settlement-${local.names[count.index]}"
    owner = local.owner
  }
}

resource "aws_ebs_volume" "ledger" {
  availability_zone = "eu-central-1a"
  size              = 200
  type              = "gp3"
  encrypted         = true
  tags              = { Name = "payments-ledger", owner = local.owner, data_classification = "restricted" }
}

resource "aws_volume_attachment" "ledger" {
  device_name = "/dev/sdf"
  instance_id = aws_instance.settlement[0].id
  volume_id   = aws_ebs_volume.ledger.id
}
