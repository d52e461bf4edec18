# Fourteen characters: just enough.
resource "aws_iam_account_password_policy" "main" {
  minimum_password_length        = 14
  require_lowercase_characters   = true
  require_numbers                = true
  require_symbols                = true
  require_uppercase_characters   = true
  max_password_age               = 180
  password_reuse_prevention      = 12
  allow_users_to_change_password = true
}

# DEFECT: eight characters.
resource "aws_iam_account_password_policy" "archive" {
  provider                     = aws.archive
  minimum_password_length      = 8
  require_lowercase_characters = true
  require_numbers              = true
}

locals {
  people = ["ylva.brandt", "jonas.keller", "teun.verhoef", "bea.lindqvist", "pieter.dewit"]
  robots = ["svc-backup", "svc-billing", "svc-ci", "svc-wms-export"]
}

resource "aws_iam_user" "person" {
  for_each = toset(local.people)
  name     = each.key
  path     = "/people/"
  tags     = { owner = each.key }
}

resource "aws_iam_user" "robot" {
  for_each = toset(local.robots)
  name     = each.key
  path     = "/robots/"
  tags     = { owner = "ylva.brandt" }
}

# DEFECT: Jonas and Pieter get a password here and never enrol a second factor (afterwards.py enrols the others).
resource "aws_iam_user_login_profile" "person" {
  for_each                = aws_iam_user.person
  user                    = each.value.name
  password_reset_required = true
}

resource "aws_iam_access_key" "billing" {
  user = aws_iam_user.robot["svc-billing"].name
}

resource "aws_iam_group" "platform" { name = "platform" }

resource "aws_iam_group_membership" "platform" {
  name  = "platform"
  group = aws_iam_group.platform.name
  users = [for n in ["ylva.brandt", "bea.lindqvist"] : aws_iam_user.person[n].name]
}
