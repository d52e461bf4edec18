resource "aws_db_instance" "ledger" {
  identifier          = "payments-ledger"
  engine              = "postgres"
  engine_version      = "17.6"
  instance_class      = "db.m7g.large"
  allocated_storage   = 200
  storage_encrypted   = true
  username            = "ledger"
  password            = "FAKE-database-password"
  deletion_protection = true
  tags                = { owner = "teun.verhoef" }
}

# DEFECT: nobody asked for protection.
resource "aws_db_instance" "wms" {
  identifier        = "wms-stock"
  engine            = "mysql"
  engine_version    = "8.4.6"
  instance_class    = "db.m7g.large"
  allocated_storage = 100
  storage_encrypted = true
  username          = "wms"
  password          = "FAKE-database-password"
  tags              = { owner = "marit.solheim" }
}

# DEFECT, later: somebody takes the protection off by hand.
resource "aws_db_instance" "portal" {
  identifier          = "portal-orders"
  engine              = "postgres"
  engine_version      = "17.6"
  instance_class      = "db.t4g.medium"
  allocated_storage   = 50
  storage_encrypted   = true
  username            = "portal"
  password            = "FAKE-database-password"
  deletion_protection = true
  tags                = { owner = "bea.lindqvist" }
}

# Nobody would miss it, and it is protected all the same.
resource "aws_db_instance" "portal_test" {
  identifier          = "portal-orders-test"
  engine              = "postgres"
  engine_version      = "17.6"
  instance_class      = "db.t4g.micro"
  allocated_storage   = 20
  storage_encrypted   = true
  username            = "portal"
  password            = "FAKE-database-password"
  deletion_protection = true
  tags                = { owner = "bea.lindqvist" }
}

# The cluster is what is protected, not each of its instances.
resource "aws_rds_cluster" "tracking" {
  cluster_identifier  = "tracking"
  engine              = "aurora-postgresql"
  engine_version      = "17.5"
  master_username     = "tracking"
  master_password     = "FAKE-database-password"
  storage_encrypted   = true
  deletion_protection = true
  tags                = { owner = "bea.lindqvist" }
}

resource "aws_rds_cluster_instance" "tracking" {
  identifier         = "tracking-1"
  cluster_identifier = aws_rds_cluster.tracking.id
  engine             = aws_rds_cluster.tracking.engine
  instance_class     = "db.r7g.large"
  tags               = { owner = "bea.lindqvist" }
}
