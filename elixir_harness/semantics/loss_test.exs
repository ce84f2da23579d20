defmodule Semantics.LossTest do
  @moduledoc "The node is lost, by its end or by the link's: who waits for it hears of it, and it can come back."
  use Harness.Semantics

  setup do
    target = own_target!()
    Process.flag(:trap_exit, true)
    {:ok, target: target, node: target.node}
  end

  # Calls under way, each with what it must come to when the node is lost.
  defp under_way(node) do
    :ok = :sys.suspend({AppState, node})
    [m, f, a] = slow(10_000)
    server = {AppState, node}

    calls = [
      {fn -> :rpc.call(node, m, f, a) end, {:badrpc, :nodedown}},
      {fn -> :rpc.call(node, m, f, a, 60_000) end, {:badrpc, :nodedown}},
      {fn -> :rpc.block_call(node, m, f, a) end, {:badrpc, :nodedown}},
      {fn -> :rpc.multicall([node], m, f, a) end, {[], [node]}},
      {fn -> catch_error(:erpc.call(node, m, f, a)) end, {:erpc, :noconnection}},
      {fn -> :erpc.multicall([node], m, f, a) end, [error: {:erpc, :noconnection}]},
      {fn -> catch_exit(GenServer.call(server, :list)) end,
       {{:nodedown, node}, {GenServer, :call, [server, :list, 5000]}}},
      {fn -> GenServer.multi_call([node], AppState, :list) end, {[], [node]}}
    ]

    tasks = for {call, expected} <- calls, do: {Task.async(call), expected}
    # Six of the calls have a runner, beside the one that is watched.
    Wait.until("the runners", fn -> length(Task.Supervisor.children({Command.Supervisor, node})) == 7 end)
    tasks
  end

  defp assert_lost(tasks) do
    for {task, expected} <- tasks, do: assert(expected == Task.await(task, 10_000))
  end

  # A runner that does not end with the test's process, with a link and monitors to it.
  defp watched!(node) do
    runner = runner!(node, alone())
    Process.link(runner)
    {runner, Process.monitor(runner), Process.monitor({AppState, node})}
  end

  defp assert_heard({runner, by_pid, by_name}, node) do
    assert_receive {:DOWN, ^by_pid, :process, ^runner, :noconnection}, 10_000
    assert_receive {:DOWN, ^by_name, :process, {AppState, ^node}, :noconnection}, 5_000
    assert_receive {:EXIT, ^runner, :noconnection}, 5_000
  end

  test "killed in the middle of everything, and started again", %{target: target, node: node} do
    :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :all])
    true = Node.monitor(node, true)
    old = whereis!(node, AppState)
    creation = :rpc.call(node, :erlang, :system_info, [:creation])
    watched = watched!(node)
    calls = under_way(node)
    Target.stop(target, :KILL)
    assert_heard(watched, node)
    assert_lost(calls)
    assert_receive {:nodedown, ^node}, 5_000
    assert_receive {:nodedown, ^node, info}, 5_000
    assert [node_type: :hidden, nodedown_reason: :connection_closed] == Enum.sort(info)
    refute node in Node.list(:connected)
    assert :pang == Node.ping(node)
    assert {:badrpc, :nodedown} == :rpc.call(node, :erlang, :node, [])
    :ok = :net_kernel.monitor_nodes(false, [:nodedown_reason, node_type: :all])

    ref = Process.monitor(old)
    assert_receive {:DOWN, ^ref, :process, ^old, :noconnection}, 5_000
    Process.link(old)
    assert_receive {:EXIT, ^old, :noconnection}, 5_000
    ref = Process.monitor({AppState, node})
    assert_receive {:DOWN, ^ref, :process, {AppState, ^node}, :noconnection}, 5_000
    assert :stray == send(old, :stray)

    again = Target.restart!(target)
    on_exit(fn -> Target.dispose(again) end)
    assert node == :rpc.call(node, :erlang, :node, [])
    assert is_list(GenServer.call({AppState, node}, :list))
    assert creation != :rpc.call(node, :erlang, :system_info, [:creation])

    # The process of before is not one of now, whatever its number.
    ref = Process.monitor(old)
    assert_receive {:DOWN, ^ref, :process, ^old, :noproc}, 5_000
    Process.link(old)
    assert_receive {:EXIT, ^old, :noproc}, 5_000
    assert {:noproc, _} = catch_exit(GenServer.call(old, :list))
    assert true == Process.exit(old, :kill)
    assert :stray == send(old, :stray)
    assert false == :rpc.call(node, :erlang, :is_process_alive, [old])
    assert old != whereis!(node, AppState)
    settle(node)
    # The tasks that called are linked to this process, and ended normally.
    assert [] == Enum.reject(mailbox(), &match?({:EXIT, _, :normal}, &1))
  end

  test "disconnected in the middle of everything, and back at once", %{node: node} do
    old = whereis!(node, AppState)
    watched = watched!(node)
    calls = under_way(node)
    assert true == Node.disconnect(node)
    assert_heard(watched, node)
    assert_lost(calls)
    # The node itself lives on, and so does what nobody here was linked to.
    assert :ok == :sys.resume({AppState, node})
    assert old == whereis!(node, AppState)
    assert is_list(GenServer.call(old, :list))
  end

  test "what is linked over a lost link ends there with noconnection", %{node: node} do
    peer = peer!()
    assert :pong == Peer.call(peer, Node, :ping, [node])
    runner = runner!(node)
    ref = Process.monitor(runner)
    Peer.call(peer, :erlang, :spawn, [Harness.Semantics, :link_and_sleep, [runner]])
    Wait.until("the link", fn -> linked_from?(peer.node, node, runner) end)
    Peer.call(peer, Node, :disconnect, [node])
    assert_receive {:DOWN, ^ref, :process, ^runner, :noconnection}, 5_000
    await_idle(node)
  end

  defp linked_from?(from, node, pid) do
    {:links, links} = :rpc.call(node, :erlang, :process_info, [pid, :links])
    Enum.any?(links, &(node(&1) == from))
  end

  test "an orderly end", %{target: target, node: node} do
    true = Node.monitor(node, true)
    ref = Process.monitor({AppState, node})
    assert 0 == Target.stop(target, :TERM)
    assert_receive {:nodedown, ^node}, 5_000
    assert_receive {:DOWN, ^ref, :process, {AppState, ^node}, reason}, 5_000
    assert reason in [:shutdown, :noconnection]
  end

  test "an end that was asked for by init", %{target: target, node: node} do
    true = Node.monitor(node, true)
    assert :ok == :rpc.call(node, :init, :stop, [])
    assert_receive {:nodedown, ^node}, 15_000
    assert 0 == Target.await_exit(target)
  end

  test "an end that was asked for by halt", %{target: target, node: node} do
    true = Node.monitor(node, true)
    assert :rpc.call(node, :erlang, :halt, []) == {:badrpc, :nodedown}
    assert_receive {:nodedown, ^node}, 15_000
    assert 0 == Target.await_exit(target)
  end
end
