defmodule Semantics.RpcTest do
  @moduledoc "Every way of `:rpc` into the node, and how its calls fail."
  use Harness.Semantics

  @nobody :"nobody_there@127.0.0.1"

  # A module, a function or an arity that is not there.
  @undefined [{Nope, :nope, [1]}, {AppState, :nope, []}, {AppState, :get, []}, {:erlang, :whereis, [1, 2]}]

  test "calls answer with the value", %{node: node} do
    assert node == :rpc.call(node, :erlang, :node, [])
    assert node == :rpc.call(node, :erlang, :node, [], 5_000)
    assert node == :rpc.call(node, :erlang, :node, [], :infinity)
    assert node == :rpc.block_call(node, :erlang, :node, [])
    assert node == :rpc.block_call(node, :erlang, :node, [], 5_000)
    assert [] == mailbox()
  end

  test "what is not there is undef, with the arguments", %{node: node} do
    for {m, f, a} <- @undefined, call <- [:call, :block_call] do
      assert {:badrpc, {:EXIT, {:undef, [{^m, ^f, ^a, []} | stack]}}} = apply(:rpc, call, [node, m, f, a])
      assert Enum.all?(stack, &match?({_, _, _, _}, &1))
    end
  end

  test "an error of a function comes with its stack", %{node: node} do
    for call <- [:call, :block_call] do
      assert {:badrpc, {:EXIT, {:badarg, [{:erlang, :whereis, [1], [_ | _]} | _]}}} =
               apply(:rpc, call, [node, :erlang, :whereis, [1]])
    end
  end

  test "an exit of a function is an EXIT with the reason", %{node: node} do
    reason = {:noproc, {GenServer, :call, [:nobody_here, {:get, "a"}, 5000]}}
    assert {:badrpc, {:EXIT, reason}} == :rpc.call(node, AppState, :get, ["a", :nobody_here])
    assert {:badrpc, {:EXIT, reason}} == :rpc.block_call(node, AppState, :get, ["a", :nobody_here])
  end

  test "throw, exit and error", %{node: node} do
    for call <- [:call, :block_call], rpc = fn f, a -> apply(:rpc, call, [node, :erlang, f, a]) end do
      assert :ball == rpc.(:throw, [:ball])
      assert {:badrpc, {:EXIT, :why}} == rpc.(:exit, [:why])
      assert {:badrpc, {:EXIT, {:why, stack}}} = rpc.(:error, [:why])
      assert is_list(stack)
    end
  end

  test "a call that takes longer than its caller waits, and nothing comes later", %{node: node} do
    [m, f, a] = slow(200)
    assert {:badrpc, :timeout} == :rpc.call(node, m, f, a, 50)
    assert {:badrpc, :timeout} == :rpc.call(node, m, f, a, 0)
    await_idle(node)
    settle(node)
    assert [] == mailbox()
  end

  test "a block_call that takes longer than its caller waits, and nothing comes later", %{node: node} do
    [m, f, a] = slow(200)
    assert {:badrpc, :timeout} == :rpc.block_call(node, m, f, a, 50)
    await_idle(node)
    settle(node)
    assert [] == mailbox()
  end

  test "asynchronous calls and their keys", %{node: node} do
    key = :rpc.async_call(node, :erlang, :node, [])
    assert node == :rpc.yield(key)
    [m, f, a] = slow(150)
    key = :rpc.async_call(node, m, f, a)
    assert :timeout == :rpc.nb_yield(key)
    assert :timeout == :rpc.nb_yield(key, 20)
    assert {:value, %Command.Result{status: :ok}} = :rpc.nb_yield(key, 5_000)
    key = :rpc.async_call(node, Nope, :nope, [])
    assert {:value, {:badrpc, {:EXIT, {:undef, [{Nope, :nope, [], []} | _]}}}} = :rpc.nb_yield(key, 5_000)
    assert [] == mailbox()
  end

  test "a cast is done, and answers nothing", %{node: node} do
    assert true == :rpc.cast(node, AppState, :put, ["cast", %{port: 1}])
    Wait.until("the cast", fn -> {:ok, %{port: 1}} == :rpc.call(node, AppState, :get, ["cast"]) end)
    assert true == :rpc.cast(node, Nope, :nope, [])
    assert true == :rpc.cast(node, :erlang, :whereis, [1])
    settle(node)
    assert [] == mailbox()
  end

  test "multicalls tell the nodes apart that answer and that do not", %{node: node} do
    assert {[node], []} == :rpc.multicall([node], :erlang, :node, [])
    assert {[node], [@nobody]} == :rpc.multicall([node, @nobody], :erlang, :node, [])
    assert {[node], []} == :rpc.multicall([node], :erlang, :node, [], 5_000)
    [m, f, a] = slow(200)
    assert {[], [node]} == :rpc.multicall([node], m, f, a, 50)

    assert {[{:badrpc, {:EXIT, {:undef, [{Nope, :nope, [], []} | _]}}}], []} =
             :rpc.multicall([node], Nope, :nope, [])

    await_idle(node)
    assert [] == mailbox()
  end

  test "abcast and sbcast send to a name", %{node: node} do
    ref = make_ref()
    request = {:"$gen_call", {self(), ref}, :list}
    assert :abcast == :rpc.abcast([node], AppState, request)
    assert_receive {^ref, []}, 5_000
    assert {[node], [@nobody]} == :rpc.sbcast([node, @nobody], AppState, request)
    assert_receive {^ref, []}, 5_000
    assert :abcast == :rpc.abcast([node], :nobody_here, :hello)
    assert {[], [node]} == :rpc.sbcast([node], :nobody_here, :hello)
    assert [] == mailbox()
  end

  test "eval_everywhere is done there, and answers nothing", %{node: node} do
    assert :abcast == :rpc.eval_everywhere([node], AppState, :put, ["everywhere", %{port: 2}])
    Wait.until("the cast", fn -> {:ok, %{port: 2}} == :rpc.call(node, AppState, :get, ["everywhere"]) end)
    assert [] == mailbox()
  end

  test "pinfo asks the pid's own node", %{node: node} do
    server = whereis!(node, AppState)
    assert {:registered_name, AppState} == :rpc.pinfo(server, :registered_name)
    assert [{:registered_name, AppState}] == :rpc.pinfo(server, [:registered_name])
  end

  test "many calls at once are all answered, each with its own", %{node: node} do
    answers =
      1..200
      |> Task.async_stream(&:rpc.call(node, :application, :get_env, [:bench, :nothing, &1]),
        max_concurrency: 50
      )
      |> Enum.map(fn {:ok, answer} -> answer end)

    assert answers == Enum.to_list(1..200)
  end
end
