defmodule CallsTest do
  @moduledoc "Calling functions: the ways in, and how calls fail."
  use Harness.Case

  test "a node of the cluster: ping answers, hidden, not among the visible ones", %{node: node} do
    assert :pong == Node.ping(node)
    assert node in Node.list(:hidden)
    refute node in Node.list()
  end

  test "rpc and erpc call the same functions", %{node: node} do
    assert node == :rpc.call(node, :erlang, :node, [])
    assert node == :erpc.call(node, :erlang, :node, [])
    assert {low, high} = :erpc.call(node, Otturnaut.PortManager, :get_range, [], 30_000)
    assert low < high
  end

  test "an unknown module, function or arity is undef, as a BEAM node says it", %{node: node} do
    for {m, f, a} <- [{Nope, :nope, [1]}, {Otturnaut.AppState, :nope, []}, {Otturnaut.AppState, :get, []}] do
      assert {:badrpc, {:EXIT, {:undef, [{^m, ^f, ^a, []} | _]}}} = :rpc.call(node, m, f, a)
      error = catch_error(:erpc.call(node, m, f, a))
      assert {:exception, :undef, [{^m, ^f, ^a, []} | _]} = error
    end
  end

  test "code is not executed: what no table lists does not exist", %{node: node} do
    for {m, f, a} <- [
          {:os, :cmd, [~c"id"]},
          {Code, :eval_string, ["1"]},
          {:file, :read_file, ["/etc/passwd"]}
        ] do
      assert {:badrpc, {:EXIT, {:undef, _}}} = :rpc.call(node, m, f, a)
    end
  end

  @wrong [
    {Otturnaut.AppState, :get, [:atom], "app_id"},
    {Otturnaut.AppState, :put, ["a", %{port: "x"}], "port"},
    {Otturnaut.PortManager, :release, ["x"], "port"},
    {Otturnaut.Command, :run, ["true", "not a list"], "args"},
    {Otturnaut.Command, :run, ["true", [], [timeout: "soon"]], "timeout"},
    {Otturnaut.Source.Git, :clone, [12], "url"},
    {Otturnaut.Caddy, :add_route, [%{id: "x"}], "route"},
    {Otturnaut.HealthCheck, :check, [%{type: :carrier_pigeon}], "type"},
    {Otturnaut.Runtime.Docker, :status, [1], "name"}
  ]

  test "an argument of the wrong shape is an ArgumentError that names it", %{node: node} do
    for {m, f, a, name} <- @wrong do
      assert {:badrpc, {:EXIT, {%ArgumentError{message: message}, stack}}} = :rpc.call(node, m, f, a)
      assert message =~ name, "#{inspect(m)}.#{f}: #{message}"
      assert is_list(stack)
      assert {:exception, %ArgumentError{message: ^message}, _} = catch_error(:erpc.call(node, m, f, a))
    end
  end

  test "a strategy or a context module that the agent does not have is an ArgumentError", %{
    node: node,
    app: app
  } do
    d = deployment(node, app)

    for args <- [[d, Some.Strategy], [d, Otturnaut.Deployment.Strategy.BlueGreen, %{caddy: Some.Caddy}]] do
      assert {:badrpc, {:EXIT, {%ArgumentError{}, _}}} = call(node, Otturnaut.Deployment, :execute, args)
    end
  end

  test "a term that is nested deeper than any is taken fails its call alone", %{node: node} do
    deep = Enum.reduce(1..5_000, [], fn _, deeper -> [deeper] end)
    waiting = Task.async(fn -> call(node, Otturnaut.Command, :run, ["sleep", ["0.3"]]) end)
    assert {:badrpc, {:EXIT, :system_limit}} == :rpc.call(node, :application, :get_env, [:a, :b, deep])
    assert {:erpc, :system_limit} == catch_error(:erpc.call(node, :application, :get_env, [:a, :b, deep]))
    assert %{status: :ok} = Task.await(waiting, 60_000)
  end

  test "casts, multicalls and block calls", %{node: node, app: app} do
    assert true == :rpc.cast(node, Otturnaut.AppState, :put, [app, %{port: 1}])
    Wait.until("the cast", fn -> match?({:ok, _}, call(node, Otturnaut.AppState, :get, [app])) end)
    assert :ok == :erpc.cast(node, Otturnaut.AppState, :delete, [app])
    Wait.until("the cast", fn -> match?({:error, _}, call(node, Otturnaut.AppState, :get, [app])) end)

    assert {[^node], []} = :rpc.multicall([node], :erlang, :node, [])
    assert {[], [:nobody@nowhere]} = :rpc.multicall([:nobody@nowhere], :erlang, :node, [])
    assert [{:ok, ^node}] = :erpc.multicall([node], :erlang, :node, [])
    assert {:ok, _} = :rpc.block_call(node, Otturnaut.PortManager, :allocate, []) |> release(node)
  end

  test "a call that takes longer than its caller waits", %{node: node} do
    assert {:badrpc, :timeout} == :rpc.call(node, Otturnaut.Command, :run, ["sleep", ["1"]], 50)
    assert {:erpc, :timeout} == catch_error(:erpc.call(node, Otturnaut.Command, :run, ["sleep", ["1"]], 50))
  end

  test "many calls at once are all answered, each with its own", %{node: node} do
    answers =
      1..200
      |> Task.async_stream(fn n -> call(node, Otturnaut.Command.Result, :success, ["#{n}", n]) end,
        max_concurrency: 64,
        timeout: 60_000
      )
      |> Enum.map(fn {:ok, result} -> result.duration_ms end)

    assert answers == Enum.to_list(1..200)
  end

  test "asynchronous calls and their keys", %{node: node} do
    key = :rpc.async_call(node, :erlang, :node, [])
    assert node == :rpc.yield(key)
    id = :erpc.send_request(node, :erlang, :node, [])
    assert node == :erpc.receive_response(id)
  end

  test "terms of every kind come back as they went", %{node: node, app: app} do
    kinds = %{
      integer: -1,
      big: 123_456_789_012_345_678_901_234_567_890,
      float: 1.5,
      text: "grüße",
      bytes: <<0, 255>>,
      bits: <<5::3>>,
      list: [1, 2, 3],
      improper: [1 | 2],
      charlist: ~c"abc",
      tuple: {:a, {:b}},
      map: %{"k" => %{nil => 1}},
      atoms: [nil, true, :"with blank", :grüße],
      pid: self(),
      reference: make_ref(),
      function: &String.length/1,
      struct: ~U[2024-02-29 12:00:00Z],
      large: String.duplicate("x", 300_000)
    }

    assert :ok == call(node, Otturnaut.AppState, :put, [app, kinds])
    assert {:ok, ^kinds} = call(node, Otturnaut.AppState, :get, [app])
    call(node, Otturnaut.AppState, :delete, [app])
  end

  defp release({:ok, port} = answer, node) do
    assert :ok == call(node, Otturnaut.PortManager, :release, [port])
    answer
  end
end
