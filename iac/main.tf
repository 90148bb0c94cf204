data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394:two are taken, in the alphabet's order; a new zone comes behind them
  state = "available"
}

locals {
  prefix     = "${var.name}-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  zones      = slice(data.aws_availability_zones.available.names, 0, 2)
  # The account makes the names the world's only ones.
  buckets = { for purpose in ["landing", "dags", "report"] : purpose => "${local.prefix}-${purpose}-${local.account_id}" }
}

module "network" {
  source             = "./modules/network"
  prefix             = local.prefix
  region             = var.region
  cidr               = var.network_cidr
  availability_zones = local.zones
  private_access     = var.private_access
  database_ports     = var.database_ports
  endpoint_services = [
    "airflow.api", "airflow.env", "airflow.ops", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "monitoring", "sns", "sqs", "ssm",
  ]
}

module "ecr" {
  source = "./modules/ecr"
  prefix = local.prefix
  images = local.images
}

module "s3" {
  source          = "./modules/s3"
  buckets         = local.buckets
  noncurrent_days = var.noncurrent_days
}

module "logs" {
  source         = "./modules/logs"
  prefix         = local.prefix
  tasks          = local.task_names
  retention_days = var.log_retention_days
}

module "iam" {
  source               = "./modules/iam"
  prefix               = local.prefix
  account_id           = local.account_id
  region               = var.region
  permissions_boundary = var.permissions_boundary
  buckets              = local.buckets
  parameter_path       = local.parameter_path
  secret_names         = local.secret_names
  tasks                = local.task_names
  images               = local.images
  weather_topics       = local.weather_topics
  has_airflow          = var.enable_airflow
  has_eks              = var.enable_kubernetes
  github = {
    owner           = var.github_owner
    owner_id        = var.github_owner_id
    repository      = var.github_repository
    repository_id   = var.github_repository_id
    subjects        = var.github_subjects
    create_provider = var.github_create_provider
  }
}

module "ecs" {
  source               = "./modules/ecs"
  prefix               = local.prefix
  region               = var.region
  tasks                = local.tasks
  log_groups           = module.logs.names
  execution_role_arn   = module.iam.execution_role_arn
  task_role_arns       = module.iam.task_role_arns
  parameter_arn_prefix = "arn:aws:ssm:${var.region}:${local.account_id}:parameter${local.parameter_path}/"
  keep_images          = var.keep_images
}

module "schedule" {
  source                 = "./modules/schedule"
  prefix                 = local.prefix
  account_id             = local.account_id
  region                 = var.region
  permissions_boundary   = var.permissions_boundary
  schedule_expression    = var.schedule_expression
  timezone               = var.schedule_timezone
  is_enabled             = coalesce(var.enable_schedule, !var.enable_airflow)
  athletes               = var.athletes
  cluster_name           = module.ecs.cluster_name
  families               = module.ecs.families
  subnet_ids             = module.network.task_subnet_ids
  security_group_id      = module.network.task_security_group_id
  assign_public_ip       = module.network.assign_public_ip
  start_tasks_policy_arn = module.iam.start_tasks_policy_arn
  alert_email            = var.alert_email
}

module "kafka" {
  source           = "./modules/kafka"
  count            = var.enable_kafka ? 1 : 0
  prefix           = local.prefix
  type             = var.msk.type
  kafka_version    = var.msk.version
  instance_type    = var.msk.instance_type
  volume_gigabytes = var.msk.volume_gigabytes
  vpc_id           = module.network.vpc_id
  cidr             = var.network_cidr
  subnet_ids       = module.network.private_subnet_ids
  retention_days   = var.log_retention_days
}

module "airflow" {
  source               = "./modules/airflow"
  count                = var.enable_airflow ? 1 : 0
  prefix               = local.prefix
  account_id           = local.account_id
  region               = var.region
  permissions_boundary = var.permissions_boundary
  airflow_version      = var.airflow.version
  environment_class    = var.airflow.environment_class
  has_plugins          = var.airflow.has_plugins
  bucket               = module.s3.names["dags"]
  vpc_id               = module.network.vpc_id
  private_subnet_ids   = module.network.private_subnet_ids
  task_policy_arns     = { start = module.iam.start_tasks_policy_arn, follow = module.iam.follow_tasks_policy_arn }
  alerts_topic_arn     = module.schedule.alerts_topic_arn
  retention_days       = var.log_retention_days
  options = {
    "data_voyager.cluster"          = module.ecs.cluster_name
    "data_voyager.subnets"          = join(",", module.network.task_subnet_ids)
    "data_voyager.security_groups"  = module.network.task_security_group_id
    "data_voyager.assign_public_ip" = module.network.assign_public_ip ? "True" : "False"
    "data_voyager.log_prefix"       = local.prefix
    "data_voyager.athletes"         = join(",", var.athletes)
    "data_voyager.alerts_topic"     = module.schedule.alerts_topic_arn
    "operators.default_deferrable"  = "True" # a micro environment has three places for tasks
  }
}

module "eks" {
  source               = "./modules/eks"
  count                = var.enable_kubernetes ? 1 : 0
  prefix               = local.prefix
  account_id           = local.account_id
  permissions_boundary = var.permissions_boundary
  kubernetes_version   = var.kubernetes.version
  subnet_ids           = module.network.private_subnet_ids
  instance_type        = var.kubernetes.instance_type
  node_count           = var.kubernetes.node_count
  administrators       = var.kubernetes.administrators
  public_access_cidrs  = var.kubernetes.public_access_cidrs
  namespace            = var.kubernetes.namespace
  pod_role_arns        = module.iam.pod_role_arns
  pod_namespaces       = { external-secrets = "external-secrets" }
  retention_days       = var.log_retention_days
}
