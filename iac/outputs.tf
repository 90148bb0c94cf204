output "deploy_role_arn" {
  description = "Role of GitHub's workflows: the repository's variable AWS_DEPLOY_ROLE"
  value       = module.iam.deploy_role_arn
}

output "registry" {
  description = "What stands before an image's name"
  value       = local.values.registry
}

output "repository_urls" {
  description = "Image to the address of its repository"
  value       = module.ecr.repository_urls
}

output "ecs_run" {
  description = "The variables of ecs-run"
  value = {
    ECS_CLUSTER          = module.ecs.cluster_name
    ECS_SUBNETS          = join(",", module.network.task_subnet_ids)
    ECS_SECURITY_GROUPS  = module.network.task_security_group_id
    ECS_ASSIGN_PUBLIC_IP = tostring(module.network.assign_public_ip)
  }
}

output "ecs_run_policy_arns" {
  description = "Policies to attach to whoever calls ecs-run"
  value       = [module.iam.start_tasks_policy_arn, module.iam.follow_tasks_policy_arn]
}

output "buckets" {
  description = "Names of the buckets landing, dags and report"
  value       = module.s3.names
}

output "landing_url" {
  description = "LANDING_URL"
  value       = local.values.landing_url
}

output "weather_locations" {
  description = "Where the CSV of locations is to be put"
  value       = local.values.weather_locations
}

output "workflow_arn" {
  description = "The daily workflow"
  value       = module.schedule.workflow_arn
}

output "nat_address" {
  description = "The one address that a database may let in; none without NAT"
  value       = module.network.nat_address
}

output "kafka" {
  description = "MSK's ARN and addresses; none without it"
  value       = one([for cluster in module.kafka : { cluster_arn = cluster.cluster_arn, bootstrap_servers = cluster.bootstrap_servers }])
}

output "airflow_url" {
  description = "Airflow's page; none without MWAA"
  value       = one(module.airflow[*].webserver_url)
}

output "eks_cluster_name" {
  description = "Name for `aws eks update-kubeconfig --name`; none without EKS"
  value       = one(module.eks[*].cluster_name)
}
