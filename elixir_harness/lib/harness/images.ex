defmodule Harness.Images do
  @moduledoc """
  Images that need no registry: `FROM scratch`, a static busybox, a script.

  The web application shows `PAGE`; `DELAY` (seconds) it sleeps before it listens, `EXIT_AFTER` it lives, `IGNORE_TERM`
  makes it deaf to SIGTERM, `SILENT` lets it never listen, `SAY` is run by a shell beside it. With arguments it is that command instead.
  """

  alias Harness.Engine

  @script """
  #!/bin/busybox sh
  [ "$#" -gt 0 ] && exec "$@"
  [ -n "$IGNORE_TERM" ] && trap '' TERM || trap 'exit 0' TERM
  echo "starting $PAGE"
  [ -n "$SAY" ] && /bin/busybox sh -c "$SAY" &
  if [ -n "$EXIT_AFTER" ]; then /bin/busybox sleep "$EXIT_AFTER" & wait; exit 1; fi
  if [ -n "$DELAY" ]; then /bin/busybox sleep "$DELAY" & wait; fi
  echo "$PAGE" > /www/index.html
  if [ -n "$SILENT" ]; then while true; do /bin/busybox sleep 1 & wait; done; fi
  /bin/busybox httpd -f -p 8080 -h /www &
  wait
  exit 1
  """

  @dockerfile """
  FROM scratch
  COPY busybox /bin/busybox
  COPY start /start
  COPY www /www
  EXPOSE 8080
  ENTRYPOINT ["/start"]
  """

  @doc "The web application's image; built when it is not there."
  def web(engine \\ Engine.docker()) do
    # The tag follows the content, so that an image of an older harness is never taken for this one's.
    tag = "otturnaut-harness-web:#{:erlang.phash2({@script, @dockerfile})}"
    unless Engine.image?(engine, tag), do: in_context(&Engine.build!(engine, &1, tag))
    tag
  end

  @doc "The web application in an image of this name that shares no content's id with any other."
  def own!(tag, engine \\ Engine.docker()) do
    in_context(fn dir ->
      File.write!(Path.join(dir, "www/image"), tag)
      Engine.build!(engine, dir, tag)
    end)
  end

  @doc "Calls `use` with a directory that holds the web application's build context."
  def in_context(use) do
    dir = Path.join(System.tmp_dir!(), "otturnaut-context-#{Harness.Agent.unique()}")

    try do
      write_context!(dir)
      use.(dir)
    after
      File.rm_rf!(dir)
    end
  end

  def write_context!(dir) do
    File.mkdir_p!(Path.join(dir, "www"))
    File.cp!(busybox(), Path.join(dir, "busybox"))
    File.chmod!(Path.join(dir, "busybox"), 0o755)
    File.write!(Path.join(dir, "www/health"), "ok\n")
    File.write!(Path.join(dir, "start"), @script)
    File.chmod!(Path.join(dir, "start"), 0o755)
    File.write!(Path.join(dir, "Dockerfile"), @dockerfile)
    dir
  end

  @doc "The static busybox of this machine."
  def busybox,
    do: System.find_executable("busybox") || raise("busybox-static is not installed (see script/setup)")
end
