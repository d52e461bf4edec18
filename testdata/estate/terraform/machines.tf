data "aws_ami" "linux" {
  most_recent = true
  owners      = ["amazon"]
  filter {
    name   = "name"
    values = ["amzn2-ami-*"]
  }
}

# DEFECT: the root volume is not encrypted (launched before encryption by default was turned on).
resource "aws_instance" "bastion" {
  ami                    = data.aws_ami.linux.id
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.private.id
  private_ip             = "172.31.20.24"
  vpc_security_group_ids = [aws_security_group.bastion.id]
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }
  root_block_device {
    encrypted   = false
    volume_size = 20
    tags        = { Name = "bastion-euc1-root" }
  }
  tags = { Name = "bastion-euc1", owner = "ylva.brandt" }
}

# DEFECT: answers metadata requests without a session.
resource "aws_instance" "sftp_gw" {
  ami                    = data.aws_ami.linux.id
  instance_type          = "t3.small"
  subnet_id              = aws_subnet.private.id
  private_ip             = "172.31.20.27"
  vpc_security_group_ids = [aws_security_group.sftp.id, aws_security_group.inside.id]
  user_data              = "#!/bin/sh\necho partner-password=FAKE-user-data-secret > /etc/sftp.conf\n"
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "optional"
  }
  root_block_device {
    encrypted   = true
    volume_size = 20
    tags        = { Name = "sftp-gw-root" }
  }
  tags       = { Name = "sftp-gw", owner = "ylva.brandt" }
  depends_on = [aws_ebs_encryption_by_default.main]
}

# DEFECT, later: somebody terminates it by hand.
resource "aws_instance" "reporting" {
  ami                    = data.aws_ami.linux.id
  instance_type          = "t3.small"
  subnet_id              = aws_subnet.private.id
  private_ip             = "172.31.20.40"
  vpc_security_group_ids = [aws_security_group.inside.id]
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }
  root_block_device {
    encrypted   = true
    volume_size = 20
    tags        = { Name = "reporting-1-root" }
  }
  tags       = { Name = "reporting-1", owner = "marit.solheim" }
  depends_on = [aws_ebs_encryption_by_default.main]
}

module "payments" {
  source          = "./modules/payments"
  ami             = data.aws_ami.linux.id
  subnet          = aws_subnet.private.id
  security_groups = [aws_security_group.inside.id]
  addresses       = { a = "172.31.20.25", b = "172.31.20.26" }
  depends_on      = [aws_ebs_encryption_by_default.main]
}

module "eks" {
  source          = "./modules/eks"
  ami             = data.aws_ami.linux.id
  subnet          = aws_subnet.private.id
  security_groups = [aws_security_group.inside.id]
  # DEFECT: 172.31.18.61 was added without an entry in NetBox; 172.31.18.203 should have been removed.
  nodes      = [14, 37, 52, 61, 90, 131, 177, 203]
  depends_on = [aws_ebs_encryption_by_default.main]
}
