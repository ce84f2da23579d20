defmodule SystemdTest do
  @moduledoc """
  Native programs under systemd, by an agent that runs in a machine which systemd runs: `script/systemd` starts one, and
  `HARNESS_SYSTEMD` names it.
  """
  use Harness.Case

  alias Otturnaut.{Deployment, Logs}
  alias Otturnaut.Runtime.Systemd

  @moduletag :systemd

  setup_all do
    machine = System.get_env("HARNESS_SYSTEMD") || raise("HARNESS_SYSTEMD names no machine: script/systemd")
    caddy = :persistent_term.get(:rig).caddy
    data_dir = "/var/lib/otturnaut-#{Harness.Agent.unique()}"
    env = %{"OTTURNAUT_DATA_DIR" => data_dir, "OTTURNAUT_LOCAL_SOURCES" => "/var/lib"}
    agent = Agent.describe(caddy: caddy, env: env)
    variables = for {name, value} <- agent.env, value, arg <- ["-e", "#{name}=#{value}"], do: arg
    args = ["exec"] ++ variables ++ [machine, Agent.binary(), "start"]
    agent = Agent.await!(%{agent | process: OsProcess.start("docker", args: args)})
    on_exit(fn -> System.cmd("docker", ["exec", machine, "busybox", "killall", "otturnaut"]) end)
    {:ok, machine: machine, outpost: agent.node, caddy: caddy}
  end

  defp inside!(machine, script) do
    {output, 0} = System.cmd("docker", ["exec", machine, "sh", "-c", script], stderr_to_stdout: true)
    output
  end

  # A program in the machine that shows `PAGE`.
  defp program!(machine, more \\ "") do
    path = "/var/lib/program-#{Harness.Agent.unique()}"

    script = """
    #!/bin/sh
    #{more}
    mkdir -p /tmp/www; echo "$PAGE" > /tmp/www/index.html; echo "serving $PAGE"
    exec busybox httpd -f -p 127.0.0.1:$PORT -h /tmp/www
    """

    encoded = Base.encode64(script)
    inside!(machine, "echo #{encoded} | base64 -d > #{path}")
    path
  end

  defp version(node, app, path, attrs \\ %{}) do
    defaults = %{
      app_id: app,
      artifact: path && {:load, path},
      container_port: 80,
      domains: ["#{app}.localhost"],
      env: %{"PAGE" => "one", "TOKEN" => "s3cr3t"},
      runtime: Systemd
    }

    call(node, Deployment, :new, [Map.merge(defaults, attrs)])
  end

  test "a program is deployed, seen, replaced and taken away",
       %{outpost: node, machine: machine, app: app} = c do
    path = program!(machine)
    assert {:ok, one} = execute(node, version(node, app, path), subscriber: self())
    assert one.container_name == "otturnaut-#{app}-#{one.id}" and one.status == :completed
    assert {:ok, 200, "one\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    steps = for {:deployment_progress, %{step: step}} <- mailbox(), do: step

    assert [:obtain_image, :allocate_port, :start_container, :health_check, :switch_route | _] =
             Enum.dedup(steps)

    name = one.container_name
    port = one.port
    assert {:ok, :running} == call(node, Systemd, :status, [name])
    assert {:ok, ^port} = call(node, Systemd, :get_port, [name])
    {:ok, apps} = call(node, Systemd, :list_apps, [])
    assert %{id: ^app, status: :running, port: ^port} = Enum.find(apps, &(&1.container_name == name))
    assert {:ok, %{status: :running, restarts: 0}} = call(node, Otturnaut, :app, [app])

    Wait.until("the line in the journal", fn ->
      {:ok, lines} = call(node, Logs, :tail, [app, 10])
      {:stdout, "serving one"} in lines
    end)

    shown = inside!(machine, "systemctl show #{name}; cat /etc/systemd/system/#{name}.service")
    assert shown =~ "DynamicUser=yes"
    refute shown =~ "s3cr3t"

    assert {:ok, two} =
             execute(node, version(node, app, program!(machine, "# two"), %{env: %{"PAGE" => "two"}}))

    assert {:ok, 200, "two\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    assert {:ok, :not_found} == call(node, Systemd, :status, [name])
    assert {:ok, _} = call(node, Deployment, :rollback, [app])
    assert {:ok, 200, "one\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    assert :ok == undeploy(node, two)
    assert {:ok, []} == call(node, Systemd, :list_apps, [])
    assert {:error, :not_found} == call(node, Systemd, :stop, [name])
  end

  test "a log is streamed until the program ends", %{outpost: node, machine: machine, app: app} do
    assert {:ok, d} = execute(node, version(node, app, program!(machine, "echo begun")))
    assert {:ok, stream} = call(node, Logs, :stream, [app, self(), [tail: :all]])
    assert_receive {:log_output, ^stream, {:stdout, "begun"}}, 10_000
    assert :ok == undeploy(node, d)
    assert_receive {:log_done, ^stream, _}, 10_000
  end

  test "what systemd cannot do is refused, and what fails leaves the old version", c do
    %{outpost: node, machine: machine, app: app} = c
    path = program!(machine)

    for attrs <- [%{networks: ["back"]}, %{volumes: ["data:/data"]}, %{artifact: {:registry, "shop:1"}}] do
      assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} =
               execute(node, version(node, app, path, attrs))

      assert message =~ "systemd"
    end

    assert {:ok, d} = execute(node, version(node, app, path))
    bad = version(node, app, program!(machine, "echo no database; exit 7"))
    assert {:error, :health_check_failed, _} = execute(node, bad, subscriber: self())
    told = for {:deployment_progress, %{step: :health_check, message: message}} <- mailbox(), do: message
    assert List.last(told) =~ "exited with code 7" and List.last(told) =~ "no database"
    assert {:ok, 200, "one\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    inside!(machine, "echo no program > /var/lib/text")

    assert {:error, {:artifact_failed, {:load_failed, {:invalid_archive, _}}}, _} =
             execute(node, version(node, app, "/var/lib/text"))

    assert :ok == undeploy(node, d)
  end

  test "a program is built from a repository by its command, with secrets that nobody sees", c do
    %{outpost: node, machine: machine, app: app} = c
    repository = "/var/lib/repository-#{Harness.Agent.unique()}"
    program = program!(machine)

    inside!(machine, """
    mkdir #{repository} && cd #{repository} && cp #{program} serve.sh && git init -q -b main && git add . &&
    git -c user.name=a -c user.email=a@b commit -q -m first
    """)

    source = %{
      repo_url: "file://#{repository}",
      build_command: "cp serve.sh app; wc -c < /run/secrets/token; echo $KIND; test $KIND = fine",
      output: "app",
      build_args: %{"KIND" => "fine"},
      build_secrets: %{"token" => "s3cr3t"}
    }

    build = &version(node, app, nil, %{source: Map.merge(source, &1)})
    assert {:ok, d} = execute(node, build.(%{}), subscriber: self())
    assert {:ok, 200, "one\n"} == Caddy.page(c.caddy, "#{app}.localhost")
    lines = for {:command_output, _, {:stdout, line}} <- mailbox(), do: line
    assert "6" in lines and "fine" in lines
    assert [%{content: {:commit, commit}}] = call(node, Deployment, :releases, [app])
    assert d.image == "otturnaut-#{app}:#{commit}"

    assert {:error, {:source_failed, {:build_failed, {:build_error, why}}}, _} =
             execute(node, build.(%{build_args: %{"KIND" => "odd"}}))

    assert why =~ "exited with 1" and why =~ "said last:\n6\nodd"
    assert {:ok, 200, "one\n"} == Caddy.page(c.caddy, "#{app}.localhost")

    for {wrong, named} <- [
          {%{output: "../app"}, "source.output"},
          {%{output: nil}, "output"},
          {%{dockerfile: "Dockerfile"}, "source.dockerfile"},
          {%{build_command: nil, output: nil}, "source.dockerfile"}
        ] do
      assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}} = execute(node, build.(wrong))
      assert message =~ named
    end

    assert :ok == undeploy(node, d)
    refute inside!(machine, "journalctl --no-pager; systemctl show '*'") =~ "s3cr3t"
  end
end
