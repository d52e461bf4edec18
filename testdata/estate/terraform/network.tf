resource "aws_vpc" "main" {
  cidr_block           = "172.31.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "nordhafen-euc1" }
}

resource "aws_subnet" "private" {
  vpc_id            = aws_vpc.main.id
  cidr_block        = "172.31.16.0/20"
  availability_zone = "eu-central-1a"
  tags              = { Name = "nordhafen-euc1-private" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "nordhafen-euc1" }
}

locals {
  office = "203.0.113.0/27"
  world  = "0.0.0.0/0"
}

# SSH, but from the office alone.
resource "aws_security_group" "bastion" {
  name        = "bastion"
  description = "SSH from the office"
  vpc_id      = aws_vpc.main.id
  ingress {
    description = "office"
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = [local.office]
  }
  egress {
    description = "onwards, to the machines of this VPC"
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = [local.world]
  }
  tags = { owner = "ylva.brandt" }
}

# SSH from machines that are in another group, by reference.
resource "aws_security_group" "inside" {
  name        = "inside"
  description = "SSH through the bastion, HTTPS within the VPC"
  vpc_id      = aws_vpc.main.id
  ingress {
    protocol        = "tcp"
    from_port       = 22
    to_port         = 22
    security_groups = [aws_security_group.bastion.id]
  }
  ingress {
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = [aws_vpc.main.cidr_block]
  }
  tags = { owner = "ylva.brandt" }
}

# DEFECT: remote desktop for everyone.
resource "aws_security_group" "legacy_rdp" {
  name        = "legacy-rdp"
  description = "remote desktop, opened for a migration in 2022"
  vpc_id      = aws_vpc.main.id
  ingress {
    protocol    = "tcp"
    from_port   = 3389
    to_port     = 3389
    cidr_blocks = [local.office, local.world]
  }
  tags = { owner = "pieter.dewit" }
}

resource "aws_security_group" "sftp" {
  name        = "sftp"
  description = "file transfer with partners"
  vpc_id      = aws_vpc.main.id
  tags        = { owner = "ylva.brandt" }
}

# DEFECT: a rule of its own that opens SSH to the world.
resource "aws_security_group_rule" "sftp_world" {
  security_group_id = aws_security_group.sftp.id
  type              = "ingress"
  description       = "partners"
  protocol          = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_blocks       = [local.world]
}

# Out, not in.
resource "aws_security_group_rule" "sftp_out" {
  security_group_id = aws_security_group.sftp.id
  type              = "egress"
  protocol          = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_blocks       = [local.world]
}

resource "aws_security_group" "vpn" {
  name        = "vpn"
  description = "VPN concentrator"
  vpc_id      = aws_vpc.main.id
  tags        = { owner = "jonas.keller" }
}

# DEFECT: the range holds 22, and IPv6 is the world too.
resource "aws_vpc_security_group_ingress_rule" "vpn_v6" {
  security_group_id = aws_security_group.vpn.id
  description       = "management"
  ip_protocol       = "tcp"
  from_port         = 20
  to_port           = 25
  cidr_ipv6         = "::/0"
}

resource "aws_vpc_security_group_ingress_rule" "vpn_office" {
  security_group_id = aws_security_group.vpn.id
  description       = "management from the office"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = local.office
}

# Open to the world between the administration ports, which it just misses.
resource "aws_security_group" "scanners" {
  name        = "scanners"
  description = "handheld scanners on roaming SIM cards"
  vpc_id      = aws_vpc.main.id
  ingress {
    protocol         = "tcp"
    from_port        = 23
    to_port          = 3388
    cidr_blocks      = [local.world]
    ipv6_cidr_blocks = ["::/0"]
  }
  tags = { owner = "marit.solheim" }
}

resource "aws_security_group" "web" {
  name        = "web"
  description = "HTTPS for everyone"
  vpc_id      = aws_vpc.main.id
  tags        = { owner = "bea.lindqvist" }
}

resource "aws_vpc_security_group_ingress_rule" "web_https" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = local.world
}
