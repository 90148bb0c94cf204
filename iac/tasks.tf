# What tasks.json leaves to the environment. Its secrets are named here and valued by a person (scripts/parameters).

locals {
  parameter_path = "/${var.name}/${var.environment}"
  weather_topics = { readings = var.weather_topic, dead_letters = "${var.weather_topic}.dead-letters" }
  kafka = var.enable_kafka ? {
    bootstrap_servers = module.kafka[0].bootstrap_servers
    security_protocol = "sasl_ssl"
    sasl_mechanism    = "AWS_MSK_IAM"
  } : var.kafka

  values = {
    registry                           = "${local.account_id}.dkr.ecr.${var.region}.amazonaws.com/${local.prefix}"
    tag                                = var.image_tag
    landing_url                        = "s3://${local.buckets.landing}"
    report_url                         = "s3://${local.buckets.report}"
    home_timezone                      = var.home_timezone
    strava_api_url                     = var.strava_api_url
    strava_oauth_url                   = var.strava_oauth_url
    strava_token_store                 = "ssm://${local.parameter_path}/strava/token${length(var.athletes) > 0 ? "/{athlete_id}" : ""}"
    kafka_bootstrap_servers            = local.kafka.bootstrap_servers
    kafka_sasl_mechanism               = local.kafka.sasl_mechanism
    kafka_security_protocol            = local.kafka.security_protocol
    open_meteo_url                     = var.open_meteo_urls.forecast
    open_meteo_archive_url             = var.open_meteo_urls.archive
    open_meteo_historical_forecast_url = var.open_meteo_urls.historical_forecast
    weather_locations                  = "s3://${local.buckets.landing}/configuration/weather-locations.csv"
    weather_topic                      = local.weather_topics.readings
  }

  tasks_file = jsondecode(file("${path.module}/tasks.json"))
  # A variable is one placeholder or none (modules/ecs refuses what is left of one); one that fills to nothing is left
  # out, as devstack does: the program has its own default.
  tasks = { for name, task in local.tasks_file.tasks : name => merge(task, {
    image = replace(replace(task.image, "$${registry}", local.values.registry), "$${tag}", local.values.tag)
    environment = {
      for key, value in { for key, value in task.environment : key => try(local.values[regex("^\\$\\{([a-z_]+)\\}$", value)[0]], value) } : key => value if value != ""
    }
  }) }

  task_names   = toset(keys(local.tasks_file.tasks))
  images       = setunion(local.task_names, ["weather-consumer"])
  secret_names = toset(flatten([for task in local.tasks_file.tasks : values(task.secrets)]))
}
