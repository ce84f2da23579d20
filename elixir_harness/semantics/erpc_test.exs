defmodule Semantics.ErpcTest do
  @moduledoc "Every way of `:erpc` into the node, and how its calls fail."
  use Harness.Semantics

  @nobody :"nobody_there@127.0.0.1"

  test "calls answer with the value", %{node: node} do
    assert node == :erpc.call(node, :erlang, :node, [])
    assert node == :erpc.call(node, :erlang, :node, [], 5_000)
    assert node == :erpc.call(node, :erlang, :node, [], :infinity)
    assert [] == mailbox()
  end

  test "what is not there raises undef, with the arguments", %{node: node} do
    for {m, f, a} <- [{Nope, :nope, [1]}, {AppState, :nope, []}, {AppState, :get, []}] do
      assert {:exception, :undef, [{^m, ^f, ^a, []}]} = catch_error(:erpc.call(node, m, f, a))
    end
  end

  test "an error of a function is raised with its stack", %{node: node} do
    assert {:exception, :badarg, [{:erlang, :whereis, [1], [_ | _]}]} =
             catch_error(:erpc.call(node, :erlang, :whereis, [1]))
  end

  test "an exit of a function exits with the reason", %{node: node} do
    reason = {:noproc, {GenServer, :call, [:nobody_here, {:get, "a"}, 5000]}}
    assert {:exception, reason} == catch_exit(:erpc.call(node, AppState, :get, ["a", :nobody_here]))
  end

  test "throw, exit and error", %{node: node} do
    assert :ball == catch_throw(:erpc.call(node, :erlang, :throw, [:ball]))
    assert {:exception, :why} == catch_exit(:erpc.call(node, :erlang, :exit, [:why]))
    assert {:exception, :why, stack} = catch_error(:erpc.call(node, :erlang, :error, [:why]))
    assert is_list(stack)
  end

  test "a call that takes longer than its caller waits, and nothing comes later", %{node: node} do
    [m, f, a] = slow(200)
    assert {:erpc, :timeout} == catch_error(:erpc.call(node, m, f, a, 50))
    assert {:erpc, :timeout} == catch_error(:erpc.call(node, m, f, a, 0))
    await_idle(node)
    settle(node)
    assert [] == mailbox()
  end

  test "the process of a call that is killed is a signal to its caller", %{node: node} do
    [m, f, a] = slow(5_000)
    caller = Task.async(fn -> catch_exit(:erpc.call(node, m, f, a)) end)
    worker = Wait.until("the call's process", fn -> worker_of(node, caller.pid) end)
    assert node(worker) == node
    Process.exit(worker, :because)
    assert {:signal, :because} == Task.await(caller)
    await_idle(node)
  end

  # The process of the node that this client's process monitors.
  defp worker_of(node, pid) do
    {:monitors, monitors} = Process.info(pid, :monitors)
    Enum.find_value(monitors, fn {:process, worker} -> is_pid(worker) and node(worker) == node and worker end)
  end

  test "requests and their responses", %{node: node} do
    id = :erpc.send_request(node, :erlang, :node, [])
    assert node == :erpc.receive_response(id)

    id = :erpc.send_request(node, :erlang, :node, [])
    assert {:response, node} == :erpc.wait_response(id, 5_000)

    [m, f, a] = slow(150)
    id = :erpc.send_request(node, m, f, a)
    assert :no_response == :erpc.wait_response(id, 0)
    assert :no_response == :erpc.check_response(:something_else, id)
    assert_receive message = {:DOWN, _, :process, _, _}, 5_000
    assert {:response, %Command.Result{status: :ok}} = :erpc.check_response(message, id)

    id = :erpc.send_request(node, Nope, :nope, [])
    assert {:exception, :undef, [{Nope, :nope, [], []}]} = catch_error(:erpc.receive_response(id))

    id = :erpc.send_request(node, m, f, a)
    assert {:erpc, :timeout} == catch_error(:erpc.receive_response(id, 20))
    await_idle(node)
    settle(node)
    assert [] == mailbox()
  end

  test "a cast is done, and answers nothing", %{node: node} do
    assert :ok == :erpc.cast(node, AppState, :put, ["cast", %{port: 1}])
    Wait.until("the cast", fn -> {:ok, %{port: 1}} == :rpc.call(node, AppState, :get, ["cast"]) end)
    assert :ok == :erpc.cast(node, Nope, :nope, [])
    assert :ok == :erpc.cast(node, :erlang, :whereis, [1])
    settle(node)
    assert [] == mailbox()
  end

  test "multicalls answer for every node", %{node: node} do
    assert [{:ok, node}] == :erpc.multicall([node], :erlang, :node, [])

    assert [{:ok, node}, {:error, {:erpc, :noconnection}}] ==
             :erpc.multicall([node, @nobody], :erlang, :node, [])

    assert [{:error, {:exception, :undef, [{Nope, :nope, [], []}]}}] =
             :erpc.multicall([node], Nope, :nope, [])

    [m, f, a] = slow(200)
    assert [{:error, {:erpc, :timeout}}] == :erpc.multicall([node], m, f, a, 50)
    await_idle(node)
    assert [] == mailbox()
  end

  test "a multicast is done, and answers nothing", %{node: node} do
    assert :ok == :erpc.multicast([node, @nobody], AppState, :put, ["multicast", %{port: 2}])
    Wait.until("the cast", fn -> {:ok, %{port: 2}} == :rpc.call(node, AppState, :get, ["multicast"]) end)
    assert [] == mailbox()
  end

  test "each call has a process of its own on the node", %{node: node} do
    pids = for _ <- 1..10, do: :erpc.call(node, :erlang, :self, [])
    assert Enum.all?(pids, &(is_pid(&1) and node(&1) == node))
    assert Enum.uniq(pids) == pids
    refute :rpc.call(node, :erlang, :is_process_alive, [hd(pids)])
  end
end
