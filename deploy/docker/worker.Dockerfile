# A worker in an image of its own: a base with a shell and the usual tools, and the agent bundle.
#
#   docker build --file deploy/docker/worker.Dockerfile --tag hodei-worker build/agent-bundle/amd64/
#
# `make worker-image` does the same, with a base that it makes itself where none can be pulled. Any
# base will do: the agent needs nothing of it.
ARG BASE=debian:12-slim
FROM ${BASE}
COPY . /hodei/
ENTRYPOINT ["/hodei/hodei-agent"]
