output "cluster_arn" {
  description = "The cluster, for scripts/topics"
  value       = local.cluster_arn
}

output "bootstrap_servers" {
  description = "KAFKA_BOOTSTRAP_SERVERS, for clients that sign with IAM"
  value       = data.aws_msk_bootstrap_brokers.main.bootstrap_brokers_sasl_iam
}
