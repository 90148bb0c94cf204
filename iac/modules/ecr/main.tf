# A pushed tag never changes: what was tested is what runs.
resource "aws_ecr_repository" "image" {
  # checkov:skip=CKV_AWS_136:encrypted with AES-256 by ECR; a key of one's own costs 1 USD a month and the images hold no secret
  for_each             = var.images
  name                 = "${var.prefix}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  for_each   = var.images
  repository = aws_ecr_repository.image[each.key].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Layers of builds that no tag names"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        # A release is an index and its signature: ten of both are twenty, and the older half is a way back.
        description = "The newest twenty stay"
        selection   = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
        action      = { type = "expire" }
      },
    ]
  })
}
