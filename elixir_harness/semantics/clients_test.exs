defmodule Semantics.ClientsTest do
  @moduledoc "Other clients than this one: several at once, those without a name, those with short names."
  use Harness.Semantics

  defp far(peer, m, f, a), do: Peer.call(peer, m, f, a)

  describe "two clients" do
    setup %{node: node} do
      peer = peer!()
      assert :pong == far(peer, Node, :ping, [node])
      {:ok, peer: peer}
    end

    test "are both connected, and not to one another", %{node: node, peer: peer} do
      hidden = :rpc.call(node, :erlang, :nodes, [:hidden])
      assert node() in hidden and peer.node in hidden
      refute peer.node in Node.list(:connected)
      refute node() in far(peer, Node, :list, [:connected])
      assert node in far(peer, Node, :list, [:hidden])
    end

    test "see the same processes", %{node: node, peer: peer} do
      pid = whereis!(node, AppState)
      assert pid == far(peer, :rpc, :call, [node, :erlang, :whereis, [AppState]])
      assert :ok == far(peer, GenServer, :call, [pid, {:put, "shared", %{port: 1}}])
      assert {:ok, %{port: 1}} == GenServer.call(pid, {:get, "shared"})
      assert :ok == GenServer.call(pid, {:delete, "shared"})
      runner = runner!(node)
      assert runner in far(peer, Task.Supervisor, :children, [{Command.Supervisor, node}])
    end

    test "each hear of what they watch", %{node: node, peer: peer} do
      runner = runner!(node)
      ref = Process.monitor(runner)
      settle(node)
      assert true == far(peer, Process, :exit, [runner, :because])
      assert_receive {:DOWN, ^ref, :process, ^runner, :because}, 5_000
      assert {:erpc, :timeout} == far(peer, Harness.Semantics, :caught, [node, slow(200), 20])
      await_idle(node)
      assert [] == mailbox()
    end

    test "do not feel one another's end", %{node: node, peer: peer} do
      runner = runner!(node)
      ref = Process.monitor(runner)
      [m, f, a] = slow(300)
      call = Task.async(fn -> :rpc.call(node, m, f, a) end)
      true = Node.monitor(node, true)
      Peer.stop(peer)

      Wait.until("the link of the other to end", fn ->
        peer.node not in :rpc.call(node, :erlang, :nodes, [:hidden])
      end)

      assert %Command.Result{status: :ok} = Task.await(call)
      assert :rpc.call(node, :erlang, :is_process_alive, [runner])
      assert true == Process.demonitor(ref, [:flush, :info])
      true = Node.monitor(node, false)
      assert [] == mailbox()
    end

    test "who comes back under its name is served", %{node: node, peer: peer} do
      Peer.stop(peer)
      again = peer!(name: "#{peer.node}")
      assert :pong == far(again, Node, :ping, [node])
      assert node == far(again, :rpc, :call, [node, :erlang, :node, []])
    end
  end

  test "a visible and a hidden client are served alike", %{node: node} do
    for hidden <- [true, false] do
      peer = peer!(hidden: hidden)
      assert node == far(peer, :rpc, :call, [node, :erlang, :node, []])
      assert node in far(peer, Node, :list, [:hidden])
      assert [] == far(peer, Node, :list, [])
      assert peer.node in :rpc.call(node, :erlang, :nodes, [:hidden])
      refute peer.node in :rpc.call(node, :erlang, :nodes, [:visible])
      Peer.stop(peer)
    end
  end

  test "a client that is not connected is dialled when there is something for it", %{node: node} do
    here? = fn peer -> node in far(peer, Node, :list, [:hidden]) end

    for reach <- [
          fn pid -> :rpc.call(node, :erlang, :send, [pid, :hello]) end,
          fn pid -> :rpc.call(node, :erlang, :exit, [pid, :because]) end,
          fn pid -> runner!(node, pid) end
        ] do
      peer = peer!()
      pid = far(peer, :erlang, :spawn, [:timer, :sleep, [:infinity]])
      # From here the pid goes to the node by this client alone.
      refute here?.(peer)
      reach.(pid)
      Wait.until("the node to come", fn -> here?.(peer) end)
      Peer.stop(peer)
    end
  end

  test "a subscriber of a client that is not connected gets what its runner says", %{node: node} do
    peer = peer!()
    pid = far(peer, :erlang, :spawn, [Harness.Semantics, :keep, [[]]])
    args = ["sh", ["-c", "echo one; echo two; sleep 60; true"], [subscriber: pid]]
    assert {:ok, runner} = :rpc.call(node, Command, :run_async, args)

    Wait.until("the output", fn ->
      [stdout: "one", stdout: "two"] ==
        for({:command_output, ^runner, line} <- far(peer, Harness.Semantics, :kept, [pid]), do: line)
    end)

    assert :rpc.call(node, :erlang, :is_process_alive, [runner])
    Process.exit(runner, :kill)
  end

  test "a client with another cookie is not let in", %{node: node} do
    stranger = peer!(cookie: "wrong")
    assert :pang == far(stranger, Node, :ping, [node])
    assert {:badrpc, :nodedown} == far(stranger, :rpc, :call, [node, :erlang, :node, []])
    refute stranger.node in :rpc.call(node, :erlang, :nodes, [:connected])
  end

  test "a client without a name gets one from the node", %{node: node} do
    peer = peer!(name: nil)
    options = %{name_domain: :longnames, hidden: hidden?()}
    assert {:ok, _} = far(peer, :net_kernel, :start, [:"undefined@127.0.0.1", options])
    assert true == far(peer, Node, :connect, [node])
    name = far(peer, Node, :self, [])
    assert "#{name}" =~ ~r/^[0-9A-Z]+@127\.0\.0\.1$/
    assert node == far(peer, :rpc, :call, [node, :erlang, :node, []])
    assert is_list(far(peer, GenServer, :call, [{AppState, node}, :list]))
    assert name in :rpc.call(node, :erlang, :nodes, [:hidden])
    pid = far(peer, :erlang, :self, [])
    assert node(pid) == name
    assert name == :rpc.call(node, :erlang, :node, [pid])

    other = peer!(name: nil)
    assert {:ok, _} = far(other, :net_kernel, :start, [:"undefined@127.0.0.1", options])
    assert true == far(other, Node, :connect, [node])
    assert name != far(other, Node, :self, [])
  end

  test "a node with a short name, for clients with short names" do
    target = own_target!(short: true, await: false)
    peer = peer!(name: "peer_#{Harness.Agent.unique()}@localhost", short: true)
    node = target.node
    Wait.until("#{node}", fn -> far(peer, Node, :ping, [node]) == :pong end)

    Wait.until("its server", fn -> is_pid(far(peer, :rpc, :call, [node, :erlang, :whereis, [AppState]])) end)
    assert node == far(peer, :rpc, :call, [node, :erlang, :node, []])
    assert is_list(far(peer, GenServer, :call, [{AppState, node}, :list]))
    assert peer.node in far(peer, :rpc, :call, [node, :erlang, :nodes, [:hidden]])
    assert :pang == Node.ping(node)
  end
end
