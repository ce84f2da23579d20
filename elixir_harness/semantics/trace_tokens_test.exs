defmodule Semantics.TraceTokensTest do
  @moduledoc "A client that carries a sequential trace token: every signal takes another form on the wire, and means the same."
  use Harness.Semantics

  setup %{node: node} do
    {:ok, server: {AppState, node}, pid: whereis!(node, AppState)}
  end

  # Each step with a token of its own: what comes without one takes the process's token away.
  defp traced(step) do
    :seq_trace.set_token(:label, 17)
    :seq_trace.set_token(:send, true)
    result = step.()
    token = :seq_trace.get_token(:label)
    :seq_trace.set_token([])
    {result, token}
  end

  defp value({result, _token}), do: result

  test "calls of functions", %{node: node} do
    assert node == value(traced(fn -> :rpc.call(node, :erlang, :node, []) end))
    assert node == value(traced(fn -> :erpc.call(node, :erlang, :node, []) end))
    assert node == value(traced(fn -> :rpc.block_call(node, :erlang, :node, []) end))
    assert {[node], []} == value(traced(fn -> :rpc.multicall([node], :erlang, :node, []) end))
    assert {:badrpc, {:EXIT, {:undef, _}}} = value(traced(fn -> :rpc.call(node, Nope, :nope, []) end))
    [m, f, a] = slow(50)
    assert %Command.Result{status: :ok} = value(traced(fn -> :rpc.call(node, m, f, a) end))
    assert true == value(traced(fn -> :rpc.cast(node, AppState, :put, ["traced", %{port: 1}]) end))
    Wait.until("the cast", fn -> {:ok, %{port: 1}} == :rpc.call(node, AppState, :get, ["traced"]) end)
  end

  test "calls of servers, and the token comes back with the answer", %{node: node, server: server, pid: pid} do
    token = {:label, 17}
    assert {[], token} == traced(fn -> GenServer.call(server, :list) end)
    assert {[], token} == traced(fn -> GenServer.call(pid, :list) end)
    assert {%{}, token} == traced(fn -> :sys.get_state(server) end)
    assert {:hello, token} == traced(fn -> send({:nobody_here, node}, :hello) end)
    assert {{[{^node, _}], []}, _} = traced(fn -> GenServer.multi_call([node], PortManager, :get_range) end)
    assert {:noproc, _} = value(traced(fn -> catch_exit(GenServer.call({:nobody_here, node}, :hello)) end))
  end

  test "aliases", %{node: node, server: server} do
    alias = :erlang.alias()
    traced(fn -> send(server, {:"$gen_call", {self(), [:alias | alias]}, :list}) end)
    assert_receive {[:alias | ^alias], []}, 5_000
    traced(fn -> :rpc.call(node, :erlang, :send, [alias, :hello]) end)
    assert_receive :hello, 5_000
  end

  test "monitors and exits", %{node: node, pid: pid} do
    for victim <- [runner!(node), pid] do
      ref = value(traced(fn -> Process.monitor(victim) end))
      back = value(traced(fn -> Process.monitor(victim) end))
      traced(fn -> Process.demonitor(back) end)
      traced(fn -> Process.exit(victim, :normal) end)
      traced(fn -> Process.exit(victim, {:because, 1}) end)
      assert_receive {:DOWN, ^ref, :process, ^victim, {:because, 1}}, 5_000
    end

    ref = value(traced(fn -> Process.monitor({:nobody_here, node}) end))
    assert_receive {:DOWN, ^ref, :process, {:nobody_here, ^node}, :noproc}, 5_000
    restarted!(node, AppState, pid)
    assert [] == mailbox()
  end

  test "links, both ways", %{node: node} do
    Process.flag(:trap_exit, true)
    runner = runner!(node, alone())
    traced(fn -> Process.link(runner) end)
    traced(fn -> Process.exit(runner, :because) end)
    assert_receive {:EXIT, ^runner, :because}, 5_000

    runner = runner!(node, alone())
    ref = Process.monitor(runner)
    # It ends with a token: so does the signal to what is linked to it.
    {pid, here} = spawn_monitor(fn -> traced(fn -> Process.link(runner) && exit({:because, 2}) end) end)
    assert_receive {:DOWN, ^here, :process, ^pid, {:because, 2}}, 5_000
    assert_receive {:DOWN, ^ref, :process, ^runner, {:because, 2}}, 5_000

    runner = runner!(node, alone())
    ref = Process.monitor(runner)
    traced(fn -> Process.link(runner) end)
    traced(fn -> Process.unlink(runner) end)
    Process.exit(runner, :kill)
    assert_receive {:DOWN, ^ref, :process, ^runner, :killed}, 5_000
    settle(node)
    assert [] == mailbox()
  end

  test "spawns", %{node: node} do
    Process.flag(:trap_exit, true)
    assert node == node(value(traced(fn -> Node.spawn(node, :erlang, :node, []) end)))
    {pid, ref} = value(traced(fn -> :erlang.spawn_opt(node, :erlang, :node, [], [:link, :monitor]) end))
    assert_receive {:EXIT, ^pid, :normal}, 5_000
    assert_receive {:DOWN, ^ref, :process, ^pid, :normal}, 5_000
    id = value(traced(fn -> :erlang.spawn_request(node, :erlang, :node, [], []) end))
    assert_receive {:spawn_reply, ^id, :ok, _}, 5_000
    id = value(traced(fn -> :erlang.spawn_request(node, :erlang, :node, [], [:nonsense]) end))
    assert_receive {:spawn_reply, ^id, :error, :badopt}, 5_000
    assert [] == mailbox()
  end

  test "streams of a command", %{node: node} do
    args = ["echo", ["hi"], [subscriber: self()]]
    {:ok, runner} = value(traced(fn -> :rpc.call(node, Command, :run_async, args) end))
    assert_receive {:command_output, ^runner, {:stdout, "hi"}}, 5_000
    assert_receive {:command_done, ^runner, %Command.Result{status: :ok}}, 5_000
  end
end
