# A static binary in an empty image; it needs no capability, and writes nothing but store.file
# and store.key_file, if they are set: those want a volume that user 65532 may write to.
#
#   docker build -t sipxmppgw .
#   docker run --read-only --network host -v /etc/sipxmppgw:/etc/sipxmppgw:ro sipxmppgw
#
# Host networking, because a bridge in front of ten thousand UDP ports costs more than the
# gateway itself.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /sipxmppgw ./cmd/sipxmppgw

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /sipxmppgw /sipxmppgw
USER 65532:65532
EXPOSE 5060/udp 5060/tcp 9187/tcp
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/sipxmppgw", "healthcheck"]
ENTRYPOINT ["/sipxmppgw"]
CMD ["run", "--config", "/etc/sipxmppgw/config.yaml"]
