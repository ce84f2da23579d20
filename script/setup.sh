# Installs what is missing and starts what is not running. Sourced by the scripts that need it, so that they end at their
# own end what it started; does nothing a second time.

packages=(
  git git-lfs curl ca-certificates iproute2 procps psmisc
  docker.io iptables podman runc caddy busybox-static openssh-client openssh-server docker-registry debootstrap
  elixir erlang-dev erlang-ssl
)

install_packages() {
  have apt-get || die "this needs Debian or Ubuntu (apt-get); elsewhere install: ${packages[*]}"
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  # Packages start no services of their own: the scripts start what they need.
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
  as_root chmod +x /usr/sbin/policy-rc.d
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  as_root rm -f /usr/sbin/policy-rc.d
}

start_docker() {
  docker_answers && return 0
  say "starting dockerd"
  serve /tmp/otturnaut-dockerd.log dockerd
  wait_for "dockerd (see /tmp/otturnaut-dockerd.log)" 60 docker_answers
}

podman_settings() {
  cat >"$1" <<'CONF'
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
}

# Podman with settings of its own, so that those of the machine stay as they are.
start_podman() {
  podman_answers && return 0
  say "starting Podman's API"
  local settings=/tmp/otturnaut-containers.conf
  podman_settings "$settings"
  # Docker takes a registry on loopback without TLS; Podman has to be told, by port.
  local registries=/tmp/otturnaut-registries.conf port
  for port in {9900..9919}; do
    printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' "$port"
  done >"$registries"
  as_root mkdir -p /run/podman
  serve /tmp/otturnaut-podman.log env CONTAINERS_CONF="$settings" CONTAINERS_REGISTRIES_CONF="$registries" podman system service --time=0 \
    unix:///run/podman/podman.sock
  wait_for "Podman's API (see /tmp/otturnaut-podman.log)" 60 podman_answers
}

# Podman without root, for tests: of a user made for it, whose socket root can use.
rootless_socket=/run/otturnaut-rootless/podman.sock
rootless_answers() { curl -fs --unix-socket "$rootless_socket" http://engine/_ping >/dev/null 2>&1; }
start_rootless_podman() {
  rootless_answers && return 0
  say "starting Podman's API without root"
  local user=otturnaut-rootless dir=${rootless_socket%/*} settings=/tmp/otturnaut-rootless.conf
  install_packages uidmap slirp4netns fuse-overlayfs
  id "$user" >/dev/null 2>&1 || as_root useradd --create-home --shell /bin/sh "$user"
  grep -q "^$user:" /etc/subuid || as_root usermod --add-subuids 300000-365535 --add-subgids 300000-365535 "$user"
  # Its network is a device that everybody may open.
  as_root chmod 666 /dev/net/tun /dev/fuse
  as_root install -d -o "$user" -m 755 "$dir"
  podman_settings "$settings"
  serve /tmp/otturnaut-rootless.log runuser -u "$user" -- env HOME="/home/$user" XDG_RUNTIME_DIR="$dir" \
    CONTAINERS_CONF="$settings" podman system service --time=0 "unix://$rootless_socket"
  wait_for "Podman's API without root (see /tmp/otturnaut-rootless.log)" 60 rootless_answers
}

need_rust() {
  have cargo || die "no Rust toolchain: install one with rustup, then run this again"
}

need_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return 0
  say "installing cargo-nextest"
  cargo install --quiet --locked cargo-nextest
}

need_fuzz() {
  cargo fuzz --version >/dev/null 2>&1 && return 0
  say "installing cargo-fuzz"
  cargo install --quiet --locked cargo-fuzz
}
