# Self-managed nodes of eks-prod-euc1.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "ami" {}
variable "subnet" {}
variable "security_groups" { type = list(string) }
variable "nodes" {
  type        = set(number)
  description = "Last octets in 172.31.18.0/24."
}

resource "aws_instance" "node" {
  for_each               = { for n in var.nodes : "172.31.18.${n}" => "ip-172-31-18-${n}.eu-central-1.compute.internal" }
  ami                    = var.ami
  instance_type          = "m6i.xlarge"
  subnet_id              = var.subnet
  private_ip             = each.key
  vpc_security_group_ids = var.security_groups
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }
  root_block_device {
    encrypted   = true
    volume_size = 20
    tags        = { Name = "${each.value}-root" }
  }
  tags = {
    Name                                  = each.value
    owner                                 = "bea.lindqvist"
    "kubernetes.io/cluster/eks-prod-euc1" = "owned"
  }
}
