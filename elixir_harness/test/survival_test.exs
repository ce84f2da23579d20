defmodule SurvivalTest do
  @moduledoc "Ends and restarts: SIGTERM, kill -9, lost connections, Caddy that comes back empty."
  use Harness.Case

  alias Otturnaut.{AppState, PortManager}

  setup do
    caddy = own_caddy!()
    agent = Agent.start!(caddy: caddy)
    on_exit(fn -> Agent.dispose(agent) end)
    {:ok, node: agent.node, agent: agent, caddy: caddy}
  end

  defp again!(agent) do
    agent = Agent.restart!(agent)
    on_exit(fn -> Agent.dispose(agent) end)
    agent
  end

  test "SIGTERM ends it with 0, soon", %{agent: agent} do
    {micros, status} = :timer.tc(fn -> Agent.stop(agent, :TERM) end)
    assert status == 0
    assert micros < 30_000_000
    assert Agent.log(agent) =~ "ended"
  end

  test "after kill -9 the state is rebuilt from the labels", %{
    agent: agent,
    node: node,
    caddy: caddy,
    app: app
  } do
    assert {:ok, first} = deploy(node, app)
    {:ok, state} = call(node, AppState, :get, [app])
    Agent.stop(agent, :KILL)
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    agent = again!(agent)

    assert {:ok, found} =
             Wait.until("the state", fn -> with {:error, _} <- call(node, AppState, :get, [app]), do: nil end)

    same = [:deployment_id, :container_name, :port, :domains, :status]
    assert Map.take(found, same) == Map.take(state, same)
    assert first.port in call(node, PortManager, :list_allocated, [])

    assert {:ok, second} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    assert second.previous_container_name == first.container_name
    assert {:ok, 200, "two\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert [_] = Engine.containers(Engine.docker(), app)
    Agent.stop(agent, :KILL)
    again!(agent)
    assert :ok == undeploy(node, second)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "routes of a backup lead to what runs after the start, whether Caddy answers then or not", c do
    %{agent: agent, node: node, caddy: caddy, app: app} = c
    routes = Path.join(agent.data_dir, "routes")
    backup = agent.data_dir <> "-routes"
    on_exit(fn -> File.rm_rf!(backup) end)
    assert {:ok, first} = deploy(node, app)
    File.cp_r!(routes, backup)
    assert {:ok, second} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    assert first.port != second.port
    serves = fn caddy -> Caddy.page(caddy, "#{app}.localhost") == {:ok, 200, "two\n"} end

    assert 0 == Agent.stop(agent)
    put_back!(backup, routes)
    refute serves.(caddy)
    agent = again!(agent)
    Wait.until("the route to lead to what runs", fn -> serves.(caddy) end)

    assert 0 == Agent.stop(agent)
    put_back!(backup, routes)
    Caddy.stop(caddy)
    again!(agent)

    assert {:ok, _} =
             Wait.until("the state", fn -> with {:error, _} <- call(node, AppState, :get, [app]), do: nil end)

    caddy = Caddy.start!(caddy)
    on_exit(fn -> Caddy.dispose(caddy) end)
    Wait.until("the route to come with Caddy, to what runs", fn -> serves.(caddy) end)
    assert :ok == undeploy(node, second)
  end

  defp put_back!(backup, routes) do
    File.rm_rf!(routes)
    File.cp_r!(backup, routes)
  end

  test "kill -9 in the middle of a deploy: the old version serves, the torn one can be cleared away", c do
    %{agent: agent, node: node, caddy: caddy, app: app} = c
    assert {:ok, old} = deploy(node, app)
    me = self()
    spawn(fn -> deploy(node, app, %{env: %{"PAGE" => "two", "DELAY" => "60"}}, subscriber: me) end)
    assert_receive {:deployment_progress, %{step: :health_check}}, 30_000
    Agent.stop(agent, :KILL)
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    again!(agent)

    Wait.until(
      "the torn container to be removed",
      fn -> match?([_], Engine.containers(Engine.docker(), app)) end,
      30_000
    )

    assert [%{"Id" => id}] = Engine.containers(Engine.docker(), app)
    assert id == old.container_id
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert :ok == undeploy(node, old)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "SIGTERM in the middle of a deploy ends or undoes it", %{
    agent: agent,
    node: node,
    caddy: caddy,
    app: app
  } do
    assert {:ok, old} = deploy(node, app)
    me = self()
    spawn(fn -> deploy(node, app, %{env: %{"PAGE" => "two", "DELAY" => "2"}}, subscriber: me) end)
    assert_receive {:deployment_progress, %{step: :health_check}}, 30_000
    assert 0 == Agent.stop(agent, :TERM)
    assert {:ok, 200, page} = Caddy.page(caddy, "#{app}.localhost")
    assert page in ["one\n", "two\n"]
    assert [_] = Engine.containers(Engine.docker(), app)
    again!(agent)
    assert :ok == undeploy(node, old)
    assert_nothing_left(%{node: node, caddy: caddy}, app)
  end

  test "a connection lost in the middle of a deploy: the deploy ends by itself", %{
    node: node,
    caddy: caddy,
    app: app
  } do
    peer = Peer.start!()
    d = deployment(node, app, %{env: %{"PAGE" => "one", "DELAY" => "1"}})
    args = [node, Otturnaut.Deployment, :execute, [d, Otturnaut.Deployment.Strategy.BlueGreen]]
    # Node.spawn of the peer: the peer is to die while its call is under way.
    Peer.call(peer, :erlang, :spawn, [:rpc, :call, args])
    Wait.until("the container", fn -> Engine.containers(Engine.docker(), app) != [] end)
    Peer.stop(peer)

    Wait.until(
      "the page",
      fn -> match?({:ok, 200, "one\n"}, Caddy.page(caddy, "#{app}.localhost")) end,
      30_000
    )

    assert {:ok, %{status: :running}} =
             Wait.until("the state", fn ->
               with {:ok, %{status: :deploying}} <- call(node, AppState, :get, [app]), do: nil
             end)

    assert :ok == undeploy(node, d)
  end

  test "Caddy came back empty: a restarted agent leads to the app again", %{
    agent: agent,
    node: node,
    caddy: caddy,
    app: app
  } do
    assert {:ok, d} = deploy(node, app)
    Caddy.stop(caddy)
    Agent.stop(agent, :KILL)
    caddy = Caddy.start!(caddy)
    on_exit(fn -> Caddy.stop(caddy) end)
    again!(agent)

    Wait.until(
      "the page",
      fn -> match?({:ok, 200, "one\n"}, Caddy.page(caddy, "#{app}.localhost")) end,
      30_000
    )

    assert :ok == undeploy(node, d)
  end

  test "an unknown container with a name like ours is left alone", %{agent: agent, node: node, app: app} do
    name = "otturnaut-#{app}-foreign"
    Engine.run!(Engine.docker(), name, %{Image: Images.web(), Env: ["PAGE=foreign"]})
    on_exit(fn -> Engine.remove(Engine.docker(), name) end)
    Agent.stop(agent, :TERM)
    again!(agent)
    assert :ok == undeploy(node, deployment(node, app))
    assert Engine.exists?(Engine.docker(), name)
  end

  test "stopping the application through init", %{agent: agent, node: node} do
    :rpc.call(node, :init, :stop, [])
    assert 0 == OsProcess.await_exit(agent.process, 30_000)
  end
end
