# What a person applies once, from their own machine, before Scalr can: Scalr's OIDC provider, a role that only reads
# for plans (a pull request's plan runs the pull request's code), another one for applies, and the boundary without
# which the latter makes no role.

provider "aws" {
  region = var.region
  default_tags {
    tags = { application = var.name, environment = var.environment, managed_by = "terraform-bootstrap" }
  }
}

data "aws_caller_identity" "current" {}

locals {
  prefix     = "${var.name}-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  scalr_host = "scalr.io"
  roles      = { plan = data.aws_iam_policy_document.plan.json, apply = data.aws_iam_policy_document.apply.json }
}

resource "aws_iam_openid_connect_provider" "scalr" {
  url            = "https://${local.scalr_host}" # exactly this, whatever the account's own address
  client_id_list = [var.scalr_audience]
}

# Their names begin otherwise than the platform's, so that the apply role cannot change itself.
resource "aws_iam_role" "scalr" {
  for_each             = local.roles
  name                 = "scalr-${local.prefix}-${each.key}"
  description          = "Scalr's ${each.key} runs of ${local.prefix}"
  assume_role_policy   = data.aws_iam_policy_document.scalr_trust.json
  max_session_duration = 3600
}

resource "aws_iam_policy" "scalr" {
  # checkov:skip=CKV_AWS_355:describing takes no resource; what changes names and network is bound by name or region
  # checkov:skip=CKV_AWS_290:EC2's ids are not known beforehand; the statement is bound to the region
  # checkov:skip=CKV_AWS_287:ecr:GetAuthorizationToken and the like are not in it; checkov takes iam:GetRole for a leak
  # checkov:skip=CKV_AWS_289:roles may be changed only below the prefix and only under the boundary
  for_each = local.roles
  name     = "scalr-${local.prefix}-${each.key}"
  policy   = each.value
}

resource "aws_iam_role_policy_attachment" "scalr" {
  for_each   = local.roles
  role       = aws_iam_role.scalr[each.key].name
  policy_arn = aws_iam_policy.scalr[each.key].arn
}

data "aws_iam_policy_document" "scalr_trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["arn:aws:iam::${local.account_id}:oidc-provider/${local.scalr_host}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.scalr_host}:aud"
      values   = [var.scalr_audience]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.scalr_host}:sub"
      values   = ["account:${var.scalr_account}:environment:${var.scalr_environment}:workspace:${var.scalr_workspace}"]
    }
  }
}
