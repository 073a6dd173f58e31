# Worldkeeper in an image of one static binary: no shell, no libraries, nothing to keep up to date.
#
#   docker build --tag worldkeeper .                    builds it from source
#   docker build --tag worldkeeper --target binary .    takes a static binary that was built outside
#
# Both stages say the same of how it runs. No volume is declared: one that nobody named would be forgotten, and with it
# the passphrase and every backup that needs it. Mount the state, the repository and the source as compose.example.yaml
# does. The allocator is told to give memory back at once: a sidecar is idle nearly always (.cargo/config.toml has more).

FROM scratch AS binary
ARG BINARY=target/x86_64-unknown-linux-musl/release/worldkeeper
COPY ${BINARY} /bin/worldkeeper
ENV WORLDKEEPER_STATE_DIR=/var/lib/worldkeeper BORG_KEYS_DIR=/var/lib/worldkeeper/keys MIMALLOC_PURGE_DELAY=1
ENTRYPOINT ["/bin/worldkeeper"]
CMD ["run"]

# On Alpine the target is musl, and so the binary is static.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev make
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package worldkeeper-cli

FROM scratch
COPY --from=build /src/target/release/worldkeeper /bin/worldkeeper
ENV WORLDKEEPER_STATE_DIR=/var/lib/worldkeeper BORG_KEYS_DIR=/var/lib/worldkeeper/keys MIMALLOC_PURGE_DELAY=1
ENTRYPOINT ["/bin/worldkeeper"]
CMD ["run"]
