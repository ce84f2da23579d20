# The agent's image. The agent itself is one static binary; git and ssh are what it calls to fetch sources.
#
#   docker build --build-arg VERSION=0.1.0 --tag otturnaut:0.1.0 .
#   docker build --build-arg BINARY=prebuilt ...   # takes dist/otturnaut in place of building it
#
# It needs BuildKit, which `docker compose build` always uses and Docker before 23 with DOCKER_BUILDKIT=1.

# Where the binary comes from: `source` or `prebuilt`. BuildKit makes only the stage that is named.
ARG BINARY=source
ARG BASE=debian:bookworm-slim

FROM rust:1-bookworm AS source
WORKDIR /src
COPY . .
# As script/build has it.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --release --locked --bin otturnaut --target "$(rustc -vV | sed -n 's/^host: //p')" \
 && cp target/*/release/otturnaut /otturnaut

FROM scratch AS prebuilt
COPY --chmod=755 dist/otturnaut /otturnaut

FROM ${BINARY} AS binary

FROM ${BASE}
# tini is the first process: it reaps what commands leave behind, also where nobody says `--init`.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git openssh-client tini \
 # Of Perl, which git depends on, nothing that fetches sources is run: half of what is installed here.
 && rm -rf /usr/share/perl /usr/lib/*/perl /usr/lib/*/libperl.so.* \
      /usr/share/doc/* /usr/share/man/* /usr/share/locale/* \
      /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
# The user that the entry point drops to. A fixed number, so that volumes stay readable whatever the base has.
RUN groupadd --gid 10001 otturnaut \
 && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin otturnaut \
 && install --directory --owner otturnaut --group otturnaut --mode 711 /data
COPY --chmod=755 packaging/entrypoint /usr/local/bin/otturnaut-entrypoint
COPY --from=binary /otturnaut /usr/local/bin/otturnaut

ENV OTTURNAUT_DATA_DIR=/data
VOLUME /data
# Starts as root, to see whose group the engine's socket has; the agent itself is not root where that group is enough.
ENTRYPOINT ["tini", "--", "otturnaut-entrypoint"]
CMD ["start"]
# Longer than `ping` waits for an agent that hangs, so that what it says is kept.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 CMD ["otturnaut", "ping"]

# Last: they change with every build.
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="otturnaut" \
      org.opencontainers.image.description="The agent of Otternauts: deploys web applications on a server, as a hidden Erlang node" \
      org.opencontainers.image.vendor="Otternauts" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
