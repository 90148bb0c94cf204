# A role per program, with what its code asks for and nothing else. tests/cloud compares them with recorded calls.
# To read an object that is not there takes the right to list, else S3 answers 403 and not 404; such a request has no
# prefix, hence IfExists. `check` lists the prefix "".

locals {
  token_arn = "${local.parameter_arn_prefix}strava/token"
  # kafka-cluster ARNs end in the cluster's UUID, which nobody knows beforehand.
  kafka = {
    cluster      = "arn:aws:kafka:${var.region}:${var.account_id}:cluster/${var.prefix}/*"
    readings     = "arn:aws:kafka:${var.region}:${var.account_id}:topic/${var.prefix}/*/${var.weather_topics.readings}"
    dead_letters = "arn:aws:kafka:${var.region}:${var.account_id}:topic/${var.prefix}/*/${var.weather_topics.dead_letters}"
    groups       = "arn:aws:kafka:${var.region}:${var.account_id}:group/${var.prefix}/*/weather-consumer.*"
  }
  task_documents = {
    strava-extract   = data.aws_iam_policy_document.strava_extract.json
    strava-load      = data.aws_iam_policy_document.strava_load.json
    weather-producer = data.aws_iam_policy_document.weather_producer.json
    dbt              = data.aws_iam_policy_document.dbt.json
  }
}

resource "aws_iam_role" "task" {
  for_each             = var.tasks
  name                 = "${var.prefix}-${each.key}"
  description          = "The program ${each.key} on ECS"
  assume_role_policy   = data.aws_iam_policy_document.ecs_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "task" {
  for_each = var.tasks
  name     = each.key
  role     = aws_iam_role.task[each.key].name
  policy   = local.task_documents[each.key]
}

data "aws_iam_policy_document" "strava_extract" {
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.landing]
    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["", "state/strava/*"]
    }
  }
  statement {
    sid       = "Land"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.landing}/source=strava/*"]
  }
  statement {
    sid       = "KeepLedgerLeaseAndQuota"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.landing}/state/strava/*"]
  }
  # One parameter for the one athlete, or one an athlete below it.
  statement {
    sid       = "ReadAndRenewTheToken"
    actions   = ["ssm:GetParameter", "ssm:PutParameter"]
    resources = [local.token_arn, "${local.token_arn}/*"]
  }
}

data "aws_iam_policy_document" "strava_load" {
  statement {
    sid       = "FindWhatLanded"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.landing]
    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["", "source=*"]
    }
  }
  statement {
    sid       = "ReadWhatLanded"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.landing}/source=*"]
  }
}

data "aws_iam_policy_document" "weather_producer" {
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
    sid       = "KeepTheBackfillsProgress"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.landing}/state/weather/*"]
  }
  statement {
    sid       = "ReadTheLocations"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.landing}/configuration/*"]
  }
  statement {
    sid       = "ReachKafka"
    actions   = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"]
    resources = [local.kafka.cluster]
  }
  statement {
    sid       = "SendReadings"
    actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
    resources = [local.kafka.readings]
  }
}

data "aws_iam_policy_document" "dbt" {
  statement {
    sid       = "SeeThatTheBucketIsThere"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.report]
  }
  statement {
    sid       = "PutThePage"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.report}/*"]
  }
}
