# The names that users of the original Hodei Jobs know; make is the one door behind them.

# List the recipes
default:
    @just --list

# Install, then run one job on an embedded control plane
run:
    @make run

# Start the embedded control plane to stay
dev:
    @make dev

# Install into .venv
build:
    @make install

# Every level of tests
test:
    @make test

# Static checks
lint:
    @make lint

# The same, by cargo's name
check:
    @make lint

# Format
fmt:
    @make fmt

# Generate the code of the wire contract
proto:
    @make proto

# Measure against the targets
bench:
    @make bench

# Measure containers against `docker run` and the bare Engine API
bench-docker:
    @make bench-docker

# Remove what was installed and built
clean:
    @make clean

# A job that says hello, on the server that `just dev` has started
job-hello:
    @.venv/bin/hodei run --name hello -- echo "Hello from Hodei!"

# The same in a container: `just job-docker-hello debian:12`
job-docker-hello image="":
    @make job-docker-hello IMAGE={{image}}

# A job in a container that counts for a minute
job-docker-cpu image="":
    @make job-docker-cpu IMAGE={{image}}

# The newest jobs
job-list:
    @.venv/bin/hodei jobs list

# The output of a job, as it comes
logs job:
    @.venv/bin/hodei logs -f {{ job }}

# The workers
workers:
    @.venv/bin/hodei workers list
