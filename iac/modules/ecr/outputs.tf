output "repository_urls" {
  description = "Image to the address of its repository"
  value       = { for image, repository in aws_ecr_repository.image : image => repository.repository_url }
}
