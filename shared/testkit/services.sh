#!/usr/bin/env bash
# Throw-away PostgreSQL, MariaDB and Redis on free loopback ports.
#
#   services.sh ensure                 the server programs are installed (installs the Debian packages if it may)
#   services.sh up DIR [SERVICE...]    starts them, all or the named ones (postgres mariadb redis), and writes DIR/env
#   services.sh down DIR [SERVICE...]  stops them by their pid files; without names it also forgets their data
#   services.sh save DIR SERVICE NAME FILE  writes a database as it is at this moment into a file, while it is in use
#   services.sh load DIR SERVICE NAME FILE  makes a database what such a file says; whoever uses it is thrown out
#
# `down DIR postgres` and `up DIR postgres` are an outage: same port, same data.
# With SLUICE_SERVICES_DURABLE set, PostgreSQL and MariaDB write to the disk what they acknowledge, as in production; else they do not.
# Works as root (PostgreSQL then runs as user postgres) and as an ordinary user.
set -euo pipefail

ALL=(postgres mariadb redis)

die() { echo "services.sh: $*" >&2; exit 1; }

# Debian's own programs come before whatever else is called postgres on this machine.
pg_bin() {
  local bin
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  if [ -z "$bin" ] && command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
    bin=$(dirname "$(command -v initdb)")
  fi
  [ -n "$bin" ] && echo "$bin"
}

missing_packages() {
  [ -n "$(pg_bin || true)" ] || echo postgresql
  PATH=$PATH:/usr/sbin
  command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null && command -v mariadb-admin >/dev/null || echo mariadb-server
  command -v redis-server >/dev/null || echo redis-server
}

ensure() {
  local missing sudo=()
  missing=$(missing_packages | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo -n); fi
  if command -v apt-get >/dev/null && "${sudo[@]}" true 2>/dev/null; then
    echo "services.sh: installing ${missing}" >&2
    # RUNLEVEL=1 keeps the packages from starting servers of their own.
    "${sudo[@]}" apt-get update -q >&2 || true
    # shellcheck disable=SC2086
    "${sudo[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2 || true
    missing=$(missing_packages | tr '\n' ' ')
  fi
  [ -z "${missing// /}" ] || die "the tests need database servers that are not installed; as root: apt-get install -y $missing"
}

# A port nobody listens on, remembered in a file so that a restart keeps it. Below the ports the kernel hands out itself.
port_of() {
  local file=$1 port
  if [ ! -s "$file" ]; then
    for _ in $(seq 200); do
      port=$((30000 + (RANDOM * 32768 + RANDOM) % 2700))
      if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port" >"$file"; break; fi
    done
  fi
  [ -s "$file" ] || die "no free port"
  cat "$file"
}

alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null; }

# The process id in a pid file, if it is still that of the named program: ids are used again.
pid_in() {
  local pid
  [ -f "$1" ] || return 1
  pid=$(head -n 1 "$1" | tr -dc 0-9)
  if [ -r "/proc/$pid/comm" ] && [[ $(cat "/proc/$pid/comm") != "$2"* ]]; then return 1; fi
  echo "$pid"
}

# Stops the program of a pid file with a signal, and waits for its end, at most 20 s: stop_pid FILE PROGRAM SIGNAL.
stop_pid() {
  local pid
  pid=$(pid_in "$1" "$2" || true)
  alive "$pid" || return 0
  kill "-$3" "$pid" 2>/dev/null || true
  for _ in $(seq 400); do alive "$pid" || return 0; sleep 0.05; done
  kill -KILL "$pid" 2>/dev/null || true
}

as_postgres() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# PostgreSQL refuses root, and user postgres may be unable to reach DIR: then its data lies under /tmp.
pg_home() {
  if [ ! -s "$DIR/pg.home" ]; then
    local home=$DIR/pg
    mkdir -p "$home"
    if [ "$(id -u)" -eq 0 ]; then
      chown postgres "$home"
      if ! runuser -u postgres -- test -w "$home"; then
        rmdir "$home"
        home=$(mktemp -d /tmp/sluice-pg-XXXXXX)
        chown postgres "$home"
      fi
    fi
    echo "$home" >"$DIR/pg.home"
  fi
  cat "$DIR/pg.home"
}

