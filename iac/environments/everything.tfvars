# Airflow, Kafka and Kubernetes too: about 420 USD a month with two small brokers.
# The very first apply: -var keep_images=false -var 'airflow={has_plugins=false}'
environment       = "everything"
private_access    = "nat"
enable_airflow    = true
enable_kafka      = true
enable_kubernetes = true
