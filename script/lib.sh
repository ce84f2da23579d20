# Shared by the scripts of this directory: words for the reader, services that end with the script that started them.
# Sourced, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run_dir=${OTTURNAUT_RUN_DIR:-/var/tmp/otturnaut-run}
podman_socket=${HARNESS_PODMAN_SOCKET:-/run/podman/podman.sock}
docker_socket=${HARNESS_DOCKER_SOCKET:-/var/run/docker.sock}
started=$SECONDS

say() { printf '\n== [%4ds] %s\n' "$((SECONDS - started))" "$*"; }
note() { printf '   %s\n' "$*"; }
fail() { printf '\n!! %s\n' "$*" >&2; exit 1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

need_root() { [ "$(id -u)" = 0 ] || fail "run this as root: it talks to the container engines and makes chroots"; }

# answers SOCKET: whether an engine's API answers there.
answers() { curl --silent --fail --max-time 5 --unix-socket "$1" http://localhost/_ping >/dev/null 2>&1; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# Services that a script starts: pids in a file, ended by stop_services.
service_pids=()

# start_service NAME COMMAND...: in the background, its output in the run directory.
start_service() {
  local name=$1
  shift
  mkdir -p "$run_dir"
  setsid "$@" >"$run_dir/$name.log" 2>&1 </dev/null &
  service_pids+=("$!")
}

stop_services() {
  local pid
  for pid in "${service_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${service_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  service_pids=()
}

# The container engines: started when they do not answer, and then ended with the script.
start_engines() {
  if answers "$docker_socket"; then
    note "Docker answers at $docker_socket"
  else
    start_service dockerd dockerd --host "unix://$docker_socket" --pidfile "$run_dir/dockerd.pid"
    wait_for 60 dockerd answers "$docker_socket" || { tail -n 20 "$run_dir/dockerd.log"; fail "dockerd did not start"; }
    note "Docker started at $docker_socket"
  fi
  if answers "$podman_socket"; then
    note "Podman answers at $podman_socket"
  else
    as_root mkdir -p "$(dirname "$podman_socket")"
    CONTAINERS_CONF=$(podman_config) start_service podman podman system service --time=0 "unix://$podman_socket"
    wait_for 30 podman answers "$podman_socket" || { tail -n 20 "$run_dir/podman.log"; fail "Podman's service did not start"; }
    note "Podman started at $podman_socket"
  fi
}

# A configuration of Podman for machines without systemd; in the run directory, the machine's own stays as it is.
podman_config() {
  local file=$run_dir/containers.conf
  mkdir -p "$run_dir"
  [ -e "$file" ] || printf '%s\n' '[engine]' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' \
    'runtime = "runc"' '[containers]' 'log_driver = "k8s-file"' 'pids_limit = 0' >"$file"
  printf '%s' "$file"
}

# free_port: a TCP port that nobody listens on.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 11000))
    ss -ltnH "sport = :$port" | grep -q . || { printf '%s' "$port"; return; }
  done
}
