# The weather pair's home: about 105 USD a month, nodes included. Without it the pair runs on any Kubernetes.

resource "aws_eks_cluster" "main" {
  # checkov:skip=CKV_AWS_339:the version is an object's attribute, which checkov does not resolve; the default is 1.35
  # checkov:skip=CKV_AWS_38:the addresses are a variable, empty unless a person names their own
  # checkov:skip=CKV_AWS_39:public only where a person names addresses; access still needs IAM and an access entry
  name                          = var.prefix
  version                       = var.kubernetes_version
  role_arn                      = aws_iam_role.cluster.arn
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }
  upgrade_policy {
    support_type = "STANDARD"
  }
  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.public_access_cidrs) > 0
    public_access_cidrs     = length(var.public_access_cidrs) > 0 ? var.public_access_cidrs : null
  }
  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.secrets.arn
    }
  }
  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.cluster]
}

resource "aws_kms_key" "secrets" {
  # checkov:skip=CKV2_AWS_64:the default policy: the account's IAM decides
  description             = "Secrets of the Kubernetes cluster ${var.prefix}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_cloudwatch_log_group" "cluster" {
  # checkov:skip=CKV_AWS_158:encrypted by CloudWatch; a key of one's own costs 1 USD a month
  # checkov:skip=CKV_AWS_338:the variable says how long
  name              = "/aws/eks/${var.prefix}/cluster"
  retention_in_days = var.retention_days
}

resource "aws_eks_node_group" "main" {
  cluster_name    = aws_eks_cluster.main.name
  node_group_name = "main"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = var.subnet_ids
  ami_type        = "AL2023_ARM_64_STANDARD"
  instance_types  = [var.instance_type]
  scaling_config {
    desired_size = var.node_count
    min_size     = var.node_count
    max_size     = var.node_count + 1 # an update puts a new node beside the old one
  }
  update_config {
    max_unavailable = 1
  }
  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network]
}

# Nodes are ready only once they have a network, CoreDNS only once there are nodes.
resource "aws_eks_addon" "network" {
  for_each             = toset(["eks-pod-identity-agent", "kube-proxy", "vpc-cni"])
  cluster_name         = aws_eks_cluster.main.name
  addon_name           = each.key
  configuration_values = each.key == "vpc-cni" ? jsonencode({ enableNetworkPolicy = "true" }) : null
}

resource "aws_eks_addon" "dns" {
  cluster_name = aws_eks_cluster.main.name
  addon_name   = "coredns"
  depends_on   = [aws_eks_node_group.main]
}

resource "aws_eks_access_entry" "administrator" {
  for_each      = toset(var.administrators)
  cluster_name  = aws_eks_cluster.main.name
  principal_arn = each.key
}

resource "aws_eks_access_policy_association" "administrator" {
  for_each      = toset(var.administrators)
  cluster_name  = aws_eks_cluster.main.name
  principal_arn = aws_eks_access_entry.administrator[each.key].principal_arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
  access_scope {
    type = "cluster"
  }
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each        = var.pod_role_arns
  cluster_name    = aws_eks_cluster.main.name
  namespace       = lookup(var.pod_namespaces, each.key, var.namespace)
  service_account = each.key
  role_arn        = each.value
}