up_postgres() {
  local durability="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  if [ -n "${SLUICE_SERVICES_DURABLE:-}" ]; then durability="-c fsync=on"; fi
  local bin home port
  bin=$(pg_bin) || die "PostgreSQL is not installed: run services.sh ensure"
  # Benches count statements where the server can.
  if [ -n "${SLUICE_SERVICES_DURABLE:-}" ] && [ -e "${bin%/bin}/lib/pg_stat_statements.so" ]; then
    durability+=" -c shared_preload_libraries=pg_stat_statements"
  fi
  home=$(pg_home); port=$(port_of "$DIR/pg.port")
  alive "$(pid_in "$home/data/postmaster.pid" postgres || true)" && return 0
  cd /
  if [ ! -f "$home/data/PG_VERSION" ]; then
    as_postgres "$bin/initdb" -D "$home/data" -U sluice -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$DIR/pg.log" 2>&1 \
      || { cat "$DIR/pg.log" >&2; die "initdb failed"; }
  fi
  as_postgres "$bin/pg_ctl" -D "$home/data" -w -t 30 -l "$home/server.log" -o "-p $port -h 127.0.0.1 -c unix_socket_directories='' \
    $durability -c max_connections=300" start >>"$DIR/pg.log" 2>&1 \
    || { cat "$DIR/pg.log" "$home/server.log" >&2; die "PostgreSQL did not start"; }
}

up_mariadb() {
  local durability=(--innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync)
  if [ -n "${SLUICE_SERVICES_DURABLE:-}" ]; then durability=(--innodb-flush-log-at-trx-commit=1); fi
  PATH=$PATH:/usr/sbin
  command -v mariadbd >/dev/null || die "MariaDB is not installed: run services.sh ensure"
  local port user=()
  port=$(port_of "$DIR/my.port")
  alive "$(pid_in "$DIR/my.pid" mariadbd || true)" && return 0
  if [ "$(id -u)" -eq 0 ]; then user=(--user=root); fi
  if [ ! -d "$DIR/my/mysql" ]; then
    mariadb-install-db --no-defaults "${user[@]}" --datadir="$DIR/my" --auth-root-authentication-method=normal --skip-test-db \
      >"$DIR/my.log" 2>&1 || { cat "$DIR/my.log" >&2; die "mariadb-install-db failed"; }
    cat >"$DIR/my.sql" <<SQL
CREATE USER IF NOT EXISTS 'sluice'@'127.0.0.1';
GRANT ALL ON *.* TO 'sluice'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS sluice_test;
SQL
  fi
  # A relative socket path stays below the length the kernel allows, however deep DIR lies.
  setsid nohup mariadbd --no-defaults "${user[@]}" --datadir="$DIR/my" --port="$port" --bind-address=127.0.0.1 --socket=my.sock \
    --pid-file="$DIR/my.pid" --init-file="$DIR/my.sql" --skip-name-resolve "${durability[@]}" \
    --innodb-buffer-pool-size=64M --performance-schema=OFF --max-connections=300 \
    --character-set-server=utf8mb4 --collation-server=utf8mb4_bin >>"$DIR/my.log" 2>&1 </dev/null &
  local started=$!
  for _ in $(seq 600); do
    if mariadb-admin --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u sluice ping >/dev/null 2>&1; then return 0; fi
    alive "$started" || break
    sleep 0.05
  done
  tail -n 30 "$DIR/my.log" >&2
  die "MariaDB did not start"
}

up_redis() {
  command -v redis-server >/dev/null || die "Redis is not installed: run services.sh ensure"
  local port
  port=$(port_of "$DIR/redis.port")
  alive "$(pid_in "$DIR/redis.pid" redis-server || true)" && return 0
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$DIR" --daemonize yes --pidfile "$DIR/redis.pid" \
    --logfile "$DIR/redis.log" >/dev/null
  for _ in $(seq 400); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'PING\r\n' >&3 && read -r -t 1 -u 3 answer && [[ $answer == +PONG* ]]) 2>/dev/null; then
      return 0
    fi
    sleep 0.05
  done
  die "Redis did not start: see $DIR/redis.log"
}

