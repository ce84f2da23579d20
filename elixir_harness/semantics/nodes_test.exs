defmodule Semantics.NodesTest do
  @moduledoc "What a client sees of the node itself: pings, lists, messages of its coming and going."
  use Harness.Semantics

  @nobody :"nobody_there@127.0.0.1"

  setup %{node: node} do
    on_exit(fn -> :net_kernel.monitor_nodes(false) end)
    assert :pong == Node.ping(node)
    :ok
  end

  defp disconnected!(node) do
    assert true == Node.disconnect(node)
    Wait.until("the link to be gone", fn -> node not in Node.list(:connected) end)
  end

  test "ping, connect and disconnect", %{node: node} do
    assert true == Node.connect(node)
    disconnected!(node)
    assert true == Node.connect(node)
    assert :pong == Node.ping(node)
    assert :pong == :net_adm.ping(node)
    assert true == :net_kernel.connect_node(node)
  end

  test "a name that nobody has is pang" do
    assert :pang == Node.ping(@nobody)
    assert false == Node.connect(@nobody)
    assert {:badrpc, :nodedown} == :rpc.call(@nobody, :erlang, :node, [])
    assert {:erpc, :noconnection} == catch_error(:erpc.call(@nobody, :erlang, :node, []))
  end

  test "the node is a hidden one", %{node: node} do
    assert node in Node.list(:hidden)
    assert node in Node.list(:connected)
    assert node in Node.list(:known)
    refute node in Node.list()
    refute node in Node.list(:visible)
    refute node in Node.list(:this)
    assert {:ok, info} = :net_kernel.node_info(node)
    assert {:type, :hidden} = List.keyfind(info, :type, 0)
    assert {:state, :up} = List.keyfind(info, :state, 0)
  end

  test "the client is a hidden one to the node", %{node: node} do
    nodes = fn args -> :rpc.call(node, :erlang, :nodes, args) end
    refute node() in nodes.([])
    refute node() in nodes.([:visible])
    assert node() in nodes.([:hidden])
    assert node() in nodes.([:connected])
    assert node() in nodes.([:known])
    assert [node] == nodes.([:this])
    assert [] == nodes.([:this]) -- nodes.([[:this, :hidden]])
    assert {:badrpc, {:EXIT, {:badarg, _}}} = nodes.([:nonsense])
  end

  test "nodeup and nodedown of a hidden node", %{node: node} do
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])
    disconnected!(node)
    assert_receive {:nodedown, ^node, down}, 5_000
    assert [node_type: :hidden, nodedown_reason: :disconnect] == Enum.sort(down)
    assert :pong == Node.ping(node)
    assert_receive {:nodeup, ^node, [node_type: :hidden]}, 5_000
    :ok = :net_kernel.monitor_nodes(false, [:nodedown_reason, node_type: :all])
    assert [] == mailbox()
  end

  test "who asks for visible nodes hears nothing of it", %{node: node} do
    :ok = :net_kernel.monitor_nodes(true)
    disconnected!(node)
    assert :pong == Node.ping(node)
    assert [] == mailbox()
  end

  test "a node that is monitored goes down once for each monitor", %{node: node} do
    true = Node.monitor(node, true)
    true = Node.monitor(node, true)
    true = Node.monitor(node, true)
    true = Node.monitor(node, false)
    disconnected!(node)
    assert_receive {:nodedown, ^node}, 5_000
    assert_receive {:nodedown, ^node}, 5_000
    assert :pong == Node.ping(node)
    assert [] == mailbox()
  end

  test "monitoring a node that is not there", %{} do
    true = Node.monitor(@nobody, true)
    assert_receive {:nodedown, @nobody}, 5_000
  end

  test "any use of the node connects to it", %{node: node} do
    uses = [
      fn -> :rpc.call(node, :erlang, :node, []) end,
      fn -> :erpc.call(node, :erlang, :node, []) end,
      fn -> GenServer.call({AppState, node}, :list) end,
      fn -> send({AppState, node}, :stray) end,
      fn -> Process.monitor({AppState, node}) end,
      fn -> Node.spawn(node, :erlang, :node, []) end
    ]

    for use <- uses do
      disconnected!(node)
      use.()
      Wait.until("the link", fn -> node in Node.list(:hidden) end)
    end
  end

  test "ten times in and out", %{node: node} do
    for _ <- 1..10 do
      disconnected!(node)
      assert :pong == Node.ping(node)
    end

    settle(node)
  end

  test "EPMD knows the name", %{node: node} do
    {:ok, names} = :erl_epmd.names(~c"127.0.0.1")
    [name, _host] = String.split("#{node}", "@")
    assert Enum.any?(names, fn {there, port} -> to_string(there) == name and port > 0 end)
  end
end
