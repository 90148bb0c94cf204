# Amazon States Language. Exit 1 is tried again (a retry may help), exit 2 and everything else is not: wrong
# configuration does not mend itself. Retry clauses know no exit codes, hence a judge behind every task.

locals {
  attempts     = 3
  wait_seconds = 120

  # Each step: its task, its arguments (none: the definition's own), how long it may take.
  steps = {
    extract = { task = "strava-extract", command = null, seconds = 6 * 3600 } # a long history waits for many quarter hours
    load    = { task = "strava-load", command = null, seconds = 3600 }
    build   = { task = "dbt", command = ["build"], seconds = 3600 }
    report  = { task = "dbt", command = ["report"], seconds = 3600 }
  }
  order = ["load", "build", "report"] # behind the extracts

  run = { for step, it in local.steps : step => {
    Type           = "Task"
    Resource       = "arn:aws:states:::ecs:runTask.sync"
    TimeoutSeconds = it.seconds
    Parameters = {
      Cluster        = var.cluster_name
      TaskDefinition = var.families[it.task]
      LaunchType     = "FARGATE"
      PropagateTags  = "TASK_DEFINITION"
      NetworkConfiguration = { AwsvpcConfiguration = {
        Subnets        = var.subnet_ids
        SecurityGroups = [var.security_group_id]
        AssignPublicIp = var.assign_public_ip ? "ENABLED" : "DISABLED"
      } }
      Overrides = { ContainerOverrides = [merge(
        {
          Name = it.task
          Environment = concat(
            [{ Name = "RUN_ID", "Value.$" = "States.Format('workflow__{}', $$.Execution.StartTime)" }],
            step == "extract" ? [{ Name = "STRAVA_ATHLETE_ID", "Value.$" = "$.athlete" }] : [],
          )
        },
        it.command == null ? {} : { Command = it.command },
      )] }
    }
    ResultPath = null
    # ECS itself stumbled before any program ran.
    Retry = [{ ErrorEquals = ["ECS.ServerException", "ECS.ThrottlingException"], IntervalSeconds = 10, MaxAttempts = 3, BackoffRate = 2 }]
    Catch = [{ ErrorEquals = ["States.ALL"], ResultPath = "$.failure", Next = "${step}_judge" }]
    Next  = step == "extract" ? "extracted" : step == "report" ? "verdict" : "${local.order[index(local.order, step) + 1]}_begin"
  } }

  again = { for step, it in local.steps : step => {
    "${step}_judge" = {
      Type = "Choice"
      Choices = [{
        And = [
          { Variable = "$.attempts", NumericLessThan = local.attempts },
          { Or = [
            { Variable = "$.failure.Cause", StringMatches = "*\"ExitCode\":1,*" },
            { Variable = "$.failure.Cause", StringMatches = "*\"ExitCode\":1}*" },
          ] },
        ]
        Next = "${step}_wait"
      }]
      Default = "${step}_failed"
    }
    "${step}_wait" = { Type = "Wait", Seconds = local.wait_seconds, Next = "${step}_count" }
    "${step}_count" = {
      Type       = "Pass"
      Parameters = { "attempt.$" = "States.MathAdd($.attempts, 1)" }
      ResultPath = "$.counted"
      Next       = "${step}_counted"
    }
    "${step}_counted" = { Type = "Pass", InputPath = "$.counted.attempt", ResultPath = "$.attempts", Next = step }
  } }

  after = merge([for step in local.order : merge(local.again[step], {
    (step)           = local.run[step]
    "${step}_begin"  = { Type = "Pass", Result = 1, ResultPath = "$.attempts", Next = step }
    "${step}_failed" = { Type = "Fail", Error = "${title(step)}Failed", CausePath = "$.failure.Cause" }
  })]...)

  athletes = [for id in length(var.athletes) > 0 ? var.athletes : [""] : { athlete = id, attempts = 1 }]

  definition = jsonencode({
    Comment        = "Strava to the page: extract for each athlete, load, dbt build, dbt report"
    StartAt        = "athletes"
    TimeoutSeconds = 10 * 3600
    States = merge(local.after, {
      athletes = { Type = "Pass", Result = local.athletes, ResultPath = "$.athletes", Next = "extracts" }
      # One athlete's failure keeps nobody else's activities out of the warehouse; the verdict makes the run red.
      extracts = {
        Type           = "Map"
        ItemsPath      = "$.athletes"
        MaxConcurrency = 2 # all share the application's quota
        ItemProcessor = {
          ProcessorConfig = { Mode = "INLINE" }
          StartAt         = "extract"
          States = merge(local.again.extract, {
            extract        = local.run.extract
            extracted      = { Type = "Pass", Result = { failed = false }, End = true }
            extract_failed = { Type = "Pass", Parameters = { failed = true, "cause.$" = "$.failure.Cause" }, End = true }
          })
        }
        ResultPath = "$.extracts"
        Next       = "load_begin"
      }
      verdict = {
        Type       = "Pass"
        Parameters = { "any.$" = "States.ArrayContains($.extracts[*].failed, true)" }
        ResultPath = "$.failed"
        Next       = "end"
      }
      end = {
        Type    = "Choice"
        Choices = [{ Variable = "$.failed.any", BooleanEquals = true, Next = "an_extract_failed" }]
        Default = "done"
      }
      an_extract_failed = { Type = "Fail", Error = "ExtractFailed", Cause = "an athlete's extract failed, what the others have is loaded; the log /${var.prefix}/strava-extract says why" }
      done              = { Type = "Succeed" }
    })
  })
}