write_env() {
  local temporary=$DIR/env.new
  : >"$temporary"
  if [ -s "$DIR/pg.port" ]; then
    echo "export SLUICE_TEST_POSTGRES_URL=postgres://sluice@127.0.0.1:$(cat "$DIR/pg.port")/postgres" >>"$temporary"
  fi
  if [ -s "$DIR/my.port" ]; then
    echo "export SLUICE_TEST_MYSQL_URL=mysql://sluice@127.0.0.1:$(cat "$DIR/my.port")/sluice_test" >>"$temporary"
  fi
  if [ -s "$DIR/redis.port" ]; then
    echo "export SLUICE_TEST_REDIS_URL=redis://127.0.0.1:$(cat "$DIR/redis.port")" >>"$temporary"
  fi
  mv "$temporary" "$DIR/env"
}

# The signal is for those whose orderly end takes seconds: KILL does when the data is forgotten anyway.
down_one() {
  case $1 in
    postgres)
      [ -s "$DIR/pg.home" ] || return 0
      # PostgreSQL's words for it: INT ends sessions and writes everything, QUIT leaves at once but takes its children along.
      if [ "$2" = KILL ]; then signal=QUIT; else signal=INT; fi
      stop_pid "$(cat "$DIR/pg.home")/data/postmaster.pid" postgres "$signal"
      ;;
    mariadb) stop_pid "$DIR/my.pid" mariadbd "$2" ;;
    redis) stop_pid "$DIR/redis.pid" redis-server "$2" ;;
  esac
}

forget_data() {
  if [ -s "$DIR/pg.home" ]; then rm -rf -- "$(cat "$DIR/pg.home")"; fi
  rm -rf -- "$DIR/my" "$DIR"/pg.home "$DIR"/{pg,my,redis}.{port,log,pid,sql} "$DIR/env"
}

check_names() {
  local name
  for name in "$@"; do
    [[ " ${ALL[*]} " == *" $name "* ]] || die "no such service: $name (there are ${ALL[*]})"
  done
}

# A database as statements, and back. Whoever is connected loses the connection when it is loaded, as in a failover.
save_postgres() { "$(pg_bin)/pg_dump" -h 127.0.0.1 -p "$(cat "$DIR/pg.port")" -U sluice -f "$2" "$1"; }

load_postgres() {
  local to=(-h 127.0.0.1 -p "$(cat "$DIR/pg.port")" -U sluice)
  "$(pg_bin)/psql" "${to[@]}" -q -d postgres -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)" -c "CREATE DATABASE $1 TEMPLATE template0" >/dev/null
  "$(pg_bin)/psql" "${to[@]}" -q -v ON_ERROR_STOP=1 -d "$1" -f "$2" >/dev/null
}

my_client() {
  local program=$1
  shift
  "$program" --no-defaults --protocol=tcp -h 127.0.0.1 -P "$(cat "$DIR/my.port")" -u sluice "$@"
}

save_mariadb() { my_client mariadb-dump --single-transaction --skip-lock-tables --result-file="$2" "$1"; }

load_mariadb() {
  my_client mariadb -e "DROP DATABASE IF EXISTS $1; CREATE DATABASE $1 CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
  my_client mariadb "$1" <"$2"
}

# Each starts on its own; the first that fails fails all.
up() {
  local service pids=() failed=0
  for service in "$@"; do ("up_$service") & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [ $failed -eq 0 ] || { for service in "$@"; do down_one "$service" TERM; done; exit 1; }
  write_env
}

action=${1:-}
case $action in
  ensure) ensure ;;
  up | down)
    [ $# -ge 2 ] || die "usage: services.sh $action DIR [SERVICE...]"
    mkdir -p "$2"
    DIR=$(cd "$2" && pwd)
    shift 2
    check_names "$@"
    names=("$@")
    if [ ${#names[@]} -eq 0 ]; then names=("${ALL[@]}"); fi
    if [ "$action" = up ]; then
      up "${names[@]}"
    else
      signal=TERM
      if [ $# -eq 0 ]; then signal=KILL; fi
      for name in "${names[@]}"; do down_one "$name" "$signal" & done
      wait
      if [ $# -eq 0 ]; then forget_data; fi
    fi
    ;;
  save | load)
    [ $# -eq 5 ] && { [ "$3" = postgres ] || [ "$3" = mariadb ]; } || die "usage: services.sh $action DIR postgres|mariadb NAME FILE"
    DIR=$(cd "$2" && pwd)
    "${action}_$3" "$4" "$5"
    ;;
  *) die "usage: services.sh ensure | up DIR [SERVICE...] | down DIR [SERVICE...] | save|load DIR SERVICE NAME FILE" ;;
esac
