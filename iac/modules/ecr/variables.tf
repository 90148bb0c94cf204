variable "prefix" {
  description = "First part of every repository's name, <prefix>/<image>"
  type        = string
}

variable "images" {
  description = "Images, one repository each"
  type        = set(string)
}
