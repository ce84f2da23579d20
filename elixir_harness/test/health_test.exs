defmodule HealthTest do
  @moduledoc "Health decides: every kind of check, alone and in a deploy, and why a version was not taken."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.HealthCheck
  alias Otturnaut.Runtime.{Docker, Podman}

  # A shell, and a check of its own that wants the page to say `well`.
  @checked """
  FROM scratch
  COPY busybox /bin/busybox
  COPY busybox /bin/sh
  COPY start /start
  COPY www /www
  HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD /bin/busybox grep -q well /www/index.html || { echo not well; exit 1; }
  ENTRYPOINT ["/start"]
  """

  setup_all do
    tag = "otturnaut-harness-checked:#{:erlang.phash2(@checked)}"

    unless Engine.image?(Engine.docker(), tag) do
      Images.in_context(fn dir ->
        File.write!(Path.join(dir, "Dockerfile"), @checked)
        Engine.build!(Engine.docker(), dir, tag)
      end)
    end

    {:ok, checked: tag}
  end

  defp sh(line), do: ["/bin/busybox", "sh", "-c", line]
  defp check(node, config), do: call(node, HealthCheck, :check, [config])

  # What the failing step told last.
  defp why do
    texts = for {:deployment_progress, %{step: :health_check, message: text}} <- mailbox(), do: text
    assert "Failed: " <> why = List.last(texts)
    why
  end

  defp refused(node, app, attrs, health_check) do
    opts = [subscriber: self(), health_check: health_check]
    {micros, answer} = :timer.tc(fn -> deploy(node, app, attrs, opts) end)
    assert {:error, :health_check_failed, %{status: :failed, error: :health_check_failed}} = answer
    {why(), div(micros, 1000)}
  end

  describe "HealthCheck.check" do
    setup %{app: app} do
      name = "otturnaut-#{app}-direct"
      on_exit(fn -> Engine.remove(Engine.docker(), name) end)
      {:ok, name: name}
    end

    test "a command in the container", %{node: node, name: name, checked: image} do
      Engine.run!(Engine.docker(), name, %{"Image" => image, "Env" => ["PAGE=one"]})
      config = %{type: :command, runtime: Docker, name: name, command: sh("test -d /www")}
      assert :healthy == check(node, config)
      assert :healthy == check(node, %{config | command: "test -d /www && exit 0"})
      assert :unhealthy == check(node, %{config | command: "exit 3"})
      assert :unhealthy == check(node, %{config | command: ["/bin/nope"]})
      assert :unhealthy == check(node, %{config | name: "otturnaut-nope"})
      slow = Map.merge(config, %{command: sh("sleep 30"), timeout: 500})
      {micros, :unhealthy} = :timer.tc(fn -> check(node, slow) end)
      assert micros < 25_000_000

      assert {:badrpc, {:EXIT, {%ArgumentError{message: text}, _}}} =
               check(node, Map.delete(config, :command))

      assert text =~ "command"
      assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = check(node, %{config | command: :nope})
    end

    test "the image's own check", %{node: node, name: name, checked: image} do
      docker = Engine.docker()
      retry = [max_attempts: 100, interval: 100]
      config = %{type: :engine, runtime: Docker, name: name, runtime_opts: [socket: docker.socket]}
      assert :unhealthy == check(node, config)
      Engine.run!(docker, name, %{"Image" => image, "Env" => ["PAGE=well"]})
      assert :healthy == call(node, HealthCheck, :check_with_retry, [config, retry])
      Engine.remove(docker, name)
      Engine.run!(docker, name, %{"Image" => image, "Env" => ["PAGE=ill"]})

      Wait.until("its verdict", fn ->
        Engine.inspect!(docker, name)["State"]["Health"]["Status"] == "unhealthy"
      end)

      assert :unhealthy == check(node, config)
      Engine.remove(docker, name)
      Engine.run!(docker, name, %{"Image" => Images.web()})
      assert :unhealthy == check(node, config)
    end
  end

  describe "a deploy with a check" do
    @good [
      [type: :http, path: "/health", expected_status: [200, 204], host: "other.example"],
      [type: :http, path: "/health", expected_status: 200..299, timeout: 2_000, deadline: 30_000],
      [type: :tcp],
      [type: :running],
      [type: :command, command: ["/bin/busybox", "grep", "-q", "well", "/www/index.html"]],
      [type: :command, command: "test -e /www/index.html", healthy_for: 300],
      [type: :engine]
    ]

    test "of each kind that is good", %{node: node, caddy: caddy, app: app, checked: image} do
      attrs = %{image: image, env: %{"PAGE" => "well"}}

      for given <- @good do
        assert {:ok, _} = deploy(node, app, attrs, health_check: given), inspect(given)
        assert {:ok, 200, "well\n"} == Caddy.page(caddy, "#{app}.localhost"), inspect(given)
      end

      # As the deployment's own, and as a map.
      for given <- @good do
        attrs = Map.put(attrs, :health_check, Map.new(given))
        assert {:ok, d} = deploy(node, app, attrs)
        assert d.health_check == attrs.health_check
      end

      assert {:ok, d} = deploy(node, app, attrs)
      assert :ok == undeploy(node, d)
    end

    test "the call's check wins over the deployment's", %{node: node, app: app} = context do
      bad = %{type: :command, command: ["/bin/busybox", "false"], deadline: 500}
      assert {:error, :health_check_failed, _} = deploy(node, app, %{health_check: bad})
      assert_nothing_left(context, app)
      assert {:ok, d} = deploy(node, app, %{health_check: bad}, health_check: [type: :running])
      assert :ok == undeploy(node, d)
    end

    test "of another kind wants an HTTP answer besides, where there are domains", context do
      %{node: node, app: app} = context
      silent = %{env: %{"SILENT" => "1"}}
      good = [type: :command, command: sh("exit 0"), deadline: 1_000]

      for given <- [good, [type: :running, deadline: 1_000], [type: :tcp, deadline: 1_000]] do
        assert {why, _} = refused(node, app, silent, given)
        assert why =~ "it was not ready within 1 s, asked "
        assert why =~ "; last answer: "
      end

      assert_nothing_left(context, app)
      assert {:ok, d} = deploy(node, app, Map.put(silent, :domains, []), health_check: good)
      assert :ok == undeploy(node, d)
    end

    test "ends in its time, however often it asks", %{node: node, app: app} do
      silent = %{env: %{"SILENT" => "1"}}
      {_, own} = refused(node, app, silent, type: :http, deadline: 1_500)
      {_, product} = refused(node, app, silent, type: :http, max_attempts: 3, interval: 500)
      for took <- [own, product], do: assert(took in 1_500..60_000)
    end

    test "wants it to stay well", %{node: node, app: app} do
      given = [type: :command, command: sh("test -e /www/index.html"), healthy_for: 2_000]
      {micros, {:ok, d}} = :timer.tc(fn -> deploy(node, app, %{}, health_check: given) end)
      assert micros >= 2_000_000
      assert :ok == undeploy(node, d)
    end
  end

  describe "why a version was not taken" do
    test "a wrong answer: its status, its first bytes, the last output", %{node: node, app: app} = context do
      {why, _} = refused(node, app, %{}, type: :http, path: "/missing", expected_status: 200, deadline: 3_000)

      assert why =~
               ~r/it was not ready within 3 s, asked \d+ times; last answer: answered 404, expected 200: ".*Not Found/

      assert why =~ "its last output:\nstarting one"
      assert_nothing_left(context, app)
    end

    test "a redirect: where it leads", %{node: node, app: app} do
      given = [type: :http, path: "/data", expected_status: 200, deadline: 3_000]
      volume = "otturnaut-harness-#{app}"
      on_exit(fn -> Engine.remove_volume(Engine.docker(), volume) end)
      {why, _} = refused(node, app, %{volumes: ["#{volume}:/www/data"]}, given)
      assert why =~ ~r/answered 302, expected 200, it leads to \S*\/data\//
    end

    test "a command: its code and its last line", %{node: node, app: app} = context do
      given = [type: :command, command: sh("echo asked; echo no cache >&2; exit 4"), deadline: 5_000]
      {why, _} = refused(node, app, %{}, given)
      assert why =~ ~r/the command exited with code 4: (asked|no cache)/
      assert_nothing_left(context, app)
    end

    test "the image's own check: what it printed, or that there is none, at once", context do
      %{node: node, app: app, checked: image} = context
      {why, _} = refused(node, app, %{image: image}, type: :engine, deadline: 10_000)
      assert why =~ "last answer: the image's health check fails: not well"
      {why, took} = refused(node, app, %{}, type: :engine, deadline: 60_000)
      assert why =~ "the image has no health check of its own"
      assert took < 45_000
      assert_nothing_left(context, app)
    end

    test "an exit, at once: its code and the last output", %{node: node, app: app} = context do
      {why, took} = refused(node, app, %{env: %{"PAGE" => "x", "EXIT_AFTER" => "0.3"}}, deadline: 60_000)
      assert why =~ "the container exited with code 1"
      assert why =~ "its last output:\nstarting x"
      assert took < 45_000
      assert_nothing_left(context, app)
    end
  end

  describe "under Podman" do
    setup %{app: app} do
      podman = Engine.podman()
      on_exit(fn -> Harness.clean(app, podman) end)
      {:ok, podman: podman, attrs: %{image: Images.web(podman), runtime: Podman}}
    end

    test "commands decide too", %{node: node, app: app, podman: podman, attrs: attrs} do
      given = [type: :command, command: sh("echo no cache; exit 4"), deadline: 5_000]
      {why, _} = refused(node, app, attrs, given)
      assert why =~ "the command exited with code 4: no cache"
      assert [] == Engine.containers(podman, app)
      good = [type: :command, command: sh("test -e /www/index.html")]
      assert {:ok, d} = deploy(node, app, attrs, health_check: good)
      config = %{type: :command, runtime: Podman, name: d.container_name, command: sh("exit 0")}
      assert :healthy == check(node, config)
      assert :unhealthy == check(node, %{config | command: sh("exit 1")})
      assert :unhealthy == check(node, %{type: :engine, runtime: Podman, name: d.container_name})
      assert :ok == undeploy(node, d)
    end

    test "why: no check of its own, and an exit at once", %{node: node, app: app, podman: podman} = context do
      {why, took} = refused(node, app, context.attrs, type: :engine, deadline: 60_000)
      assert why =~ "the image has no health check of its own"
      assert took < 45_000

      {why, took} =
        refused(node, app, Map.put(context.attrs, :env, %{"EXIT_AFTER" => "0.3"}), deadline: 60_000)

      assert why =~ "the container exited with code 1"
      assert took < 45_000
      assert [] == Engine.containers(podman, app)
    end
  end
end
