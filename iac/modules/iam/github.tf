# GitHub's workflows deploy without a stored key. Since 2026-07-15 a new or renamed repository's subject names owner
# and repository with their ids, so that a name which somebody else takes over later opens nothing.

locals {
  github_host         = "token.actions.githubusercontent.com"
  github_provider_arn = "arn:aws:iam::${var.account_id}:oidc-provider/${local.github_host}"
  github_repository   = "repo:${var.github.owner}@${var.github.owner_id}/${var.github.repository}@${var.github.repository_id}"
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github.create_provider ? 1 : 0
  url            = "https://${local.github_host}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deploy" {
  name                 = "${var.prefix}-deploy"
  description          = "GitHub's workflows: push images, register task definitions, synchronise DAGs"
  assume_role_policy   = data.aws_iam_policy_document.github_trust.json
  permissions_boundary = var.permissions_boundary
  max_session_duration = 3600
  depends_on           = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.deploy.name
  policy = data.aws_iam_policy_document.deploy.json
}

data "aws_iam_policy_document" "github_trust" {
  # checkov:skip=CKV_AWS_358:the subject is exact, with ids; checkov cannot see through the variables, iac/tests/documents.tftest.hcl can
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [local.github_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.github_host}:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.github_host}:sub"
      values   = [for subject in var.github.subjects : "${local.github_repository}:${subject}"]
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "LogInToEcr"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it takes no resource
  }
  statement {
    sid = "PushOurImages"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = local.repository_arns
  }
  statement {
    sid       = "ReadTaskDefinitions"
    actions   = ["ecs:DescribeTaskDefinition"]
    resources = ["*"] # it takes no resource
  }
  statement {
    sid       = "RegisterOurRevisions"
    actions   = ["ecs:RegisterTaskDefinition", "ecs:TagResource"]
    resources = local.family_arns
  }
  statement {
    sid       = "GiveThemTheirRoles"
    actions   = ["iam:PassRole"]
    resources = concat([local.arn.execution_role], local.task_role_arns)
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
  statement {
    sid       = "SeeWhatTheDagBucketHolds"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.dags]
  }
  statement {
    sid       = "SynchroniseDags"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.dags}/dags/*"]
  }
  statement {
    sid       = "VersionPluginsAndRequirements"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.dags}/plugins.zip", "${local.arn.dags}/requirements.txt"]
  }
  dynamic "statement" {
    for_each = var.has_airflow ? [1] : []
    content {
      sid       = "LetAirflowTakeThem"
      actions   = ["airflow:GetEnvironment", "airflow:UpdateEnvironment"]
      resources = ["arn:aws:airflow:${var.region}:${var.account_id}:environment/${var.prefix}"]
    }
  }
  dynamic "statement" {
    for_each = var.has_airflow ? [1] : []
    content {
      sid       = "UpdateAsAirflowsRole"
      actions   = ["iam:PassRole"]
      resources = ["arn:aws:iam::${var.account_id}:role/${var.prefix}-airflow"]
      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["airflow-env.amazonaws.com"]
      }
    }
  }
}
