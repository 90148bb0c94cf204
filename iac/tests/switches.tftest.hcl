# Each dear part on and off, and what must not be combined. Only plans: nothing is asked of AWS.

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_availability_zones.available
  values = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
}

variables {
  environment          = "test"
  region               = "eu-central-1"
  keep_images          = false
  alert_email          = "somebody@example.org"
  github_owner         = "owner"
  github_owner_id      = "1"
  github_repository    = "repository"
  github_repository_id = "2"
}

run "nothing_dear_is_there_by_default" {
  command = plan
  assert {
    condition     = length(module.airflow) + length(module.kafka) + length(module.eks) == 0
    error_message = "MWAA, MSK and EKS are off until a person wants them"
  }
  assert {
    condition     = output.airflow_url == null && output.kafka == null && output.eks_cluster_name == null && output.nat_address == null
    error_message = "what is not there has no address"
  }
  assert {
    condition     = output.ecs_run.ECS_ASSIGN_PUBLIC_IP == "true"
    error_message = "without NAT a task needs an address of its own"
  }
}

run "nat_moves_the_tasks_into_private_subnets" {
  command = plan
  variables {
    private_access = "nat"
  }
  assert {
    condition     = output.ecs_run.ECS_ASSIGN_PUBLIC_IP == "false"
    error_message = "behind the NAT a task has no address of its own"
  }
}

run "endpoints_leave_the_tasks_in_public_subnets" {
  command = plan
  variables {
    private_access = "endpoints"
  }
  assert {
    condition     = output.ecs_run.ECS_ASSIGN_PUBLIC_IP == "true" && output.nat_address == null
    error_message = "endpoints reach AWS and not Strava"
  }
}

run "airflow_comes_with_its_switch" {
  command = plan
  variables {
    private_access = "nat"
    enable_airflow = true
    airflow        = { has_plugins = false }
  }
  assert {
    condition     = length(module.airflow) == 1 && length(module.kafka) + length(module.eks) == 0
    error_message = "only Airflow was switched on"
  }
}

run "airflow_without_private_access_is_refused" {
  command = plan
  variables {
    enable_airflow = true
  }
  expect_failures = [var.enable_airflow]
}

run "kafka_comes_with_its_switch_as_two_brokers" {
  command = plan
  variables {
    enable_kafka = true
  }
  assert {
    condition     = length(module.kafka) == 1 && length(module.airflow) + length(module.eks) == 0
    error_message = "only Kafka was switched on"
  }
}

run "kafka_may_be_serverless" {
  command = plan
  variables {
    enable_kafka = true
    msk          = { type = "serverless" }
  }
  assert {
    condition     = length(module.kafka) == 1
    error_message = "Kafka was switched on"
  }
}

run "kafka_of_another_kind_is_refused" {
  command = plan
  variables {
    msk = { type = "express" }
  }
  expect_failures = [var.msk]
}

run "kubernetes_comes_with_its_switch" {
  command = plan
  variables {
    private_access    = "nat"
    enable_kubernetes = true
  }
  assert {
    condition     = length(module.eks) == 1 && length(module.airflow) + length(module.kafka) == 0
    error_message = "only Kubernetes was switched on"
  }
}

run "kubernetes_without_nat_is_refused" {
  command = plan
  variables {
    private_access    = "endpoints"
    enable_kubernetes = true
  }
  expect_failures = [var.enable_kubernetes]
}

run "kubernetes_open_to_the_world_is_refused" {
  command = plan
  variables {
    kubernetes = { public_access_cidrs = ["0.0.0.0/0"] }
  }
  expect_failures = [var.kubernetes]
}

run "a_subject_with_a_wildcard_is_refused" {
  command = plan
  variables {
    github_subjects = ["ref:refs/heads/*"]
  }
  expect_failures = [var.github_subjects]
}

run "everything_together" {
  command = plan
  variables {
    private_access    = "nat"
    enable_airflow    = true
    airflow           = { has_plugins = false }
    enable_kafka      = true
    enable_kubernetes = true
  }
  assert {
    condition     = length(module.airflow) == 1 && length(module.kafka) == 1 && length(module.eks) == 1
    error_message = "all three were switched on"
  }
}
