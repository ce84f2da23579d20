defmodule Semantics.TermsTest do
  @moduledoc "Terms of every kind go to the node and come back as they went."
  use Harness.Semantics

  # Both nodes have no such setting, and answer with the default that they are given.
  defp echo(node, term), do: :rpc.call(node, :application, :get_env, [:bench, :nothing, term])

  defp assert_echo(node, term) do
    answer = echo(node, term)

    assert answer === term,
           "it came back as #{inspect(answer, limit: 5)}, and went as #{inspect(term, limit: 5)}"
  end

  test "numbers", %{node: node} do
    edges =
      for bits <- [7, 8, 15, 16, 27, 28, 31, 32, 59, 60, 63, 64, 65, 127, 128, 2_040, 2_048, 4_096],
          do: 2 ** bits

    integers = Enum.flat_map(edges, &[&1 - 1, &1, &1 + 1, -&1 - 1, -&1, 1 - &1])
    for integer <- integers, do: assert_echo(node, integer)
    for float <- [0.0, 1.5, -1.5, 1.0e308, -1.0e308, 5.0e-324, 0.1, 1.0e-300], do: assert_echo(node, float)
    # Equal, and yet not the same.
    assert <<-0.0::float>> == <<echo(node, -0.0)::float>>
    assert_echo(node, 1)
    assert_echo(node, 1.0)
  end

  test "atoms", %{node: node} do
    assert_echo(node, [nil, true, false, :"", :"with blank", :grüße, :日本, AppState, :"Elixir", :"'"])
    assert_echo(node, String.to_atom(String.duplicate("a", 255)))
    assert_echo(node, String.to_atom(String.duplicate("ü", 255)))
    assert_echo(node, String.to_atom(String.duplicate("日", 255)))
  end

  test "many atoms in one message, the same ones and others", %{node: node} do
    # More than a message can say by numbers, and more than the cache of a connection holds.
    for count <- [1, 2, 31, 32, 33, 254, 255, 256, 257, 3_000] do
      atoms = for n <- 1..count, do: :"atom_#{n}_of_many"
      assert_echo(node, atoms)
      assert_echo(node, atoms ++ atoms)
      assert_echo(node, Enum.reverse(atoms))
    end

    apps = for n <- 1..500, do: %{id: "app-#{n}", status: :running, previous: [:stopped, self(), make_ref()]}
    assert_echo(node, apps)
    [first, second] = for word <- ["a", "日"], do: String.to_atom(String.duplicate(word, 255))
    assert_echo(node, List.duplicate([first, second], 100))
  end

  test "functions among many atoms", %{node: node} do
    atoms = for n <- 1..50, do: :"atom_#{n}_beside_a_function"
    keep = fn -> {atoms, AppState, self()} end
    assert_echo(node, [keep, &Enum.count/1, keep | atoms])
    assert {^atoms, AppState, pid} = echo(node, [keep | atoms]) |> hd() |> then(& &1.())
    assert pid == self()
  end

  test "binaries and bitstrings", %{node: node} do
    for size <- [0, 1, 63, 64, 65, 4_095, 4_096, 4_097, 300_000] do
      assert_echo(node, :crypto.strong_rand_bytes(size))
    end

    for bits <- 1..17, do: assert_echo(node, <<0x1FFFF::size(bits)>>)
    assert_echo(node, "grüße")
  end

  test "lists, and lists that travel as strings", %{node: node} do
    assert_echo(node, [])
    assert_echo(node, [[]])
    assert_echo(node, ~c"abc")
    assert_echo(node, ~c"grüße")
    assert_echo(node, [1, 2, 3 | 4])
    assert_echo(node, [~c"a" | ~c"b"])
    assert_echo(node, [0, 255])
    assert_echo(node, [0, 256])
    assert_echo(node, [-1, 1])
    for length <- [65_534, 65_535, 65_536, 65_537], do: assert_echo(node, List.duplicate(7, length))
    assert_echo(node, Enum.to_list(1..100_000))
  end

  test "arguments that travel as a string", %{node: node} do
    assert {:badrpc, {:EXIT, {:undef, [{Nope, :nope, [1, 2], []} | _]}}} =
             :rpc.call(node, Nope, :nope, [1, 2])

    assert {:badrpc, {:EXIT, {:badarg, [{:erlang, :whereis, [1], _} | _]}}} =
             :rpc.call(node, :erlang, :whereis, [1])

    assert is_integer(:rpc.call(node, :erlang, :system_time, [1]))
    assert {_pid, ref} = Node.spawn_monitor(node, Nope, :nope, [1, 2])
    assert_receive {:DOWN, ^ref, :process, _, {:undef, [{Nope, :nope, [1, 2], []} | _]}}, 5_000
  end

  test "tuples", %{node: node} do
    for size <- [0, 1, 2, 255, 256, 257, 70_000], do: assert_echo(node, Tuple.duplicate(:x, size))
    assert_echo(node, {:a, {:b, {:c, {}}}})
  end

  test "maps", %{node: node} do
    assert_echo(node, %{})
    for size <- [1, 31, 32, 33, 34, 1_000], do: assert_echo(node, Map.new(1..size, &{&1, "#{&1}"}))

    assert_echo(node, %{
      1 => :integer,
      1.0 => :float,
      "1" => :text,
      ~c"1" => :list,
      {1} => :tuple,
      %{1 => 1} => :map
    })

    assert_echo(node, %{nil => nil, [] => [], "" => ""})
  end

  test "structs", %{node: node} do
    assert_echo(node, ~U[2024-02-29 12:00:00.123456Z])
    assert_echo(node, MapSet.new(1..100))
    assert_echo(node, %ArgumentError{message: "m"})
    assert_echo(node, 1..10//3)
    assert_echo(node, ~r/a.b/i |> Map.from_struct() |> Map.take([:source]))
  end

  test "identifiers of this node, of that node, and of a third", %{node: node} do
    third = peer!()
    Peer.call(third, Node, :ping, [node()])
    pid = Peer.call(third, :erlang, :self, [])
    ref = Peer.call(third, :erlang, :make_ref, [])
    server = whereis!(node, AppState)
    assert_echo(node, [self(), server, pid])
    assert_echo(node, [make_ref(), ref, :erlang.alias()])
    assert_echo(node, [hd(Port.list()), hd(Peer.call(third, :erlang, :ports, []))])
    assert node == :rpc.call(node, :erlang, :node, [server])
    assert node() == :rpc.call(node, :erlang, :node, [self()])
    assert third.node == :rpc.call(node, :erlang, :node, [pid])
    assert third.node == :rpc.call(node, :erlang, :node, [ref])
  end

  test "functions", %{node: node} do
    bound = {self(), "text"}
    assert_echo(node, &String.length/1)
    assert_echo(node, fn -> bound end)
    assert_echo(node, fn a, b -> {a, b} end)
    assert bound == echo(node, fn -> bound end).()
  end

  test "deep terms", %{node: node} do
    assert_echo(node, Enum.reduce(1..400, [], fn _, deeper -> [deeper] end))
    assert_echo(node, Enum.reduce(1..200, {}, fn n, deeper -> %{n => {deeper}} end))
  end

  test "large terms, in both directions", %{node: node} do
    assert_echo(node, :binary.copy("x", 20 * 1024 * 1024))
    assert_echo(node, for(n <- 1..200_000, do: {n, "#{n}"}))
    assert :ok == :erpc.call(node, AppState, :put, ["large", %{text: :binary.copy("x", 300_000)}])
    assert {:ok, %{text: text}} = :erpc.call(node, AppState, :get, ["large"])
    assert byte_size(text) == 300_000
    assert {:ok, %{text: ^text}} = GenServer.call({AppState, node}, {:get, "large"})
    assert :ok == GenServer.call({AppState, node}, {:delete, "large"})
  end

  test "a map that is kept comes back whole", %{node: node} do
    kept = %{
      port: 10_042,
      domains: ["a.b"],
      status: :running,
      mood: {:good, 1},
      zero: -0.0,
      big: 2 ** 100,
      pid: self(),
      ref: make_ref(),
      function: &String.length/1,
      bits: <<5::3>>,
      improper: [1 | 2],
      nested: %{"k" => %{nil => 1, 1.0 => 2, 1 => 3}}
    }

    assert :ok == :rpc.call(node, AppState, :put, ["kept", kept])
    assert {:ok, back} = :rpc.call(node, AppState, :get, ["kept"])
    assert back === kept
    assert {:ok, back} = GenServer.call({AppState, node}, {:get, "kept"})
    assert back === kept
    assert %{"kept" => ^kept} = :sys.get_state({AppState, node})
    assert :ok == :rpc.call(node, AppState, :delete, ["kept"])
    assert {:error, :not_found} == :rpc.call(node, AppState, :get, ["kept"])
  end
end
