output "names" {
  description = "Purpose to the name of the bucket that now exists"
  value       = { for purpose, bucket in aws_s3_bucket.main : purpose => bucket.bucket }
}
