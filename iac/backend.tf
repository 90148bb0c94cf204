# Scalr keeps the state and makes the runs; backends/scalr.tfbackend.example fills this in. Those without Scalr copy
# backends/local_override.tf.example to backend_override.tf, which replaces this block.
terraform {
  backend "remote" {}
}
