defmodule DeploymentFailuresTest do
  @moduledoc "Deploys that fail: the exact reason, the old version untouched, nothing new left."
  use Harness.Case

  @moduletag :machine

  alias Otturnaut.PortManager

  setup %{node: node} do
    {:ok, ports: MapSet.new(call(node, PortManager, :list_allocated, []))}
  end

  defp assert_untouched(%{node: node, ports: ports} = context, app) do
    assert_nothing_left(context, app)
    assert ports == MapSet.new(call(node, PortManager, :list_allocated, []))
  end

  test "an image that does not exist", %{node: node, app: app} = context do
    assert {:error, reason, d} = deploy(node, app, %{image: "otturnaut-#{app}:nope"})
    assert {:container_start_failed, {:http_error, 404, %{"message" => "No such image: " <> _}}} = reason
    assert %{status: :failed, error: ^reason} = d
    assert_untouched(context, app)
  end

  test "an app that ends after 0.3 s is not deployed", %{node: node, app: app} = context do
    assert {:error, :health_check_failed, %{status: :failed, error: :health_check_failed}} =
             deploy(node, app, %{env: %{"EXIT_AFTER" => "0.3"}}, subscriber: self())

    assert Enum.any?(mailbox(), &match?({:deployment_progress, %{step: :health_check}}, &1))
    assert_untouched(context, app)
  end

  test "the same without domains", %{node: node, app: app} = context do
    assert {:error, :health_check_failed, _} =
             deploy(node, app, %{domains: [], env: %{"EXIT_AFTER" => "0.05"}})

    assert_untouched(context, app)
  end

  test "an app that never listens is not deployed, though the engine's proxy takes connections", context do
    %{node: node, app: app} = context
    opts = [health_check: [max_attempts: 4, interval: 250]]
    assert {:error, :health_check_failed, _} = deploy(node, app, %{env: %{"SILENT" => "1"}}, opts)
    assert_untouched(context, app)
  end

  test "a failing health check leaves the old version serving", %{node: node, caddy: caddy, app: app} do
    assert {:ok, old} = deploy(node, app)
    before = {Caddy.config(caddy), Enum.sort(call(node, PortManager, :list_allocated, []))}

    opts = [
      health_check: [type: :http, path: "/missing", expected_status: 200, max_attempts: 3, interval: 200]
    ]

    load = Load.start(caddy, "#{app}.localhost")
    assert {:error, :health_check_failed, d} = deploy(node, app, %{env: %{"PAGE" => "two"}}, opts)
    assert %{failed: 0} = Load.stop(load)
    assert d.status == :failed
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert [%{"Id" => id}] = Engine.containers(Engine.docker(), app)
    assert id == old.container_id
    assert before == {Caddy.config(caddy), Enum.sort(call(node, PortManager, :list_allocated, []))}
    assert {:ok, %{status: :running, container_name: name}} = call(node, Otturnaut.AppState, :get, [app])
    assert name == old.container_name
    assert :ok == undeploy(node, old)
  end

  test "a health check that is asked for and answers", %{node: node, app: app} do
    opts = [
      health_check: [type: :http, path: "/health", expected_status: 200, max_attempts: 20, interval: 100]
    ]

    assert {:ok, d} = deploy(node, app, %{env: %{"PAGE" => "one", "DELAY" => "0.5"}}, opts)
    assert :ok == undeploy(node, d)
  end

  test "domains that Caddy does not take", %{node: node, app: app} = context do
    assert {:error, reason, d} = deploy(node, app, %{domains: ["#{app}.a", "#{app}.a"]})

    assert {:route_switch_failed, {:unexpected_status, 500, %{"error" => "loading new config: " <> _}}} =
             reason

    assert d.error == reason
    assert_untouched(context, app)
  end

  test "Caddy is down", %{app: app} do
    agent = own_agent!()
    # What runs on this engine for others is known, and their ports are taken.
    ports = call(agent.node, PortManager, :list_allocated, [])
    assert {:error, {:route_switch_failed, :caddy_unavailable}, d} = deploy(agent.node, app)
    assert %{status: :failed, error: {:route_switch_failed, :caddy_unavailable}} = d
    assert [] == Engine.containers(Engine.docker(), app)
    assert ports == call(agent.node, PortManager, :list_allocated, [])
  end

  test "the engine is not there", %{app: app} do
    agent = own_agent!(env: %{"CONTAINER_SOCKET" => "/nowhere/engine.sock"})
    assert {:error, reason, d} = deploy(agent.node, app)

    assert {:container_start_failed, %{__struct__: Req.TransportError, __exception__: true, reason: :enoent}} =
             reason

    assert d.error == reason
    assert [] == call(agent.node, PortManager, :list_allocated, [])
    assert {:error, %{reason: :enoent}} = call(agent.node, Otturnaut.Runtime.Docker, :list_apps, [])
  end

  test "the ports are all taken", %{app: app, caddy: caddy} do
    agent = own_agent!(range: Ports.range(1), caddy: caddy)
    assert {:ok, _} = call(agent.node, PortManager, :allocate, [])
    assert {:error, {:port_allocation_failed, :exhausted}, d} = deploy(agent.node, app)
    assert %{status: :failed, error: {:port_allocation_failed, :exhausted}} = d
    assert [] == Engine.containers(Engine.docker(), app)
  end

  test "a deployment that says nonsense is refused before anything is touched",
       %{node: node, app: app} = context do
    for attrs <- [%{app_id: "-bad"}, %{app_id: "a/b"}, %{container_port: 0}, %{env: %{"A" => {1}}}] do
      d = Map.merge(deployment(node, app), attrs)
      assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = execute(node, d)
    end

    assert_untouched(context, app)
  end

  test "an app that is deaf to SIGTERM does not hold up undeploy for long", %{
    node: node,
    app: app,
    caddy: caddy
  } do
    assert {:ok, d} = deploy(node, app, %{env: %{"PAGE" => "one", "IGNORE_TERM" => "1"}})
    {micros, :ok} = :timer.tc(fn -> undeploy(node, d) end)
    assert micros < 30_000_000
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end
end
