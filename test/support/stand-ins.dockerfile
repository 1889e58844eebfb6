# What the compose files take from others, from Debian's packages, for machines that reach no image registry: the same programs, called
# as the official images call them. Redis stands in for Valkey, which speaks the same protocol.
FROM docker.io/library/node:26-bookworm-slim AS packages
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server prometheus \
  && ln -s redis-server /usr/bin/valkey-server

FROM packages AS valkey
WORKDIR /data

FROM packages AS prometheus
RUN mkdir -p /prometheus && chown nobody /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
