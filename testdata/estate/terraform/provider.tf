# The AWS estate of Nordhafen Logistik, an invented company. Several things here are wrong on purpose:
# ../DEFECTS.md lists them. Nothing of it is a model to copy.
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# Where and as whom comes from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
provider "aws" {
  region            = "eu-central-1"
  s3_use_path_style = true
}

provider "aws" {
  alias             = "dr"
  region            = "eu-west-1"
  s3_use_path_style = true
}

provider "aws" {
  alias             = "archive"
  region            = "eu-central-1"
  s3_use_path_style = true
  assume_role {
    role_arn = "arn:aws:iam::210987654321:role/terraform"
  }
}
