# The entry point: every target installs what it needs by itself, and CI runs the same ones.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo report airflow airflow-run test test-rust test-dbt test-airflow test-flow test-privacy test-kills test-delivery test-cloud cost lint fmt bench bench-weather clean

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what this machine lacks, from package registries
	@scripts/setup

demo: ## from Strava to charts on this machine; ACTIVITIES=file.ndjson or EXPORT=archive [ATHLETE_ID=n] for your own; AIRFLOW=1 by DAGs
	@scripts/setup rust python postgres kafka $(if $(AIRFLOW),airflow)
	@scripts/demo

report: ## only the page, from the warehouse of the same input's last demo; ACTIVITIES or EXPORT as there
	@scripts/setup rust python postgres
	@scripts/demo report

airflow: ## Airflow's page on this machine, the DAGs as they are, devstack behind them
	@scripts/setup rust python postgres airflow
	@scripts/airflow up

airflow-run: ## run one DAG to its end: DAG=strava_daily
	@scripts/setup rust python postgres airflow
	@scripts/airflow run $(DAG)

test: ## everything that CI proves, with the seconds of each suite
	@scripts/setup rust python postgres browser kafka cloud
	@scripts/test rust dbt flow delivery cloud privacy

test-rust: ## unit, stage and service tests of the crates
	@scripts/setup rust python postgres kafka
	@scripts/test rust

test-dbt: ## models, unit tests and the page in a browser
	@scripts/setup
	@scripts/test dbt

test-airflow: ## operators and DAGs by a real Airflow, devstack's ECS and the real binaries
	@scripts/setup rust python postgres airflow airflow-next
	@scripts/test airflow

test-flow: ## the demo as a whole: twice, edited, from archives, rebuilt
	@scripts/setup
	@scripts/test flow

test-privacy: ## no planted token, name or coordinate in any log of the last test run
	@scripts/test privacy

test-kills: ## the long kill series: 100 seeded kill -9 of each program
	@scripts/setup rust python postgres kafka
	@KILLS=100 scripts/test kills

test-cloud: ## Terraform, IAM and the daily workflow, without an account
	@scripts/setup python cloud
	@scripts/test cloud

test-delivery: ## images, compose, Kubernetes, workflows, cost, operations; scripts/delivery-tools for all of it
	@scripts/setup rust python postgres kafka
	@scripts/test delivery

cost: ## the month's bill before there is one; REGION=us-east-1
	@scripts/cost --limit 1.5 $(if $(REGION),--region $(REGION))

lint: ## format, clippy, licences and bans, Python, SQL, shell
	@scripts/setup rust python
	@scripts/lint

fmt: ## format Rust and Python
	@scripts/setup rust python
	@cargo fmt --all && .venv/bin/ruff format . && .venv/bin/ruff check --fix .

bench: ## ours beside the floor, in one run; ends with targets met and missed
	@scripts/setup rust python postgres
	@scripts/bench strava

bench-weather: ## the weather pair beside a bare loop and Kafka Connect, in one run; ends with targets met and missed
	@scripts/setup rust python kafka
	@scripts/bench weather

clean: ## remove what was built and the state of the demos
	@rm -rf target .venv .devstack dbt/target dbt/logs
