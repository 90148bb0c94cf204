"""The operators of data-voyager: each runs one task of `iac/tasks.json` on ECS."""
