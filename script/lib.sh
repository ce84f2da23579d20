# What the scripts share. Sourced, not run.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Where Elixirs of other releases live; made once, kept out of the repository.
chroots=/var/lib/otturnaut-test

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Ends what a script started, and nothing else: by process id.
started=()
end_started() {
  local pid
  for pid in "${started[@]}"; do
    as_root kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}

docker_answers() { curl -fs --unix-socket /var/run/docker.sock http://engine/_ping >/dev/null 2>&1; }
podman_answers() { curl -fs --unix-socket /run/podman/podman.sock http://engine/_ping >/dev/null 2>&1; }

# The mirror that this machine installs from.
mirror() {
  local codename
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | awk -v codename="$codename" '$2 == codename { print $1; exit }'
}

# Whether systemd has started a machine that is a container.
systemd_runs() {
  case $(docker exec "$1" systemctl is-system-running 2>/dev/null) in
    running | degraded) return 0 ;;
    *) return 1 ;;
  esac
}

# Starts a service in the background, its output in a log; it is ended with the script.
serve() {
  local log=$1 command=("${@:2}")
  [ "$(id -u)" = 0 ] || command=(sudo "${command[@]}")
  # Replaces the subshell, so that the process id is that of the service. Not in the repository, which may go.
  (cd / && exec setsid "${command[@]}") >"$log" 2>&1 &
  started+=($!)
}

# Waits until a command succeeds: what for, seconds, the command.
wait_for() {
  local what=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || die "waited in vain for $what"
    sleep 0.1
  done
}

# Runs a command of the harness inside a chroot: Elixir, the agent, Caddy and git are the ones there. What it needs of this
# machine is mounted in a mount namespace of its own, and is gone with it. The chroot, the agent's binary, the command.
in_chroot() {
  as_root unshare --mount --propagation private bash -euc '
    dir=$1 root=$2 binary=$3
    for what in /proc /sys /dev /run /tmp "$root"; do
      mkdir -p "$dir$what"
      mount --rbind "$what" "$dir$what"
    done
    # By it the other Elixirs find localhost.
    touch "$dir/etc/hosts"
    mount --bind /etc/hosts "$dir/etc/hosts"
    exec chroot "$dir" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
      LC_ALL=C.UTF-8 MIX_ENV=test HARNESS_SHORT=1 OTTURNAUT_BIN="$binary" \
      sh -c "cd \"$root/elixir_harness\" && $4"
  ' harness "$chroots/$1" "$root" "$2" "$3"
}
