# The IAM documents as they are rendered. What each role may and may not do is judged by tests/cloud.

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  prefix               = "voyager-test"
  account_id           = "123456789012"
  region               = "eu-central-1"
  permissions_boundary = null
  buckets              = { landing = "landing", dags = "dags", report = "report" }
  secret_names         = ["database/loader-url", "strava/client-id"]
  parameter_path       = "/voyager/test"
  tasks                = ["strava-extract", "strava-load", "weather-producer", "dbt"]
  images               = ["strava-extract"]
  weather_topics       = { readings = "weather", dead_letters = "weather.dead-letters" }
  has_airflow          = false
  has_eks              = false
  github = {
    owner           = "owner"
    owner_id        = "1"
    repository      = "repository"
    repository_id   = "2"
    subjects        = ["environment:production"]
    create_provider = true
  }
}

run "github_is_believed_for_exact_subjects_in_the_immutable_form" {
  command = plan
  module {
    source = "./modules/iam"
  }
  assert {
    condition = jsondecode(output.documents.github_trust).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = "repo:owner@1/repository@2:environment:production"
      }
    }
    error_message = "audience and subject, both exact"
  }
}

run "the_agent_reads_the_named_parameters_and_no_other" {
  command = plan
  module {
    source = "./modules/iam"
  }
  assert {
    condition = toset(flatten([for it in jsondecode(output.documents.execution).Statement : it.Resource if it.Sid == "ReadNamedSecrets"])) == toset([
      "arn:aws:ssm:eu-central-1:123456789012:parameter/voyager/test/database/loader-url",
      "arn:aws:ssm:eu-central-1:123456789012:parameter/voyager/test/strava/client-id",
    ])
    error_message = "the execution role reads what tasks.json names"
  }
}

run "roles_are_passed_to_ecs_only_and_only_ours" {
  command = plan
  module {
    source = "./modules/iam"
  }
  assert {
    condition     = one([for it in jsondecode(output.documents.start_tasks).Statement : it.Condition.StringEquals["iam:PassedToService"] if it.Sid == "GiveThemTheirRoles"]) == "ecs-tasks.amazonaws.com"
    error_message = "a passed role goes to ECS tasks"
  }
  assert {
    condition     = alltrue([for arn in flatten([for it in jsondecode(output.documents.start_tasks).Statement : it.Resource if it.Sid == "GiveThemTheirRoles"]) : startswith(arn, "arn:aws:iam::123456789012:role/voyager-test-") && !strcontains(arn, "*")])
    error_message = "each passed role is named"
  }
}

run "ecs_alone_takes_the_task_roles_and_for_this_account" {
  command = plan
  module {
    source = "./modules/iam"
  }
  assert {
    condition = jsondecode(output.documents.ecs_trust).Statement[0].Condition == {
      StringEquals = { "aws:SourceAccount" = "123456789012" }
      ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:eu-central-1:123456789012:*" }
    }
    error_message = "another account's ECS must not use our roles"
  }
}

run "pods_have_roles_only_with_kubernetes" {
  command = plan
  module {
    source = "./modules/iam"
  }
  assert {
    condition     = length(aws_iam_role.pod) == 0
    error_message = "no EKS, no pod roles"
  }
}

run "pods_get_theirs" {
  command = plan
  module {
    source = "./modules/iam"
  }
  variables {
    has_eks = true
  }
  assert {
    condition     = toset(keys(aws_iam_role.pod)) == toset(["weather-producer", "weather-consumer", "external-secrets"])
    error_message = "a role a service account"
  }
}
