# The agent's image. The agent itself is one static binary; git and ssh are what it calls to fetch sources.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')" \
 && cp target/*/release/otturnaut /otturnaut

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /otturnaut /usr/local/bin/otturnaut
VOLUME /data
ENTRYPOINT ["otturnaut"]
CMD ["start"]
