output "cluster_name" {
  description = "Name for `aws eks update-kubeconfig --name`"
  value       = aws_eks_cluster.main.name
}
