defmodule StateTest do
  @moduledoc "Otturnaut.AppState and Otturnaut.PortManager: functions and registered servers."
  use Harness.Case

  alias Otturnaut.{AppState, PortManager}

  @app %{
    deployment_id: "d1",
    container_name: "c",
    port: 10_042,
    domains: ["a.b"],
    status: :running,
    mood: {:good, 1}
  }

  test "an application's map comes back whole", %{node: node, app: app} do
    assert :ok == call(node, AppState, :put, [app, @app])
    assert {:ok, @app} == call(node, AppState, :get, [app])
    assert {app, @app} in call(node, AppState, :list, [])
    assert :ok == call(node, AppState, :update, [app, :port, 10_043])
    assert :ok == call(node, AppState, :update_status, [app, :stopped])
    assert {:ok, %{@app | port: 10_043, status: :stopped}} == call(node, AppState, :get, [app])
    assert :ok == call(node, AppState, :delete, [app])
    assert {:error, :not_found} == call(node, AppState, :get, [app])
    assert {:error, :not_found} == call(node, AppState, :update, [app, :port, 1])
    assert {:error, :not_found} == call(node, AppState, :update_status, [app, :running])
    assert :ok == call(node, AppState, :delete, [app])
  end

  test "the same by messages to the registered server", %{node: node, app: app} do
    server = {AppState, node}
    assert :ok == GenServer.call(server, {:put, app, @app})
    assert {:ok, @app} == GenServer.call(server, {:get, app})
    assert {app, @app} in GenServer.call(server, :list)
    assert :ok == GenServer.call(server, {:update, app, :port, 10_044})
    assert {:ok, %{port: 10_044}} = GenServer.call(server, {:get, app})
    assert :ok == GenServer.call(server, {:delete, app})
    assert {:error, :not_found} == GenServer.call(server, {:get, app})
  end

  test "each function takes a server as a further last argument", %{node: node, app: app} do
    assert :ok == call(node, AppState, :put, [app, @app, AppState])
    assert {:ok, @app} == call(node, AppState, :get, [app, AppState])
    assert :ok == call(node, AppState, :update, [app, :port, 1, AppState])
    assert :ok == call(node, AppState, :update_status, [app, :running, AppState])
    assert is_list(call(node, AppState, :list, [AppState]))
    assert :ok == call(node, AppState, :delete, [app, AppState])
  end

  test "clear forgets everything", %{app: app} do
    agent = own_agent!()
    assert :ok == call(agent.node, AppState, :put, [app, @app])
    assert :ok == call(agent.node, AppState, :clear, [])
    assert [] == call(agent.node, AppState, :list, [])
    assert :ok == GenServer.call({AppState, agent.node}, :clear)
  end

  test "ports are in the range, never handed out twice, free again when released", %{node: node, rig: rig} do
    assert rig.agent.range == call(node, PortManager, :get_range, [])
    {low, high} = rig.agent.range
    ports = for _ <- 1..20, do: node |> call(PortManager, :allocate, []) |> elem(1)
    assert Enum.uniq(ports) == ports
    assert Enum.all?(ports, &(&1 in low..high))
    assert ports -- call(node, PortManager, :list_allocated, []) == []
    assert call(node, PortManager, :in_use?, [hd(ports)])
    for port <- ports, do: assert(:ok == call(node, PortManager, :release, [port]))
    refute call(node, PortManager, :in_use?, [hd(ports)])
    assert :ok == call(node, PortManager, :release, [hd(ports)])
  end

  test "the same by messages", %{node: node, rig: rig} do
    server = {PortManager, node}
    assert rig.agent.range == GenServer.call(server, :get_range)
    assert {:ok, port} = GenServer.call(server, :allocate)
    assert GenServer.call(server, {:in_use?, port})
    assert port in GenServer.call(server, :list_allocated)
    assert :ok == GenServer.call(server, {:release, port})
  end

  test "a port that somebody listens on is never handed out; then they are exhausted" do
    {low, high} = range = Ports.range(4)
    {:ok, taken} = :gen_tcp.listen(low + 1, ip: {127, 0, 0, 1})
    {:ok, everywhere} = :gen_tcp.listen(low + 2, [])
    agent = own_agent!(range: range)
    given = for _ <- 1..2, do: call(agent.node, PortManager, :allocate, [])
    assert Enum.sort(given) == [{:ok, low}, {:ok, high}]
    assert {:error, :exhausted} == call(agent.node, PortManager, :allocate, [])
    assert {:error, :exhausted} == GenServer.call({PortManager, agent.node}, :allocate)
    Enum.each([taken, everywhere], &:gen_tcp.close/1)
  end
end
