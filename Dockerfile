# The command line in a container, for Fargate, Batch, or whatever else starts containers. For both processors at once:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag cdc-to-s3 .
#
# The work folder is /tmp: give it as much room as the archive and the largest table's files take (docs/scale.md).

FROM rust:1.95-slim-bookworm AS build
WORKDIR /project
COPY . .
RUN cargo build --locked --release --bin cdc-to-s3

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /project/target/release/cdc-to-s3 /usr/local/bin/cdc-to-s3
USER 65532:65532
WORKDIR /tmp
ENV CDC_LOG_FORMAT=json
ENTRYPOINT ["cdc-to-s3"]
CMD ["run", "--once"]
