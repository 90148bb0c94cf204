# The cheap default: the daily workflow in public subnets, about one USD a month.
# The very first apply: -var keep_images=false
environment = "production"
