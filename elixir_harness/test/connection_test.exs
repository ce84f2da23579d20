defmodule ConnectionTest do
  @moduledoc "Links between nodes: cookies, reconnects, Mission Control, EPMD."
  use Harness.Case

  test "a wrong cookie is refused, the right one still works", %{node: node} do
    stranger = Peer.start!(cookie: "wrong")
    assert :pang == Peer.call(stranger, Node, :ping, [node])
    assert {:badrpc, :nodedown} == Peer.call(stranger, :rpc, :call, [node, :erlang, :node, []])
    assert :pong == Node.ping(node)
    Peer.stop(stranger)
  end

  test "several nodes at once, each served", %{node: node} do
    peers = for _ <- 1..3, do: Peer.start!()
    for peer <- peers, do: assert(node == Peer.call(peer, :rpc, :call, [node, :erlang, :node, []]))
    connected = call(node, :erlang, :nodes, [:connected])
    for peer <- peers, do: assert(peer.node in connected)
    Enum.each(peers, &Peer.stop/1)

    Wait.until("the links to end", fn ->
      peers |> Enum.map(& &1.node) |> Enum.all?(&(&1 not in call(node, :erlang, :nodes, [:connected])))
    end)
  end

  test "reconnects, twenty times", %{node: node} do
    for _ <- 1..20 do
      assert true == Node.disconnect(node)
      Wait.until("the link to be gone", fn -> node not in Node.list(:hidden) end)
      assert :pong == Node.ping(node)
    end

    assert node == call(node, :erlang, :node, [])
  end

  test "monitored nodes and processes go down with the agent" do
    agent = own_agent!()
    true = Node.monitor(agent.node, true)
    ref = Process.monitor({Otturnaut.AppState, agent.node})
    Agent.stop(agent, :KILL)
    assert_receive {:nodedown, _}, 30_000
    assert_receive {:DOWN, ^ref, :process, _, :noconnection}, 30_000
  end

  test "rubbish at the distribution port harms nobody" do
    agent = own_agent!(env: %{"OTTURNAUT_DIST_PORT" => "#{port = Ports.free()}"})

    for bytes <- ["GET / HTTP/1.1\r\n\r\n", <<0, 0>>, <<0xFFFF::16>>, :crypto.strong_rand_bytes(2_000)] do
      {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false])
      :gen_tcp.send(socket, bytes)
      :gen_tcp.close(socket)
    end

    assert :pong == Node.ping(agent.node)
  end

  test "the agent dials Mission Control, named whole" do
    mission_control = Peer.start!()
    agent = own_agent!(env: %{"MISSION_CONTROL_HOST" => "#{mission_control.node}"})

    Wait.until(
      "the agent to come",
      fn -> agent.node in Peer.call(mission_control, Node, :list, [:hidden]) end,
      30_000
    )

    Peer.stop(mission_control)
  end

  test "a bare host means mission_control there; it is dialled again after it came back" do
    start = fn -> Peer.start!(name: "mission_control@127.0.0.1") end
    mission_control = start.()
    agent = own_agent!(env: %{"MISSION_CONTROL_HOST" => "127.0.0.1"})
    here? = fn peer -> agent.node in Peer.call(peer, Node, :list, [:hidden]) end
    Wait.until("the agent to come", fn -> here?.(mission_control) end, 30_000)
    Peer.stop(mission_control)

    Wait.until("the link to be gone", fn ->
      :"mission_control@127.0.0.1" not in call(agent.node, :erlang, :nodes, [:connected])
    end)

    again = start.()
    Wait.until("the agent to come again", fn -> here?.(again) end, 40_000)
    Peer.stop(again)
  end

  test "Mission Control that is not there yet keeps nobody from anything" do
    name = "late_#{Agent.unique()}@127.0.0.1"
    agent = own_agent!(env: %{"MISSION_CONTROL_HOST" => name})
    assert agent.node == call(agent.node, :erlang, :node, [])
    late = Peer.start!(name: name)
    Wait.until("the agent to come", fn -> agent.node in Peer.call(late, Node, :list, [:hidden]) end, 40_000)
    Peer.stop(late)
  end

  test "without an EPMD the agent is one; Elixir nodes register there too" do
    port = Ports.free()
    agent = Agent.launch(Agent.describe(env: %{"ERL_EPMD_PORT" => "#{port}"}))
    on_exit(fn -> Agent.dispose(agent) end)
    Wait.until("an EPMD", fn -> Ports.open?(port) end)
    peer = Peer.start!(epmd_port: port, epmd: false)
    Wait.until("the agent to answer", fn -> Peer.call(peer, Node, :ping, [agent.node]) == :pong end)
    {:ok, names} = Peer.call(peer, :erl_epmd, :names, [~c"127.0.0.1"])
    names = Enum.map(names, fn {name, _} -> to_string(name) end)
    assert short(agent.node) in names
    assert short(peer.node) in names
    other = Peer.start!(epmd_port: port, epmd: false)
    assert :pong == Peer.call(other, Node, :ping, [peer.node])
    Enum.each([peer, other], &Peer.stop/1)
  end

  test "registers again when its EPMD comes back" do
    port = Ports.free()
    epmd = epmd!(port)
    agent = Agent.launch(Agent.describe(env: %{"ERL_EPMD_PORT" => "#{port}"}))
    on_exit(fn -> Agent.dispose(agent) end)
    name = short(agent.node)
    Wait.until("the name at EPMD", fn -> name in names(port) end)
    OsProcess.stop(epmd, :KILL)
    Wait.until("EPMD to be gone or replaced", fn -> not OsProcess.running?(epmd) end)
    again = if Ports.open?(port), do: nil, else: epmd!(port)
    Wait.until("the name again", fn -> name in names(port) end, 30_000)
    if again, do: OsProcess.stop(again, :KILL)
  end

  defp short(node), do: "#{node}" |> String.split("@") |> hd()

  defp epmd!(port) do
    program = System.find_executable("epmd") || Path.join([:code.root_dir(), "bin", "epmd"])
    epmd = OsProcess.start(program, args: ["-port", "#{port}", "-address", "127.0.0.1"])
    Wait.until("EPMD", fn -> Ports.open?(port) or not OsProcess.running?(epmd) end)
    epmd
  end

  # NAMES_REQ, as `epmd -names` asks.
  defp names(port) do
    with {:ok, socket} <- :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false], 1_000),
         :ok <- :gen_tcp.send(socket, <<1::16, 110>>),
         {:ok, <<_port::32, text::binary>>} <- :gen_tcp.recv(socket, 0, 1_000) do
      text = text <> rest(socket)
      :gen_tcp.close(socket)
      for [_, name] <- Regex.scan(~r/name (\S+) at/, text), do: name
    else
      _ -> []
    end
  end

  defp rest(socket) do
    case :gen_tcp.recv(socket, 0, 1_000) do
      {:ok, part} -> part <> rest(socket)
      _ -> ""
    end
  end
end
