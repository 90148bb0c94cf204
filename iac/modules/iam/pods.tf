# The weather pair on EKS: Pod Identity gives each service account its role.

locals {
  pod_documents = {
    weather-producer = data.aws_iam_policy_document.weather_producer.json
    weather-consumer = data.aws_iam_policy_document.weather_consumer.json
    external-secrets = data.aws_iam_policy_document.external_secrets.json
  }
}

resource "aws_iam_role" "pod" {
  for_each             = var.has_eks ? local.pod_documents : {}
  name                 = "${var.prefix}-pod-${each.key}"
  description          = "The pod ${each.key} on EKS"
  assume_role_policy   = data.aws_iam_policy_document.pod_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "pod" {
  for_each = var.has_eks ? local.pod_documents : {}
  name     = each.key
  role     = aws_iam_role.pod[each.key].name
  policy   = each.value
}

data "aws_iam_policy_document" "pod_trust" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]
    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:aws:eks:${var.region}:${var.account_id}:cluster/${var.prefix}"]
    }
  }
}

data "aws_iam_policy_document" "weather_consumer" {
  statement {
    sid       = "TellAbsentFromForbidden"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.landing]
    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = [""]
    }
  }
  statement {
    sid       = "LandReadings"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.landing}/source=kafka/*"]
  }
  statement {
    sid       = "ReachKafka"
    actions   = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"]
    resources = [local.kafka.cluster]
  }
  # A replay sends dead letters to their source again.
  statement {
    sid       = "ReadAndWriteOurTopics"
    actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData", "kafka-cluster:WriteData"]
    resources = [local.kafka.readings, local.kafka.dead_letters]
  }
  statement {
    sid       = "KeepOffsets"
    actions   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
    resources = [local.kafka.groups]
  }
}

# External Secrets reads what iac/kubernetes/overlays/eks names, and no Strava secret.
data "aws_iam_policy_document" "external_secrets" {
  statement {
    sid       = "ReadMongodbsAddress"
    actions   = ["ssm:GetParameter", "ssm:GetParameters"]
    resources = ["${local.parameter_arn_prefix}mongodb/uri"]
  }
}
