defmodule Semantics.ServersTest do
  @moduledoc "Registered servers: calls, casts, `:sys`, and what becomes of a server that is asked what it does not know."
  use Harness.Semantics

  @nobody :"nobody_there@127.0.0.1"

  setup %{node: node} do
    on_exit(fn -> :sys.resume({AppState, node}) end)
    {:ok, server: {AppState, node}, pid: whereis!(node, AppState)}
  end

  test "a call by name and by pid", %{server: server, pid: pid} do
    assert [] == GenServer.call(server, :list)
    assert [] == GenServer.call(pid, :list)
    assert [] == GenServer.call(pid, :list, :infinity)
    assert [] == :gen_server.call(server, :list)
    assert {:ok, []} == :gen.call(server, :"$gen_call", :list)
    assert server == GenServer.whereis(server)
    assert [] == mailbox()
  end

  test "a name that nobody has, and a process that ended, are noproc", %{node: node} do
    for server <- [{:nobody_here, node}, {Otturnaut.Nobody, node}, dead!(node)] do
      assert {:noproc, {GenServer, :call, [server, :hello, 5000]}} ==
               catch_exit(GenServer.call(server, :hello))

      assert {:noproc, {:gen_server, :call, [server, :hello]}} == catch_exit(:gen_server.call(server, :hello))
      assert {:noproc, {:sys, :get_state, [server]}} == catch_exit(:sys.get_state(server))
    end
  end

  test "a node that is not there is nodedown" do
    server = {AppState, @nobody}

    assert {{:nodedown, @nobody}, {GenServer, :call, [server, :list, 5000]}} ==
             catch_exit(GenServer.call(server, :list))
  end

  test "casts and stray messages to nobody are dropped", %{node: node} do
    assert :ok == GenServer.cast({:nobody_here, node}, :hello)
    assert :stray == send({:nobody_here, node}, :stray)
    assert :stray == send(dead!(node), :stray)
    settle(node)
    assert [] == mailbox()
  end

  test "a server passes over messages that it does not know", %{node: node, server: server, pid: pid} do
    for stray <- [:stray, {:stray, 1}, "stray", {self(), :hello}, {:EXIT, self(), :because}, {make_ref(), 1}] do
      send(server, stray)
      send(pid, stray)
    end

    assert [] == GenServer.call(server, :list)
    assert pid == whereis!(node, AppState)
  end

  test "multi_call and abcast reach the server of that name", %{node: node} do
    range = :rpc.call(node, PortManager, :get_range, [])
    assert {[{node, range}], []} == GenServer.multi_call([node], PortManager, :get_range)
    assert {[{node, range}], []} == GenServer.multi_call([node], PortManager, :get_range, 5_000)

    assert {[{node, range}], [@nobody]} ==
             GenServer.multi_call([node, @nobody], PortManager, :get_range, 5_000)

    assert {[], [node]} == GenServer.multi_call([node], :nobody_here, :get_range, 5_000)
    assert :abcast == GenServer.abcast([node], :nobody_here, :hello)
    settle(node)
    assert [] == mailbox()
  end

  test "multi_call of a server that does not answer", %{node: node, server: server} do
    :ok = :sys.suspend(server)
    assert {[], [node]} == GenServer.multi_call([node], AppState, :list, 50)
    :ok = :sys.resume(server)
    assert [] == GenServer.call(server, :list)
    assert [] == mailbox()
  end

  test "requests and their responses", %{node: node, server: server, pid: pid} do
    for to <- [server, pid] do
      id = :gen_server.send_request(to, :list)
      assert {:reply, []} == :gen_server.receive_response(id, 5_000)
      id = :gen_server.send_request(to, :list)
      assert {:reply, []} == :gen_server.wait_response(id, 5_000)
    end

    id = :gen_server.send_request(server, :list)
    assert_receive message, 5_000
    assert :no_reply == :gen_server.check_response(:something_else, id)
    assert {:reply, []} == :gen_server.check_response(message, id)

    nobody = {:nobody_here, node}
    id = :gen_server.send_request(nobody, :list)
    assert {:error, {:noproc, nobody}} == :gen_server.receive_response(id, 5_000)

    :ok = :sys.suspend(server)
    id = :gen_server.send_request(server, :list)
    assert :timeout == :gen_server.wait_response(id, 20)
    assert :timeout == :gen_server.receive_response(id, 20)
    :ok = :sys.resume(server)
    assert [] == GenServer.call(server, :list)
    assert [] == mailbox()
  end

  test "the bare protocol: the answer carries the tag that was sent", %{server: server} do
    for tag <- [make_ref(), :tag, {make_ref(), 1}, [1, 2], "text", [make_ref() | :rest]] do
      send(server, {:"$gen_call", {self(), tag}, :list})
      assert_receive {^tag, []}, 5_000
    end

    alias = :erlang.alias()
    send(server, {:"$gen_call", {self(), [:alias | alias]}, :list})
    assert_receive {[:alias | ^alias], []}, 5_000
    assert true == :erlang.unalias(alias)
    send(server, {:"$gen_call", {self(), [:alias | alias]}, :list})
    assert [] == GenServer.call(server, :list)
    assert [] == mailbox()
  end

  test "an answer can go to another process than the one that asked", %{server: server} do
    me = self()
    spawn(fn -> send(server, {:"$gen_call", {me, :tag}, :list}) end)
    assert_receive {:tag, []}, 5_000
  end

  test "a suspended server answers no calls; what was asked meanwhile it does later", %{server: server} do
    assert :ok == :sys.suspend(server)

    assert {:timeout, {GenServer, :call, [server, :list, 50]}} ==
             catch_exit(GenServer.call(server, :list, 50))

    waiting = Task.async(fn -> GenServer.call(server, {:put, "later", %{port: 1}}) end)
    assert nil == Task.yield(waiting, 50)
    assert %{} == :sys.get_state(server)
    assert {:status, _, _, [_, :suspended, _, _, _]} = :sys.get_status(server)
    assert :ok == :sys.resume(server)
    assert :ok == Task.await(waiting)
    assert {:ok, %{port: 1}} == GenServer.call(server, {:get, "later"})
    assert [] == mailbox()
  end

  test "suspend and resume can be said twice", %{server: server} do
    assert [:ok, :ok] == [:sys.suspend(server), :sys.suspend(server)]
    assert [:ok, :ok] == [:sys.resume(server), :sys.resume(server)]
    assert [] == GenServer.call(server, :list)
  end

  test "the state", %{node: node, server: server, pid: pid} do
    GenServer.call(server, {:put, "shown", %{port: 1}})
    assert %{"shown" => %{port: 1}} == :sys.get_state(server)
    assert %{"shown" => %{port: 1}} == :sys.get_state(pid)
    assert %{"shown" => %{port: 1}} == :sys.get_state(pid, 5_000)
    assert %{"shown" => %{port: 1}} == :rpc.call(node, :sys, :get_state, [AppState])
    assert %{"shown" => %{port: 1}} == :rpc.call(node, :sys, :get_state, [pid])
  end

  test "the status", %{node: node, server: server, pid: pid} do
    status = :sys.get_status(server)
    assert {:status, ^pid, {:module, :gen_server}, [dictionary, :running, parent, [], shown]} = status
    assert {AppState, :init, 1} == dictionary[:"$initial_call"]
    assert [first | _] = dictionary[:"$ancestors"]
    assert is_atom(first) or is_pid(first)
    assert is_pid(parent) and node(parent) == node and parent != pid

    assert [
             header: ~c"Status for generic server Elixir.Otturnaut.AppState",
             data: [{~c"Status", :running}, {~c"Parent", parent}, {~c"Logged events", []}],
             data: [{~c"State", %{}}]
           ] == shown

    assert status == :rpc.call(node, :sys, :get_status, [AppState])
  end

  test "debug functions of an idle server", %{server: server} do
    assert {:ok, :no_statistics} == :sys.statistics(server, :get)
    assert {:ok, []} == :sys.log(server, :get)
    assert :ok == :sys.no_debug(server)
    assert :ok == :sys.statistics(server, true)
    assert [] == GenServer.call(server, :list)
    assert {:ok, statistics} = :sys.statistics(server, :get)
    assert [:start_time, :current_time, :reductions, :messages_in, :messages_out] == Keyword.keys(statistics)
    assert statistics[:messages_in] == 1
    assert :ok == :sys.statistics(server, false)
  end

  test "a system message that is not known", %{server: server} do
    ref = make_ref()
    send(server, {:system, {self(), ref}, :nonsense})
    assert_receive {^ref, {:error, {:unknown_system_msg, :nonsense}}}, 5_000
  end

  test "a request that the server has no clause for ends it; it comes back at once", c do
    %{node: node, server: server, pid: pid} = c
    by_pid = Process.monitor(pid)
    by_name = Process.monitor(server)

    assert {{:function_clause, stack}, {GenServer, :call, [server, :what_is_this, 5000]}} =
             catch_exit(GenServer.call(server, :what_is_this))

    assert server == {AppState, node}
    me = self()
    assert [{AppState, :handle_call, [:what_is_this, {^me, _tag}, %{}], [_ | _]} | _] = stack
    assert_receive {:DOWN, ^by_pid, :process, ^pid, {:function_clause, ^stack}}, 5_000
    assert_receive {:DOWN, ^by_name, :process, ^server, {:function_clause, ^stack}}, 5_000
    restarted!(node, AppState, pid)
    assert [] == GenServer.call(server, :list)
    refute :rpc.call(node, :erlang, :is_process_alive, [pid])
    assert {:noproc, _} = catch_exit(GenServer.call(pid, :list))
    assert [] == mailbox()
  end

  test "who waits for a server sees why it ended", %{node: node, server: server, pid: pid} do
    :ok = :sys.suspend(server)
    waiting = for _ <- 1..3, do: Task.async(fn -> catch_exit(GenServer.call(server, :list)) end)
    for task <- waiting, do: assert(nil == Task.yield(task, 20))
    Process.exit(pid, :because)
    for task <- waiting, do: assert({:because, {GenServer, :call, [server, :list, 5000]}} == Task.await(task))
    restarted!(node, AppState, pid)
  end

  test "a bad request by way of a function is an exit of that call", %{node: node, pid: pid} do
    assert {:badrpc, {:EXIT, {:noproc, {GenServer, :call, [:nobody_here, :list, 5000]}}}} ==
             :rpc.call(node, AppState, :list, [:nobody_here])

    assert pid == whereis!(node, AppState)
  end

  test "a cast to a server that takes none ends it", %{node: node, server: server, pid: pid} do
    ref = Process.monitor(pid)
    assert :ok == GenServer.cast(server, :what_is_this)
    assert_receive {:DOWN, ^ref, :process, ^pid, {%RuntimeError{message: message}, stack}}, 5_000

    assert message ==
             "attempted to cast GenServer Otturnaut.AppState but no handle_cast/2 clause was provided"

    assert [{AppState, :handle_cast, 2, [_ | _]} | _] = stack
    restarted!(node, AppState, pid)
  end

  test "GenServer.stop ends a server with its reason; it comes back", %{node: node, server: server} do
    for reason <- [:normal, :shutdown, {:shutdown, 1}, :because] do
      pid = whereis!(node, AppState)
      ref = Process.monitor(pid)
      assert :ok == GenServer.stop(server, reason)
      assert_receive {:DOWN, ^ref, :process, ^pid, ^reason}, 5_000
      restarted!(node, AppState, pid)
    end

    assert {:noproc, _} = catch_exit(GenServer.stop({:nobody_here, node}))
  end

  test "a call whose caller died is done all the same", %{server: server} do
    :ok = :sys.suspend(server)
    {caller, ref} = spawn_monitor(fn -> GenServer.call(server, {:put, "orphan", %{port: 1}}) end)
    assert %{} == :sys.get_state(server)
    Process.exit(caller, :kill)
    assert_receive {:DOWN, ^ref, :process, ^caller, :killed}, 5_000
    :ok = :sys.resume(server)
    assert {:ok, %{port: 1}} == GenServer.call(server, {:get, "orphan"})
  end

  test "requests of one process are answered in their order", %{server: server} do
    ids = for n <- 1..100, do: :gen_server.send_request(server, {:put, "order", %{port: n}})
    for id <- ids, do: assert({:reply, :ok} == :gen_server.receive_response(id, 5_000))
    assert {:ok, %{port: 100}} == GenServer.call(server, {:get, "order"})
  end
end
