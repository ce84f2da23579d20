defmodule AttributesTest do
  @moduledoc "What a deployment may ask for beside image and port: given to the engine as asked, or refused by name."
  use Harness.Case

  alias Otturnaut.{AppState, Deployment, PortManager}

  setup do
    {:ok, docker: Engine.docker()}
  end

  defp message!({:badrpc, {:EXIT, {%ArgumentError{message: message}, _}}}), do: message

  test "the container has what was asked for, also after a rollback", %{node: node, app: app, docker: docker} do
    attrs = %{
      labels: %{"team" => "shop", "#{app}.tier" => "web"},
      restart: :on_failure,
      resources: %{memory: "128m", cpus: 0.5, pids: 100},
      stop_timeout: 3_000,
      keep_releases: 3
    }

    assert {:ok, one} = deploy(node, app, attrs)
    asked = asked(docker, one.container_name)
    assert %{"team" => "shop", "otturnaut.app_id" => ^app} = asked.labels
    assert asked.labels["#{app}.tier"] == "web"
    assert asked.restart == %{"Name" => "on-failure", "MaximumRetryCount" => 10}
    assert {asked.memory, asked.swap} == {128 * 1024 * 1024, 128 * 1024 * 1024}
    assert {asked.cpus, asked.pids, asked.stop_timeout} == {500_000_000, 100, 3}

    assert {:ok, _} = deploy(node, app)
    assert {:ok, back} = call(node, Deployment, :rollback, [app])
    again = asked(docker, back.container_name)
    assert Map.delete(again, :labels) == Map.delete(asked, :labels)
    assert again.labels["team"] == "shop"
  end

  defp asked(docker, name) do
    %{"Config" => config, "HostConfig" => host} = Engine.inspect!(docker, name)

    %{
      labels: config["Labels"],
      restart: host["RestartPolicy"],
      memory: host["Memory"],
      swap: host["MemorySwap"],
      cpus: host["NanoCpus"],
      pids: host["PidsLimit"],
      stop_timeout: config["StopTimeout"]
    }
  end

  test "a command takes the place of the image's own", %{node: node, caddy: caddy, app: app} do
    script = "echo by-command > /www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www"
    command = ["/bin/busybox", "sh", "-c", script]
    assert {:ok, _} = deploy(node, app, %{command: command})
    assert {:ok, 200, "by-command\n"} == Caddy.page(caddy, "#{app}.localhost")
  end

  test "what differs from the running release is told, a command without its words", %{node: node, app: app} do
    assert {:ok, _} = deploy(node, app)

    d =
      deployment(node, app, %{command: ["serve", "--token=s3cr3t"], resources: %{pids: 7}, networks: ["back"]})

    assert {:ok, plan} = call(node, Deployment, :plan, [d])
    told = inspect(plan.differences)
    assert told =~ "command: another one"
    assert told =~ "resources: 7 processes instead of no bounds"
    assert told =~ "networks: back instead of"
    refute inspect(plan) =~ "s3cr3t"
  end

  test "what cannot be meant is refused by name before anything is touched",
       %{node: node, app: app} = context do
    ports = call(node, PortManager, :list_allocated, [])

    for {attrs, wanted} <- [
          {%{command: 7}, "deployment.command: wanted a list of strings"},
          {%{volumes: ["data"]}, "deployment.volumes: \"data\" is refused: wanted is name:/path"},
          {%{volumes: "data:/data"}, "deployment.volumes: wanted a list"},
          {%{networks: ["host"]},
           "deployment.networks: \"host\" is refused: its port is published on 127.0.0.1"},
          {%{labels: %{"otturnaut.app_id" => "x"}}, "deployment.labels: \"otturnaut.app_id\" is refused"},
          {%{labels: [1]}, "deployment.labels"},
          {%{restart: :sometimes},
           "deployment.restart: wanted :unless_stopped or :always or :on_failure or :no"},
          {%{resources: %{memory: "lots"}}, "deployment.resources.memory: wanted bytes"},
          {%{resources: %{memory: 1000}}, "deployment.resources.memory: \"1000\" is refused"},
          {%{resources: %{cpus: 0}}, "deployment.resources.cpus: wanted a number of processors"},
          {%{resources: %{pids: 0}}, "deployment.resources.pids"},
          {%{resources: 5}, "deployment.resources: wanted"},
          {%{env: %{"A=B" => "1"}}, "deployment.env"},
          {%{stop_timeout: -1}, "deployment.stop_timeout"},
          {%{keep_releases: 0}, "deployment.keep_releases"}
        ] do
      d = deployment(node, app, attrs)
      assert message!(execute(node, d)) =~ wanted
      assert message!(call(node, Deployment, :plan, [d])) =~ wanted
    end

    assert ports == call(node, PortManager, :list_allocated, [])
    assert {:error, :not_found} == call(node, AppState, :get, [app])
    assert_nothing_left(context, app)
  end

  test "a network that the engine does not have is its error, and nothing is left",
       %{node: node, app: app} = context do
    assert {:error, reason, _} = deploy(node, app, %{networks: ["otturnaut-no-such-net"]})
    assert {:container_start_failed, {:http_error, 404, %{"message" => message}}} = reason
    assert message =~ "otturnaut-no-such-net"
    assert_nothing_left(context, app)
  end
end
