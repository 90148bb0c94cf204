# What AWS's guide for MWAA's execution role asks for, and the right to run our tasks and to tell of failures.

resource "aws_iam_role" "airflow" {
  name                 = "${var.prefix}-airflow"
  description          = "MWAA: reads its bucket, runs our tasks, tells of failures"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "airflow" {
  # checkov:skip=CKV_AWS_355:the four actions on * take no resource, see their statement
  # checkov:skip=CKV_AWS_290:cloudwatch:PutMetricData takes no resource; it is bound to MWAA's namespace
  name   = "airflow"
  role   = aws_iam_role.airflow.name
  policy = data.aws_iam_policy_document.airflow.json
}

resource "aws_iam_role_policy_attachment" "tasks" {
  for_each   = var.task_policy_arns
  role       = aws_iam_role.airflow.name
  policy_arn = each.value
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

data "aws_iam_policy_document" "airflow" {
  statement {
    sid       = "TellItsHealth"
    actions   = ["airflow:PublishMetrics"]
    resources = ["arn:aws:airflow:${var.region}:${var.account_id}:environment/${var.prefix}"]
  }
  statement {
    sid       = "NeverListTheAccountsBuckets"
    effect    = "Deny"
    actions   = ["s3:ListAllMyBuckets"]
    resources = ["*"]
  }
  statement {
    sid = "ReadItsBucket"
    actions = [
      "s3:GetBucketLocation", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration",
      "s3:ListBucket", "s3:ListBucketVersions",
    ]
    resources = ["arn:aws:s3:::${var.bucket}"]
  }
  statement {
    sid       = "ReadItsFiles"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["arn:aws:s3:::${var.bucket}/*"]
  }
  statement {
    sid = "WriteItsLogs"
    actions = [
      "logs:CreateLogGroup", "logs:CreateLogStream", "logs:GetLogEvents", "logs:GetLogGroupFields", "logs:GetLogRecord",
      "logs:GetQueryResults", "logs:PutLogEvents",
    ]
    resources = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:airflow-${var.prefix}-*"]
  }
  statement {
    sid       = "AskWhatTakesNoResource"
    actions   = ["logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock"]
    resources = ["*"]
  }
  statement {
    sid       = "TellItsMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # it takes no resource
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["AmazonMWAA"]
    }
  }
  # Celery's queue and its key lie in an account of AWS.
  statement {
    sid = "UseMwaasQueue"
    actions = [
      "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    resources = ["arn:aws:sqs:${var.region}:*:airflow-celery-*"]
  }
  statement {
    sid           = "UseItsKey"
    actions       = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"]
    not_resources = ["arn:aws:kms:*:${var.account_id}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["sqs.${var.region}.amazonaws.com"]
    }
  }
  statement {
    sid       = "TellOfFailures"
    actions   = ["sns:Publish"]
    resources = [var.alerts_topic_arn]
  }
}
