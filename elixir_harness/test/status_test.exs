defmodule StatusTest do
  @moduledoc "Otturnaut.status, apps and app: what is true now, joined of state, engine and health; and the same as metrics."
  use Harness.Case

  alias Otturnaut.Deployment

  defp status(node), do: call(node, Otturnaut, :status, [])

  # What is known of an app, once it is so.
  defp app_once!(node, app, what, holds) do
    once = fn ->
      case call(node, Otturnaut, :app, [app]) do
        {:ok, known} -> if holds.(known), do: known
        {:error, :not_found} -> nil
      end
    end

    Wait.until(what, once, 60_000)
  end

  test "the version, and what an outpost tells of itself", %{node: node, rig: rig, caddy: caddy} do
    version = call(node, Otturnaut, :version, [])
    assert is_binary(version)

    seen =
      Wait.until("all to be seen", fn ->
        seen = status(node)
        if seen.host && seen.proxy.available && match?(%{docker: %{available: true}}, seen.runtimes), do: seen
      end)

    assert %{node: ^node, version: ^version, started_at: %DateTime{}, uptime_ms: uptime} = seen
    assert is_integer(uptime) and uptime > 0
    assert %{available: true, version: engine, reason: nil, since: %DateTime{}} = seen.runtimes.docker
    assert is_binary(engine)
    url = Caddy.admin_url(caddy)
    assert %{available: true, reason: nil, url: ^url, age_ms: age} = seen.proxy
    assert is_integer(age)
    assert %{node: nil, connected: false, since: nil} == seen.mission_control
    assert seen.ports.range == rig.agent.range
    assert is_integer(seen.ports.allocated)
    assert is_list(seen.deployments)
    assert %{total: total, running: running, unhealthy: _, stopped: _, deploying: _, missing: _} = seen.apps
    assert running <= total
    assert Map.keys(seen) == Map.keys(call(node, Otturnaut.Status, :status, []))

    host = seen.host
    assert host.cpus > 0 and host.uptime_ms > 0 and is_integer(host.age_ms)
    assert {one, five, fifteen} = host.load
    assert Enum.all?([one, five, fifteen], &is_float/1)
    assert %{total: total, free: free, used: used} = host.memory
    assert total > 0 and free + used == total
    assert %{total: _, free: _, used: _} = host.swap
    assert %{path: path, bytes: %{total: bytes, free: _}, inodes: %{total: _, free: _}} = host.disk.data
    assert path == rig.agent.data_dir and bytes > 0
    Wait.until("two looks at the processors", fn -> is_float(status(node).host.cpu_percent) end)
  end

  test "an app that nobody knows", %{node: node, app: app} do
    assert {:error, :not_found} == call(node, Otturnaut, :app, [app])
    assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = call(node, Otturnaut, :app, [:no_text])
    refute Enum.any?(call(node, Otturnaut, :apps, []), &(&1.app_id == app))
  end

  test "an app from its deploy to its end", %{node: node, app: app} do
    before = status(node).apps
    assert {:ok, first} = deploy(node, app)
    assert {:ok, d} = deploy(node, app, %{env: %{"PAGE" => "two"}})

    running =
      app_once!(
        node,
        app,
        "the new container",
        &(&1.container_id == d.container_id and &1.status == :running)
      )

    container = Engine.inspect!(Engine.docker(), d.container_id)
    {id, name, port, image} = {d.id, d.container_name, d.port, d.image}

    assert %{
             app_id: ^app,
             deployment_id: ^id,
             container_name: ^name,
             port: ^port,
             image: ^image,
             runtime: Otturnaut.Runtime.Docker,
             restarts: 0,
             exit_code: nil,
             fresh: true
           } = running

    assert running.image_id == container["Image"]
    assert running.domains == d.domains
    assert running.releases == [d.id, first.id]
    {:ok, started, 0} = DateTime.from_iso8601(container["State"]["StartedAt"])
    assert abs(DateTime.diff(running.started_at, started, :millisecond)) < 1_000
    assert is_integer(running.age_ms)
    assert Enum.find(call(node, Otturnaut, :apps, []), &(&1.app_id == app)).container_id == d.container_id
    assert status(node).apps.total == before.total + 1
    app_once!(node, app, "it to be known as healthy", &(&1.health == :healthy))

    used = app_once!(node, app, "what it uses", &(&1.usage != nil)).usage
    assert used.cpu_ns > 0 and used.memory > 0 and used.memory_limit >= used.memory
    assert used.processes > 0 and is_integer(used.age_ms)
    assert is_integer(used.network_received) and is_integer(used.network_sent)

    Engine.kill(Engine.docker(), d.container_name)
    app_once!(node, app, "its exit", &(&1.exits > 0))
    Engine.remove(Engine.docker(), d.container_name)
    app_once!(node, app, "its end", &(&1.status == :missing))
    assert :ok == undeploy(node, d)
    assert {:error, :not_found} == call(node, Otturnaut, :app, [app])
  end

  test "a deployment under way is in it, with its step", %{node: node, app: app} do
    d = deployment(node, app, %{env: %{"DELAY" => "100"}})
    me = self()
    task = Task.async(fn -> execute(node, d, subscriber: me) end)
    assert_receive {:deployment_progress, %{step: :health_check}}, 30_000
    id = d.id

    assert [%{deployment_id: ^id, kind: :deploy, status: :running, step: :health_check, since: %DateTime{}}] =
             for(%{app_id: ^app} = run <- status(node).deployments, do: run)

    assert :ok == call(node, Deployment, :cancel, [id])
    assert {:error, :cancelled, _} = Task.await(task, 60_000)
    assert [] == for(%{app_id: ^app} = run <- status(node).deployments, do: run)
  end

  test "two hundred apps are answered at once, and without engine or Caddy" do
    agent =
      own_agent!(
        env: %{"CONTAINER_SOCKET" => "/nowhere/engine.sock", "CADDY_ADMIN_URL" => "http://127.0.0.1:1"}
      )

    apps = for n <- 1..200, do: "many#{n}"

    for {app, n} <- Enum.with_index(apps) do
      known = %{
        container_name: "otturnaut-#{app}-1",
        port: 10_000 + n,
        domains: ["#{app}.localhost"],
        status: :running
      }

      assert :ok == call(agent.node, Otturnaut.AppState, :put, [app, known])
    end

    assert Enum.sort(apps) == for(known <- call(agent.node, Otturnaut, :apps, []), do: known.app_id)
    assert status(agent.node).apps.total == 200
    Wait.until("Caddy to be missed", fn -> status(agent.node).proxy.available == false end)
  end

  test "Mission Control: who it is, and since when it is connected" do
    peer = Peer.start!()
    agent = own_agent!(env: %{"MISSION_CONTROL_HOST" => "#{peer.node}"})
    name = peer.node

    Wait.until("the connection", fn ->
      match?(%{node: ^name, connected: true, since: %DateTime{}}, status(agent.node).mission_control)
    end)

    Peer.stop(peer)
    gone = %{node: name, connected: false, since: nil}
    Wait.until("its end", fn -> status(agent.node).mission_control == gone end)
  end

  test "metrics tell of the app, and of what became of its deploys", %{app: app, caddy: caddy} do
    port = Ports.free()
    agent = own_agent!(caddy: caddy, env: %{"OTTURNAUT_METRICS_ADDR" => "127.0.0.1:#{port}"})
    assert {:ok, d} = deploy(agent.node, app)
    broken = %{env: %{"EXIT_AFTER" => "0.05"}}
    assert {:error, :health_check_failed, _} = deploy(agent.node, app, broken)

    wanted = [
      ~s(otturnaut_app_up{app="#{app}"} 1.0),
      ~s(otturnaut_app_restarts{app="#{app}"} 0.0),
      ~s(otturnaut_deployment_duration_seconds_count{kind="deploy",outcome="completed"} 1),
      ~s(otturnaut_deployment_duration_seconds_count{kind="deploy",outcome="failed"} 1),
      ~s(otturnaut_deployment_step_duration_seconds_count{kind="deploy",step="health_check"} 2),
      ~s(otturnaut_proxy_up 1.0),
      ~s(otturnaut_runtime_up{runtime="docker"} 1.0)
    ]

    begun = [
      ~s(otturnaut_app_cpu_seconds_total{app="#{app}"} ),
      ~s(otturnaut_app_memory_bytes{app="#{app}"} ),
      ~s(otturnaut_app_network_sent_bytes_total{app="#{app}"} )
    ]

    all_there = fn ->
      {:ok, 200, page} = Http.get({"127.0.0.1", port}, "/metrics")
      lines = String.split(page, "\n")

      wanted -- lines == [] and
        Enum.all?(begun, fn start -> Enum.any?(lines, &String.starts_with?(&1, start)) end)
    end

    Wait.until("the figures", all_there, 60_000)
    assert :ok == undeploy(agent.node, d)

    Wait.until("the app to leave", fn ->
      {:ok, 200, page} = Http.get({"127.0.0.1", port}, "/metrics")
      not (page =~ app) and page =~ ~s(kind="undeploy",outcome="completed")
    end)
  end
end
