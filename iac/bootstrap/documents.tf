locals {
  here = "${var.region}:${local.account_id}"
  ours = {
    airflow      = ["arn:aws:airflow:${local.here}:environment/${local.prefix}"]
    cloudwatch   = ["arn:aws:cloudwatch:${local.here}:alarm:${local.prefix}-*"]
    ecr          = ["arn:aws:ecr:${local.here}:repository/${local.prefix}/*"]
    ecs          = ["arn:aws:ecs:${local.here}:cluster/${local.prefix}", "arn:aws:ecs:${local.here}:task-definition/${local.prefix}-*"]
    eks          = [for kind in ["cluster", "nodegroup", "addon", "access-entry", "podidentityassociation"] : "arn:aws:eks:${local.here}:${kind}/${local.prefix}${kind == "cluster" ? "" : "/*"}"]
    events       = ["arn:aws:events:${local.here}:rule/${local.prefix}-*"]
    kafka        = ["arn:aws:kafka:${local.here}:cluster/${local.prefix}/*", "arn:aws:kafka:${local.here}:configuration/${local.prefix}/*"]
    logs         = ["arn:aws:logs:${local.here}:log-group:/${local.prefix}/*", "arn:aws:logs:${local.here}:log-group:airflow-${local.prefix}-*", "arn:aws:logs:${local.here}:log-group:/aws/eks/${local.prefix}/*"]
    scheduler    = ["arn:aws:scheduler:${local.here}:schedule/default/${local.prefix}-*"]
    sns          = ["arn:aws:sns:${local.here}:${local.prefix}-*"]
    states       = ["arn:aws:states:${local.here}:stateMachine:${local.prefix}-*"]
    our_roles    = "arn:aws:iam::${local.account_id}:role/${local.prefix}-*"
    our_policies = "arn:aws:iam::${local.account_id}:policy/${local.prefix}-*"
  }
  boundary_arn = "arn:aws:iam::${local.account_id}:policy/bounds-${local.prefix}"
  services     = ["airflow", "cloudwatch", "ecr", "ecs", "eks", "events", "kafka", "logs", "scheduler", "sns", "states"]
}

# Describes what Terraform manages. No object, no parameter, no log line: a pull request must not read them.
data "aws_iam_policy_document" "plan" {
  # checkov:skip=CKV_AWS_356:describing and listing takes no resource
  statement {
    sid = "DescribeWhatTakesNoName"
    actions = [
      "ec2:Describe*", "ecr:DescribeRepositories", "ecs:DescribeTaskDefinition", "kafka:ListClustersV2", "kms:ListAliases",
      "logs:DescribeLogGroups", "sts:GetCallerIdentity",
    ]
    resources = ["*"]
  }
  dynamic "statement" {
    for_each = toset(local.services)
    content {
      sid = "Describe${title(statement.key)}"
      actions = {
        airflow    = ["airflow:GetEnvironment", "airflow:ListTagsForResource"]
        cloudwatch = ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"]
        ecr        = ["ecr:GetLifecyclePolicy", "ecr:ListTagsForResource"]
        ecs        = ["ecs:DescribeClusters", "ecs:ListTagsForResource"]
        eks        = ["eks:Describe*", "eks:List*"]
        events     = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
        kafka      = ["kafka:Describe*", "kafka:GetBootstrapBrokers", "kafka:ListTagsForResource"]
        logs       = ["logs:ListTagsForResource"]
        scheduler  = ["scheduler:GetSchedule"]
        sns        = ["sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListTagsForResource"]
        states     = ["states:DescribeStateMachine", "states:ListStateMachineVersions", "states:ListTagsForResource"]
      }[statement.key]
      resources = local.ours[statement.key]
    }
  }
  statement {
    sid       = "DescribeOurBuckets"
    actions   = ["s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:ListTagsForResource"]
    resources = ["arn:aws:s3:::${local.prefix}-*"]
  }
  statement {
    sid       = "FindDagPackages"
    actions   = ["s3:GetObject", "s3:GetObjectTagging"]
    resources = ["arn:aws:s3:::${local.prefix}-dags-${local.account_id}/plugins.zip", "arn:aws:s3:::${local.prefix}-dags-${local.account_id}/requirements.txt"]
  }
  statement {
    sid     = "DescribeOurRoles"
    actions = ["iam:GetOpenIDConnectProvider", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListPolicyVersions", "iam:ListRolePolicies"]
    resources = [
      local.ours.our_roles, local.ours.our_policies, "arn:aws:iam::${local.account_id}:oidc-provider/token.actions.githubusercontent.com",
    ]
  }
  statement {
    sid       = "DescribeOurKey"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = ["arn:aws:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/application"
      values   = [var.name]
    }
  }
}

# Changes what bears our name, and the network of the region; makes roles only under the boundary.
data "aws_iam_policy_document" "apply" {
  statement {
    sid       = "ChangeWhatBearsOurName"
    actions   = [for service in local.services : "${service}:*"]
    resources = flatten([for service in local.services : local.ours[service]])
  }
  # Buckets, and not the objects in them: those ARNs have a slash.
  statement {
    sid       = "ChangeOurBuckets"
    actions   = ["s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:Get*Configuration", "s3:GetBucket*", "s3:ListBucket", "s3:ListTagsForResource", "s3:Put*Configuration", "s3:PutBucket*", "s3:TagResource"]
    resources = ["arn:aws:s3:::${local.prefix}-*"]
  }
  statement {
    sid       = "FindDagPackages"
    actions   = ["s3:GetObject", "s3:GetObjectTagging"]
    resources = ["arn:aws:s3:::${local.prefix}-dags-${local.account_id}/plugins.zip", "arn:aws:s3:::${local.prefix}-dags-${local.account_id}/requirements.txt"]
  }
  statement {
    sid       = "ChangeTheNetwork"
    actions   = ["ec2:*Address*", "ec2:*InternetGateway*", "ec2:*NatGateway*", "ec2:*Route*", "ec2:*SecurityGroup*", "ec2:*Subnet*", "ec2:*Tags", "ec2:*Vpc*", "ec2:Describe*"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }
  statement {
    sid       = "UseWhatTakesNoName"
    actions   = ["ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "kafka:CreateConfiguration", "kafka:ListClustersV2", "kms:CreateKey", "kms:ListAliases", "logs:DescribeLogGroups", "states:ValidateStateMachineDefinition", "sts:GetCallerIdentity"]
    resources = ["*"]
  }
  statement {
    sid       = "ChangeOurKey"
    actions   = ["kms:CreateGrant", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource"]
    resources = ["arn:aws:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/application"
      values   = [var.name]
    }
  }
  statement {
    sid       = "MakeAndChangeBoundedRoles"
    actions   = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = [local.ours.our_roles]
    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }
  statement {
    sid       = "CareForOurRoles"
    actions   = ["iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:List*Role*", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole*"]
    resources = [local.ours.our_roles]
  }
  statement {
    sid       = "CareForOurPolicies"
    actions   = ["iam:CreatePolicy*", "iam:DeletePolicy*", "iam:GetPolicy*", "iam:ListPolicyVersions", "iam:SetDefaultPolicyVersion", "iam:TagPolicy", "iam:UntagPolicy"]
    resources = [local.ours.our_policies]
  }
  statement {
    sid       = "CareForGithubsProvider"
    actions   = ["iam:*OpenIDConnectProvider*"]
    resources = ["arn:aws:iam::${local.account_id}:oidc-provider/token.actions.githubusercontent.com"]
  }
  statement {
    sid       = "GiveServicesOurRoles"
    actions   = ["iam:PassRole"]
    resources = [local.ours.our_roles]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values = [
        "airflow.amazonaws.com", "airflow-env.amazonaws.com", "ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "eks.amazonaws.com",
        "pods.eks.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com",
      ]
    }
  }
  # AWS makes these roles itself when a service is used for the first time.
  statement {
    sid       = "LetServicesMakeTheirOwnRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:aws:iam::${local.account_id}:role/aws-service-role/*"]
    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values = [
        "airflow.amazonaws.com", "ecs.amazonaws.com", "eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "kafka.amazonaws.com",
      ]
    }
  }
}

# The most that any role of the platform can ever do, whatever its own policies say.
data "aws_iam_policy_document" "boundary" {
  # checkov:skip=CKV_AWS_107:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_108:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_109:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_111:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_356:a boundary gives nothing, it bounds
  statement {
    sid = "OurServices"
    actions = [
      "airflow:*", "autoscaling:Describe*", "cloudwatch:PutMetricData", "ec2:*", "ecr:*", "ecs:*", "eks:*", "eks-auth:AssumeRoleForPodIdentity",
      "elasticloadbalancing:*", "events:*", "kafka-cluster:*", "kms:*", "logs:*", "s3:*", "sns:Publish", "sqs:*", "ssm:GetParameter*",
      "ssm:PutParameter", "states:StartExecution",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "OurRoles"
    actions   = ["iam:PassRole"]
    resources = [local.ours.our_roles]
  }
  statement {
    sid       = "NotTheAccountsOwn"
    effect    = "Deny"
    actions   = ["ec2:*Instance*ConnectEndpoint*", "kms:ScheduleKeyDeletion", "s3:PutAccountPublicAccessBlock"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "boundary" {
  # checkov:skip=CKV_AWS_286:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_287:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_288:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_289:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_290:a boundary gives nothing, it bounds
  # checkov:skip=CKV_AWS_355:a boundary gives nothing, it bounds
  name        = "bounds-${local.prefix}"
  description = "The most that a role of ${local.prefix} can do"
  policy      = data.aws_iam_policy_document.boundary.json
}
