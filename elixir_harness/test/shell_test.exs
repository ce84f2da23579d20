defmodule ShellTest do
  @moduledoc """
  The evaluator of the agent's shell against Elixir itself: what people type, evaluated by both, the texts compared.

  What a newer Elixir says or prints otherwise is compared on that alone: the agent answers as the current one.
  """
  use Harness.Case

  import ExUnit.CaptureIO

  alias Harness.RemoteShell

  # One expression a line.
  @values ~S'''
  1
  -1
  1_000_000
  0xFF
  0b1010
  0o17
  ?a
  ?\n
  1.5
  -1.5
  1.0e10
  1.0e-5
  100000.0
  1.0e20
  1.0e22
  123456789.123
  0.1
  0.001
  1.0e15
  1.0e16
  1.0e17
  1.7976931348623157e308
  5.0e-324
  1.23e-7
  3.0e8
  0.0
  123456789012345678901234567890
  -123456789012345678901234567890
  :ok
  nil
  true
  :"quoted atoms"
  :"a@b"
  :a@b
  :"Elixir.Foo"
  :"123"
  :+
  :<>
  :"foo-bar"
  :in_use?
  :go!
  :Upper
  :"é"
  :é
  :"a\"b\nc"
  :"nil"
  :""
  Otturnaut.AppState
  String
  "text"
  ""
  "é ü 漢字 😀"
  "a\tb\nc\e[0m\\ \"q\""
  "\u00e9\x41\u{1F600}"
  "\0"
  "\d\a\b\f\v"
  "#{1 + 1} and #{"nested #{:deep}"}"
  "\#{no}"
  "#no"
  'abc' == ~c"abc"
  ~s(a "quoted" text)
  ~s(with #{1 + 2})
  ~S(with #{no} \n)
  ~w(a b c)
  ~w(a b c)a
  ~w[one two]
  ~w(a#{1} b)
  ~U[2026-01-15 10:20:30Z]
  ~U[2026-01-15 10:20:30.123Z]
  ~U[2026-01-15 10:20:30.000000Z]
  ~U[2026-01-15T10:20:30Z]
  <<1, 2, 3>>
  <<104, 105>>
  <<255>>
  <<0, 255, 10>>
  "a" <> <<0>>
  <<"ab", 99>>
  <<300>>
  <<1::size(4)>>
  <<5::16>>
  <<1, 2, 3::size(3)>>
  []
  [1, 2, 3]
  [1 | 2]
  [1, 2 | 3]
  [1 | [2, 3]]
  [a: 1, b: 2]
  [{:a, 1}, {:b, 2}]
  [{:a, 1}, 2]
  [1, a: 1]
  ["a b": 1, "c": 2]
  [Foo: 1]
  ["Elixir.Foo": 1]
  [nil: 1, true: 2]
  [in?: 1, +: 2, "+": 3]
  [{"a", 1}]
  [[], [[]], {}]
  {}
  {1}
  {:ok, "value"}
  {:error, {:not_found, [id: 1]}}
  %{}
  %{a: 1}
  %{"a" => 1, "b" => 2}
  %{1 => 2, 3 => 4}
  %{:a => 1, "b" => 2}
  %{nil => 1}
  %{"a b": 1}
  %{a: %{b: %{c: 1}}}
  %{{1, 2} => [3]}
  %{Foo => 1}
  %{[1] => %{}, {} => 1, "x" => 2, 1 => 3, 1.5 => 4, a: 5}
  1..10
  1..10//2
  10..1//-1
  1..10//1
  Enum.to_list(1..10//3)
  Enum.to_list(10..1//-2)
  Enum.to_list(5..1//1)
  1..3 |> Enum.map(&(&1 * 2))
  1 + 2 * 3
  (1 + 2) * 3
  1 - -1
  1 - 2 - 3
  2 * -3
  - 3 + 5
  -2 |> abs
  -(2 + 3)
  +5
  10 / 2
  7 / 2
  div(7, 2)
  rem(-7, 2)
  1 == 1.0
  1 === 1.0
  1 != 2
  1 < :a
  :a < "a"
  [1] < "a"
  {1, 2} < [1]
  1 <= 1 and 2 >= 2
  true and false
  true or raise("never")
  not true
  not false and true
  !nil
  !!1
  nil || 1
  nil && 1
  1 && 2
  false || nil
  1 in [1, 2]
  3 in 1..5
  1 not in [1]
  not 1 in [2]
  not (1 in [2])
  "a" in ["a", "b"]
  [1] ++ [2] ++ [3]
  [1, 2, 3] -- [2]
  [1, 2, 3] -- [1] -- [1]
  [1] ++ 2
  "a" <> "b" <> "c"
  "hello" =~ "ell"
  "hello" =~ "x"
  "hello" =~ ""
  1 |> Kernel.+(2)
  [3, 1, 2] |> Enum.sort() |> Enum.reverse()
  x = 1; x + 1
  x = y = 1; {x, y}
  {a, b} = {1, 2}; a + b
  [h | t] = [1, 2, 3]; {h, t}
  [a, b | _] = [1, 2, 3]; a + b
  %{a: x} = %{a: 1, b: 2}; x
  %{"k" => v} = %{"k" => [1]}; v
  {:ok, %{list: [first | _]}} = {:ok, %{list: [:x, :y]}}; first
  "pre" <> rest = "prefix"; rest
  x = 1; ^x = 1
  x = 1; {^x, y} = {1, 2}; y
  {x, x} = {1, 1}; x
  _ = 5
  %{} = %{a: 1}
  [] = []
  <<a, b>> = "hi"; {a, b}
  <<a, rest::binary>> = "hi"; {a, rest}
  [a: x] = [a: 5]; x
  -1 = -1
  case 1 do 1 -> :one; _ -> :other end
  case {:ok, 5} do {:ok, n} when n > 3 -> n; _ -> 0 end
  case {:ok, 5}, do: ({:ok, n} -> n)
  case [1, 2] do [] -> 0; [x | _] -> x end
  cond do 1 > 2 -> :a; true -> :b end
  if true, do: 1, else: 2
  if nil, do: 1
  if 1 > 0 do :yes else :no end
  if(true, do: :x)
  unless false, do: 1
  for x <- [1, 2, 3], do: x * 2
  for x <- 1..3, y <- 1..2, do: {x, y}
  for x <- 1..10, rem(x, 2) == 0, do: x
  for {k, v} <- %{a: 1, b: 2}, v > 1, do: k
  for {:ok, x} <- [ok: 1, error: 2, ok: 3], do: x
  for x <- [1, 2], into: %{}, do: {x, x * x}
  for x <- ["a", "b"], into: "", do: x <> "!"
  for x <- [1, 2, 1], uniq: true, do: x
  for x <- [1, 2, 3], reduce: 0 do acc -> acc + x end
  (fn x -> x + 1 end).(1)
  f = fn x, y -> x + y end; f.(1, 2)
  f = fn 0 -> :zero; n when n > 0 -> :pos; _ -> :neg end; {f.(0), f.(1), f.(-1)}
  f = fn -> 1 end; f.()
  f = fn (a, b) -> a * b end; f.(2, 3)
  f = fn {a, _}, [b | _] -> a + b end; f.({1, 2}, [3])
  f = &(&1 + 1); f.(1)
  f = &(&1 + &2); f.(1, 2)
  f = &{&1, [&2, %{a: &1}]}; f.(1, 2)
  f = &[&1 | &2]; f.(1, [2])
  f = &"#{&1}!"; f.(1)
  f = &String.upcase/1; f.("a")
  f = &length/1; f.([1])
  f = &rem(&1, 2); f.(3)
  f = & &1.name; f.(%{name: "x"})
  f = & &1; f.(3)
  x = 10; f = fn y -> x + y end; f.(1)
  is_function(fn x -> x end)
  is_function(&(&1), 1)
  Enum.map([1, 2], & &1 * 2)
  Enum.map([1, 2], fn x -> x * 2 end)
  Enum.map([1, 2, 3], &Integer.to_string/1)
  Enum.map(%{a: 1}, fn {k, v} -> {v, k} end)
  Enum.filter([1, 2, 3], &(&1 > 1))
  Enum.filter(1..6, fn x -> rem(x, 2) == 0 end)
  Enum.reject([nil, 1], &is_nil/1)
  Enum.reduce([1, 2, 3], 0, fn x, acc -> x + acc end)
  Enum.reduce([1, 2, 3], &+/2)
  Enum.reduce(1..4, &(&1 * &2))
  Enum.sum([1, 2.5])
  Enum.count([1, 2])
  Enum.count([1, 2, 3], &(&1 > 1))
  Enum.sort([3, 1, 2], :desc)
  Enum.sort([3, 1, 2], &(&1 >= &2))
  Enum.sort_by([%{a: 2}, %{a: 1}], & &1.a)
  Enum.sort_by(["bb", "a"], &String.length/1, :desc)
  Enum.group_by(["a", "bb", "c"], &String.length/1)
  Enum.group_by([a: 1, b: 2, a: 3], &elem(&1, 0), &elem(&1, 1))
  Enum.frequencies([:a, :b, :a])
  Enum.frequencies_by(["a", "B", "b"], &String.downcase/1)
  Enum.uniq([1, 2, 1])
  Enum.zip([1, 2], [:a, :b])
  Enum.with_index([:a, :b])
  Enum.with_index([:a, :b], 1)
  Enum.join([1, 2, 3], ", ")
  Enum.join(["a", nil, :b])
  Enum.map_join([1, 2], "-", &(&1 * 2))
  Enum.at([1, 2], 0)
  Enum.at([1, 2], -1)
  Enum.at([1, 2], 5, :none)
  Enum.take([1, 2, 3], 2)
  Enum.take([1, 2, 3], -2)
  Enum.drop([1, 2, 3], 1)
  Enum.drop([1, 2, 3], -1)
  Enum.split([1, 2, 3], 1)
  Enum.split([1, 2, 3], -1)
  Enum.chunk_every([1, 2, 3], 2)
  Enum.slice([1, 2, 3, 4], 1, 2)
  Enum.slice([1, 2, 3, 4], 1..2)
  Enum.find([1, 2, 3], &(&1 > 1))
  Enum.find([1], :none, &(&1 > 1))
  Enum.find_index([1, 2], &(&1 == 2))
  Enum.find_value([1, 2], &(&1 > 1 && &1 * 10))
  Enum.any?([nil, 1])
  Enum.all?([1, nil])
  Enum.any?([1, 2], &(&1 > 1))
  Enum.all?([1, 2], &(&1 > 1))
  Enum.empty?([])
  Enum.member?(1..3, 2)
  Enum.max([1, 3, 2])
  Enum.min_by([%{a: 2}, %{a: 1}], & &1.a)
  Enum.max_by(["a", "bb", "cc"], &String.length/1)
  Enum.min_max([3, 1, 2])
  Enum.flat_map([1, 2], &[&1, &1])
  Enum.concat([[1], [2, 3]])
  Enum.concat([1], [2])
  Enum.into([a: 1], %{})
  Enum.into(%{a: 1}, [])
  Enum.into([1, 2], %{}, &{&1, &1})
  Enum.split_with([1, 2, 3], &(&1 > 1))
  Enum.take_while([1, 2, 3], &(&1 < 3))
  Enum.drop_while([1, 2, 3], &(&1 < 3))
  Enum.dedup([1, 1, 2, 1])
  Enum.reverse(1..3)
  Enum.each([1], fn _ -> :x end)
  Enum.sum(1..100)
  Enum.product([2, 3, 4])
  Enum.to_list(%{a: 1})
  Enum.unzip([{1, :a}, {2, :b}])
  Enum.fetch([1], 0)
  Enum.fetch([1], 3)
  Enum.scan([1, 2, 3], &(&1 + &2))
  Enum.intersperse([1, 2], 0)
  Enum.map_every([1, 2, 3], 2, &(&1 * 10))
  Enum.reduce_while([1, 2, 3], 0, fn x, acc -> if x > 2, do: {:halt, acc}, else: {:cont, acc + x} end)
  Map.get(%{a: 1}, :a)
  Map.get(%{a: 1}, :b, 0)
  Map.put(%{a: 1}, :b, 2)
  Map.keys(%{b: 1, a: 2}) |> Enum.sort()
  Map.values(%{"a" => 1, "b" => 2})
  Map.merge(%{a: 1, b: 1}, %{b: 2})
  Map.merge(%{a: 1}, %{a: 2}, fn _k, x, y -> x + y end)
  Map.delete(%{a: 1, b: 2}, :a)
  Map.drop(%{a: 1, b: 2}, [:a])
  Map.take(%{a: 1, b: 2}, [:a, :c])
  Map.has_key?(%{a: 1}, :a)
  Map.fetch(%{a: 1}, :a)
  Map.fetch(%{a: 1}, :b)
  Map.fetch!(%{a: 1}, :a)
  Map.new([{:a, 1}])
  Map.new([1, 2], &{&1, &1 * 2})
  Map.update(%{a: 1}, :a, 0, &(&1 + 1))
  Map.update(%{}, :a, 0, &(&1 + 1))
  Map.update!(%{a: 1}, :a, &(&1 + 1))
  Map.pop(%{a: 1, b: 2}, :a)
  Map.to_list(%{"a" => 1, "b" => 2})
  Map.filter(%{a: 1, b: 2}, fn {_, v} -> v > 1 end)
  Map.reject(%{a: 1, b: 2}, fn {_, v} -> v > 1 end)
  Map.put_new(%{a: 1}, :a, 2)
  Map.equal?(%{a: 1}, %{a: 1})
  Map.split(%{a: 1, b: 2}, [:a])
  %{%{a: 1} | a: 2}
  m = %{a: 1}; %{m | a: 5}
  m = %{a: %{b: 1}}; m.a.b
  m = %{a: 1}; m[:a]
  m = %{a: 1}; m[:x][:y]
  [a: 1][:a]
  nil[:a]
  get_in(%{a: %{b: 1}}, [:a, :b])
  put_in(%{a: %{b: 1}}, [:a, :b], 2)
  update_in(%{a: 1}, [:a], &(&1 + 1))
  map_size(%{a: 1})
  Keyword.get([a: 1], :a)
  Keyword.get([a: 1], :b, 2)
  Keyword.put([a: 1, b: 2], :a, 3)
  Keyword.delete([a: 1, b: 2], :a)
  Keyword.merge([a: 1, b: 2], [a: 3, c: 4])
  Keyword.keys([a: 1, b: 2])
  Keyword.values([a: 1, b: 2])
  Keyword.has_key?([a: 1], :a)
  Keyword.fetch!([a: 1], :a)
  Keyword.fetch([a: 1], :a)
  Keyword.get_values([a: 1, a: 2], :a)
  Keyword.keyword?([a: 1])
  Keyword.take([a: 1, b: 2], [:a])
  Keyword.drop([a: 1, b: 2], [:a])
  Keyword.pop([a: 1, b: 2], :a)
  Keyword.new(%{a: 1})
  String.upcase("straße")
  String.downcase("ÄB")
  String.capitalize("hELLO")
  String.length("é漢")
  String.reverse("abc")
  String.split("a b  c")
  String.split("a,b,c", ",")
  String.split("a,b;c", [",", ";"])
  String.split("a,b,c", ",", parts: 2)
  String.split(",a,", ",", trim: true)
  String.split("abc", "")
  String.trim("  x ")
  String.trim("xxax", "x")
  String.trim_leading("  x ")
  String.trim_trailing("  x ")
  String.replace("a-b-c", "-", "+")
  String.replace("a-b-c", "-", "+", global: false)
  String.contains?("abc", "b")
  String.contains?("abc", ["x", "b"])
  String.starts_with?("abc", "a")
  String.ends_with?("abc", ["x", "c"])
  String.slice("hello", 1, 3)
  String.slice("hello", 1..2)
  String.slice("hello", 1..-1//1)
  String.slice("hello", -3, 2)
  String.at("abc", 1)
  String.at("abc", -1)
  String.at("abc", 9)
  String.first("abc")
  String.last("abc")
  String.pad_leading("7", 3, "0")
  String.pad_trailing("ab", 4)
  String.duplicate("ab", 3)
  String.to_atom("an_atom")
  String.to_integer("42")
  String.to_integer("ff", 16)
  String.to_float("1.5")
  String.to_charlist("ab") == ~c"ab"
  String.graphemes("ab")
  String.codepoints("ab")
  String.valid?("ok")
  String.printable?("a\0")
  Integer.to_string(255, 16)
  Integer.parse("12abc")
  Integer.parse("x")
  Integer.digits(123)
  Integer.mod(-7, 3)
  Integer.floor_div(-7, 2)
  Integer.pow(2, 100)
  Float.round(3.14159, 2)
  Float.ceil(1.2)
  Float.floor(1.7)
  Float.parse("1.5x")
  Float.to_string(1.5)
  to_string(1.0e20)
  to_string(:atom)
  to_string(nil)
  to_string([104, 105])
  "#{1.5} #{nil} #{:a} #{[104, 105]}"
  "#{~U[2026-01-15 10:20:30Z]}"
  Atom.to_string(:a)
  Atom.to_string(Foo)
  List.first([1, 2])
  List.last([1, 2])
  List.first([])
  List.flatten([1, [2, [3]]])
  List.wrap(nil)
  List.wrap(1)
  List.delete([1, 2, 1], 1)
  List.to_tuple([1, 2])
  List.keyfind([{:a, 1}], :a, 0)
  List.duplicate(:a, 3)
  List.insert_at([1, 2], 1, :x)
  List.delete_at([1, 2], 0)
  List.replace_at([1, 2], 0, :x)
  List.zip([[1, 2], [3, 4]])
  List.starts_with?([1, 2], [1])
  Tuple.to_list({1, 2})
  tuple_size({1, 2})
  elem({1, 2}, 1)
  put_elem({1, 2}, 0, :x)
  length([1, 2])
  hd([1, 2])
  tl([1, 2])
  abs(-5)
  round(2.5)
  round(-2.5)
  trunc(-2.7)
  floor(-2.5)
  ceil(2.1)
  max(1, 2)
  min("a", 1)
  byte_size("é")
  bit_size("ab")
  is_atom(:a) and is_binary("b") and is_list([]) and is_map(%{}) and is_tuple({})
  is_integer(1) and is_float(1.0) and is_number(1) and is_boolean(true) and is_nil(nil)
  is_struct(~U[2026-01-15 10:20:30Z])
  is_map_key(%{a: 1}, :a)
  is_bitstring(<<1::1>>)
  is_list([1 | 2])
  inspect("a")
  inspect(%{a: [1, 2]})
  inspect([1, 2, 3], limit: 2)
  inspect("abcdef", printable_limit: 3)
  inspect([a: 1], pretty: true)
  inspect(<<104, 105>>, binaries: :as_binaries)
  inspect([104, 105], charlists: :as_lists)
  DateTime.diff(~U[2026-01-15 10:20:30Z], ~U[2026-01-15 10:20:00Z])
  DateTime.diff(~U[2026-01-15 10:20:30Z], ~U[2026-01-15 10:20:31Z], :millisecond)
  DateTime.compare(~U[2026-01-15 10:20:30Z], ~U[2026-01-15 10:20:31Z])
  DateTime.to_iso8601(~U[2026-01-15 10:20:30Z])
  DateTime.to_unix(~U[2026-01-15 10:20:30Z])
  DateTime.from_unix!(1768472430)
  DateTime.from_iso8601("2026-01-15T10:20:30Z")
  DateTime.from_iso8601("nonsense")
  DateTime.add(~U[2026-01-15 10:20:30Z], 60)
  DateTime.add(~U[2026-01-15 10:20:30Z], -1, :second)
  ~U[2026-01-15 10:20:30Z].year
  1 |> then(&(&1 + 1))
  1 |> then(fn x -> x * 10 end)
  [1, 2] |> tap(&length/1)
  [1, 2] |> Enum.map(&(&1 + 1)) |> Enum.sum()
  %{a: 1} |> Map.put(:b, 2) |> Map.values() |> Enum.sort()
  apply(String, :upcase, ["a"])
  apply(fn a, b -> a + b end, [1, 2])
  String.upcase "a"
  Enum.map [1, 2], fn x -> x + 1 end
  inspect {1, 2}
  length [1, 2]
  IO.puts("printed")
  IO.puts(1)
  IO.inspect([1, 2], label: "list")
  IO.inspect(1, label: "l") |> Kernel.+(1)
  # only a comment
  1 # and a comment
  1; 2; 3
  (1; 2)
  if false do 1 end
  is_nil(if false, do: 1)
  Enum.sort(["b", :a, 1, {}, %{}, [], 1.5])
  Enum.sort([[2], [1, 2], [1]])
  %{1 => :int} == %{1.0 => :float}
  {1, 2.0} == {1.0, 2}
  [1, 2] == [1.0, 2.0]
  Kernel.length([1])
  __MODULE__
  with {:ok, x} <- {:ok, 1}, {:ok, y} <- {:ok, 2}, do: x + y
  with {:ok, x} <- {:error, :no}, do: x
  with x <- 1, y = x + 1, do: y
  with {:ok, x} <- {:error, :no} do x else {:error, e} -> e end
  a = 5; a - 1
  a = 5; a-1
  not is_nil(1) and true
  !true == false
  1 + 1 == 2 and 2 + 2 == 4
  1 .. 3
  "a" <> "b" == "ab"
  [1, 2] ++ [3] == [1, 2, 3]
  1 == 1 |> Kernel.==(true)
  nil || false || 3
  x = nil || 5; x
  x = 1 in [1]; x
  ~c"" == []
  {:a, [b: 1]}
  {1, a: 1}
  [a: [b: [c: 1]]]
  [%{a: 1}, %{b: 2}]
  Enum.map([a: 1], fn {k, v} -> "#{k}=#{v}" end)
  Enum.map([%{"a" => 1}], & &1["a"])
  Enum.map([%{a: %{b: 1}}], & &1.a.b)
  Enum.map([1, 2], &{:ok, &1})
  Enum.map([1, 2], &%{id: &1})
  Enum.map(["a"], &(&1 <> "b"))
  Enum.filter([a: 1, b: 2], fn {_k, v} -> v > 1 end)
  Enum.filter([1, 2, 3], &(&1 in [1, 3]))
  Enum.map([1, 2, 3], fn 1 -> :one; _ -> :many end)
  Enum.any?([1, 2], & &1 == 2)
  (fn -> :called end).()
  Process.alive?(self())
  is_pid(self())
  node() == Node.self()
  send(self(), :x)
  System.system_time(:second) > 1_700_000_000
  -0.0
  &String.upcase/1
  Enum.zip_with([1, 2], [3, 4], &(&1 + &2))
  Enum.zip_with([[1, 2], [3, 4]], fn [a, b] -> a * b end)
  Enum.zip([[1, 2], [3, 4], [5, 6]])
  Enum.max([], fn -> 0 end)
  Enum.max([1, 2], fn -> 0 end)
  Enum.min_by([], & &1, fn -> :none end)
  Enum.chunk_every([1, 2, 3, 4, 5], 2, 1)
  Enum.chunk_every([1, 2, 3, 4, 5], 2, 1, :discard)
  Enum.chunk_every([1, 2, 3], 2, 2, [0])
  Enum.chunk_every([1, 2, 3, 4, 5, 6], 3, 2)
  Enum.chunk_by([1, 1, 2, 3, 3], & &1)
  Enum.take_every(1..10, 3)
  Enum.map_reduce([1, 2, 3], 0, fn x, acc -> {x * 2, acc + x} end)
  Enum.flat_map_reduce([1, 2], 0, fn x, acc -> {[x, x], acc + x} end)
  Enum.scan([1, 2, 3], 0, &(&1 + &2))
  Enum.dedup_by([1, 3, 2], &rem(&1, 2))
  Enum.find_value([1], :default, fn _ -> nil end)
  Enum.split_while([1, 2, 3], &(&1 < 2))
  Enum.with_index(["a", "b"], fn e, i -> {i, e} end)
  Enum.reverse([1, 2], [3])
  Enum.sort_by(["b", "a"], & &1, &>=/2)
  Enum.sort_by([3, 1, 2], &rem(&1, 2), &<=/2)
  Enum.sort([~D[2026-02-01], ~D[2026-01-02]], Date)
  String.length("e\u0301") + String.length("👨‍👩‍👧 🇩🇪🇫🇷")
  String.reverse("e\u0301x") == "xe\u0301"
  String.graphemes("a👍🏽b") == ["a", "👍🏽", "b"]
  String.first("e\u0301x") == "e\u0301"
  String.slice("e\u0301xyz", 0, 2) == "e\u0301x"
  String.downcase("ΑΣ")
  String.replace("hello", ["h", "o"], "_")
  String.replace_prefix("v1.2", "v", "")
  String.replace_suffix("a.txt", ".txt", ".md")
  String.replace_leading("000a0", "0", "-")
  String.replace_trailing("a000", "0", "")
  String.split_at("hello", 2)
  String.split_at("hello", -2)
  String.jaro_distance("martha", "marhta")
  String.jaro_distance("a", "b")
  Map.get_lazy(%{a: 1}, :b, fn -> 5 end)
  Map.get_and_update(%{a: 1}, :a, fn v -> {v, v + 1} end)
  Map.get_and_update(%{a: 1}, :a, fn _ -> :pop end)
  Map.put_new_lazy(%{a: 1}, :b, fn -> 3 end)
  Map.replace(%{a: 1}, :b, 5)
  Map.replace!(%{a: 1}, :a, 5)
  Map.pop!(%{a: 1}, :a)
  Map.from_keys([:a, :b], 0)
  Keyword.get_lazy([a: 1], :b, fn -> 2 end)
  Keyword.update([a: 1, b: 2, a: 3], :a, 0, & &1 + 1)
  Keyword.update([a: 1], :b, 0, & &1 + 1)
  Keyword.update!([a: 1], :a, & &1 + 1)
  Keyword.merge([a: 1, b: 2], [a: 2, c: 3], fn _, x, y -> x + y end)
  Keyword.pop!([a: 1], :a)
  Keyword.filter([a: 1, b: 2], fn {_, v} -> v > 1 end)
  Keyword.reject([a: 1, b: 2], fn {_, v} -> v > 1 end)
  Keyword.split([a: 1, b: 2], [:a])
  Keyword.new([a: 1, b: 2, a: 3])
  Keyword.new([:a, :b], &{&1, 1})
  Keyword.replace([a: 1, b: 2, a: 3], :a, 9)
  List.update_at([1, 2], 0, & &1 * 10)
  List.pop_at([1, 2, 3], 1)
  List.flatten([1, [2]], [3])
  List.foldl([1, 2, 3], 0, &(&1 - &2))
  List.foldr([1, 2, 3], 0, &(&1 - &2))
  List.keymember?([a: 1], :a, 0)
  List.keysort([{2, :a}, {1, :b}], 0)
  List.keydelete([a: 1, b: 2], :a, 0)
  List.keystore([a: 1], :b, 0, {:b, 2})
  List.keyreplace([a: 1], :a, 0, {:a, 2})
  List.keytake([a: 1, b: 2], :a, 0)
  List.to_integer(~c"12")
  Tuple.append({1}, 2)
  Tuple.insert_at({1, 3}, 1, 2)
  Tuple.delete_at({1, 2}, 0)
  Tuple.sum({1, 2})
  Integer.parse("ff", 16)
  Integer.digits(255, 16)
  Integer.undigits([1, 2, 3])
  Integer.gcd(12, -18)
  require Integer; Integer.is_odd(3)
  Float.round(2.5)
  Float.round(-2.5)
  Float.round(0.125, 2)
  Float.round(1.005, 2)
  Float.round(12345.6789, 1)
  Float.ceil(1.234, 2)
  Float.floor(-1.239, 2)
  m = %{a: %{b: 1}}; put_in(m.a.b, 5)
  m = %{a: %{b: 1}}; put_in(m[:a][:b], 5)
  m = %{a: %{b: 1}}; update_in(m.a.b, & &1 + 1)
  is_struct(~U[2026-01-15 10:20:30Z], DateTime)
  binary_part("hello", 1, 2)
  :erlang.element(1, {:a})
  :lists.reverse([1, 2])
  :lists.seq(1, 3)
  :lists.keyfind(:a, 1, [a: 1])
  :lists.map(fn x -> x + 1 end, [1])
  :lists.usort([2, 1, 2])
  :maps.get(:a, %{a: 1})
  :maps.keys(%{a: 1})
  :timer.tc(fn -> :done end) |> elem(1)
  :timer.minutes(5)
  Module.concat(Otturnaut, AppState)
  ~D[2026-01-15]
  ~T[10:20:30.120]
  ~N[2026-01-15 10:20:30.5]
  "#{~D[2026-01-15]} #{~T[10:20:30]} #{~N[2026-01-15 10:20:30]}"
  Date.add(~D[2026-01-31], 1)
  Date.diff(~D[2026-01-15], ~D[2026-02-01])
  Date.compare(~D[2026-01-15], ~D[2026-01-16])
  Date.day_of_week(~D[2026-01-15])
  Date.from_iso8601("2026-01-15")
  Date.new(2026, 2, 30)
  DateTime.to_date(~U[2026-01-15 10:20:30Z])
  DateTime.to_time(~U[2026-01-15 10:20:30.5Z])
  DateTime.to_naive(~U[2026-01-15 10:20:30Z])
  DateTime.truncate(~U[2026-01-15 10:20:30.123456Z], :second)
  DateTime.truncate(~U[2026-01-15 10:20:30.123456Z], :millisecond)
  DateTime.from_iso8601("2026-01-15T10:20:30+02:00")
  DateTime.from_iso8601("2026-01-15T10:20:30")
  DateTime.utc_now().year == Date.utc_today().year
  inspect(255, base: :hex)
  inspect([1, -255, <<255>>], base: :hex)
  inspect(5, base: :binary)
  inspect([a: 1, b: 2], width: 5)
  inspect(Enum.to_list(1..30), width: 40)
  inspect(Enum.to_list(1..30), pretty: true, width: 40)
  inspect(<<255, 65>>, binaries: :as_strings)
  inspect([1, 2 | 3], limit: 1)
  IO.inspect(255, base: :hex, label: "h")
  IO.inspect(Enum.to_list(1..40), width: 30)
  IO.write("no line ends here: ")
  alias Otturnaut.AppState, as: Apps; Apps
  alias Otturnaut.{AppState, Deployment}; {AppState, Deployment}
  night = 1; [night: night] == Keyword.take(binding(), [:night])
  Enum.sort([<<4::3>>, "é", <<255>>, <<1>>, <<1::1>>, ""])
  '''

  # Over several lines, and what breaks over several when it is shown.
  @blocks [
    "[1,\n2]",
    "[1,\n\n2\n]",
    "[\n  1, # one\n  # nothing\n  2\n]",
    "%{\n  a: 1,\n  b: 2\n}",
    "if true do\n  1\nelse\n  2\nend",
    "case 5 do\n  n when n > 3 ->\n    x = n\n    x * 2\n\n  _ ->\n    0\nend",
    "cond do\n  false -> 1\n  true -> 2\nend",
    "(fn\n  1 -> :one\n  n when is_integer(n) -> :int\n  _ -> :other\nend).(2)",
    "(\n[3, 1, 2]\n|> Enum.sort()\n|> Enum.map(& &1 * 2)\n)",
    "x =\n  1 +\n  2",
    "1 +\n2",
    "for x <- [1, 2],\n    y <- [3],\n    do: {x, y}",
    "Enum.map([1, 2], fn x ->\n  y = x + 1\n  y * 2\nend)",
    "Enum.reduce(\n  [1, 2],\n  0,\n  fn x, acc -> x + acc end\n)",
    "(\n  a = 1\n  a + 1\n)",
    "\"two\nlines\"",
    "true &&\n  false",
    "x = [\n  a: 1,\n  b: [\n    c: 2\n  ]\n]",
    "\"\"\"\nhere\n  document \#{1 + 1}\n\"\"\"",
    "with {:ok, a} <- {:ok, 1},\n     {:ok, b} <- {:ok, a + 1} do\n  {a, b}\nelse\n  _ -> :no\nend",
    "~s\"\"\"\n  here\n    \#{1 + 1}\n  \"\"\"",
    "~S\"\"\"\nhere \\\#{x}\n\"\"\"",
    "for i <- 1..12, do: {:\"key_\#{i}\", \"value \#{i}\"}",
    "Map.new(1..20, &{&1, String.duplicate(\"x\", &1)})",
    "%{a: String.duplicate(\"a\", 60), b: String.duplicate(\"b\", 60)}",
    "%{a: String.duplicate(\"a\", 90), b: 1}",
    "[a: String.duplicate(\"a\", 75), b: 1]",
    "[String.duplicate(\"a\", 90), 1]",
    "{:ok, String.duplicate(\"a\", 90)}",
    "{:error, %{reason: String.duplicate(\"r\", 50), step: :start_container, more: [1, 2, 3]}}",
    "%{\"a key that is rather long \" => %{\"another key of some length\" => %{\"inner\" => \"and a value\"}}}",
    "%{nested: %{list: Enum.to_list(1..30), map: %{x: 1, y: 2}}, other: \"text\"}",
    "List.duplicate(%{a: 1, b: \"two\", c: [3, 4]}, 8)",
    "String.duplicate(\"long \", 40)",
    "[1 | Enum.map(1..3, fn _ -> String.duplicate(\"y\", 40) end)]",
    "[String.duplicate(\"x\", 50), String.duplicate(\"y\", 50) | :tail]",
    "{String.duplicate(\"x\", 50), String.duplicate(\"y\", 50)}",
    "%{key: {:tuple, String.duplicate(\"x\", 50), String.duplicate(\"y\", 20)}}",
    "%{key: [String.duplicate(\"x\", 50), String.duplicate(\"y\", 20)]}",
    "%{key: %{inner: String.duplicate(\"x\", 50), more: String.duplicate(\"y\", 20)}}",
    "[key: [inner: String.duplicate(\"x\", 50), more: String.duplicate(\"y\", 20)]]",
    "%{\"key\" => String.duplicate(\"x\", 90)}",
    "%{{1, 2} => String.duplicate(\"x\", 90), {3, 4} => 1}",
    "%{at: ~U[2026-01-15 10:20:30Z], range: 1..2, text: String.duplicate(\"x\", 40), z: 1.0e10}",
    "%{at: ~U[2026-01-15 10:20:30.123456Z], other: ~U[2026-01-15 10:20:30.123456Z], third: 1..1000//3}",
    "[for(_ <- 1..10, into: \"\", do: <<0, 255>>), for(_ <- 1..30, into: \"\", do: <<1>>)]",
    "List.duplicate(\"\\n\", 30)",
    "List.duplicate(:\"an atom\", 12)",
    "Enum.map(1..12, &(&1 / 3))",
    "Integer.pow(7, 200)",
    "[:a | %{b: String.duplicate(\"b\", 80)}]"
  ]

  # The message is compared too, in one line.
  @errors ~S'''
  1 = 2
  {:ok, x} = {:error, :enoent}
  [a] = []
  %{a: 1} = %{b: 1}
  1 / 0
  1 + :a
  div(1, 0)
  -"a"
  raise "boom"
  raise ArgumentError, "wrong"
  raise ArgumentError, message: "wrong"
  raise ArgumentError
  raise %RuntimeError{message: "made"}
  throw(:ball)
  exit(:normal)
  exit({:shutdown, :over})
  "a" <> 1
  Map.replace!(%{a: 1}, :b, 5)
  Keyword.update!([a: 1], :b, & &1)
  exit(:gone)
  exit("text")
  %{a: 1}.b
  Map.fetch!(%{a: 1}, :b)
  Keyword.fetch!([a: 1], :b)
  %{%{a: 1} | b: 2}
  Map.put(1, :a, 2)
  Map.get([], :a)
  %{1 | a: 2}
  case 1 do 2 -> 3 end
  cond do false -> 1 end
  nil + 1
  :erlang.nothing(1)
  1.(2)
  nil and true
  1 or 2
  not 1
  if(1 and 2, do: 1)
  Enum.max([])
  Enum.reduce([], fn x, _ -> x end)
  with 1 <- 2 do 1 else 3 -> 4 end
  '''

  # Of Erlang's own errors the words differ, the kind does not.
  @kinds ~S'''
  Enum.fetch!([1], 3)
  String.nothing("x")
  Enum.nothing()
  String.to_integer("1_000")
  Float.round(5)
  [1][0]
  Foo.bar()
  Foo.bar(1, 2)
  (fn x -> x end).(1, 2)
  Enum.map(1, & &1)
  Enum.map(nil, & &1)
  "#{%{}}"
  "#{{1, 2}}"
  to_string({})
  hd([])
  tl([])
  elem({1}, 5)
  length(1)
  byte_size(1)
  String.to_integer("x")
  String.to_atom(1)
  map_size(1)
  [1] ++ [2] -- 3
  1 <> "a"
  "a" <> 1
  (fn 1 -> 1 end).(2)
  Enum.sum([:a])
  1..:a
  '''

  # What this shell does not know, or what is wrong: one line, and nothing happens.
  @one_line ~S'''
  defmodule A do end
  receive do x -> x end
  try do 1 rescue _ -> 2 end
  quote do: 1
  import Enum
  use GenServer
  spawn(fn -> 1 end)
  Task.async(fn -> 1 end)
  System.cmd("ls", [])
  File.read("/etc/passwd")
  :os.cmd('ls')
  Code.eval_string("1")
  IEx.pry()
  unknown
  unknown(1)
  ^x
  &1
  &
  ~r/a/
  String.upcase(1)
  List.first(:a)
  Enum.map([fn -> 1 end], & &1.())
  <<a::16>> = "hi"
  1.foo()
  ~i(x)
  1 ||| 2
  for <<c <- "abc">>, do: c
  ls()
  recompile()
  :rpc.call(node(), :erlang, :node, [])
  Regex.match?("a", "b")
  GenServer.call(:nobody, :x)
  dbg()
  @attr
  1 2
  )
  1 +* 2
  [1, 2,]]
  %{a: 1 b: 2}
  [a: 1, 2]
  f(a: 1, 2)
  [1 2]
  fn -> end)
  case 1 do 1 end
  1 -> 2
  %{1}
  :
  "\xZZ"
  0x
  12ab
  $
  °
  end
  do
  a.b.
  String.
  {1, 2
  '''

  setup_all do
    node = :persistent_term.get(:rig).agent.node
    %{shell: RemoteShell.open!(node)}
  end

  test "values are shown as Elixir shows them", %{shell: shell} do
    compare(shell, lines(@values) ++ @blocks, &by_elixir/1, & &1)
  end

  if Version.match?(System.version(), ">= 1.15.0") do
    # What comes as `~c"..."` since 1.15, and what else came later.
    @since_1_15 ~S'''
    ~c"hi"
    ~c(hi #{1})
    ~C(hi #{1})
    'hi'
    [104, 105]
    [7, 8, 9, 10]
    ~w(a b)c
    String.to_charlist("hé")
    ~c"quote \" it"
    [a: ~c"x", b: [~c"y"]]
    to_charlist("ab")
    [?a, ?\n]
    [?a, 0]
    DateTime.diff(~U[2026-01-15 10:20:29Z], ~U[2026-01-15 10:20:30Z], :minute)
    DateTime.diff(~U[2026-01-15 09:20:00Z], ~U[2026-01-15 10:20:30Z], :hour)
    DateTime.diff(~U[2026-01-17 09:20:00Z], ~U[2026-01-15 10:20:30Z], :day)
    Date.before?(~D[2026-01-15], ~D[2026-01-16])
    Map.split_with(%{a: 1, b: 2}, fn {_, v} -> v > 1 end)
    '''

    test "and charlists", %{shell: shell} do
      compare(shell, lines(@since_1_15), &by_elixir/1, & &1)
    end
  end

  if Version.match?(System.version(), ">= 1.20.0") do
    # Up to 200 elements in all, counted through what is nested, are shown since 1.20.
    @since_1_20 [
      "DateTime.diff(~U[2026-01-15 10:20:31.1Z], ~U[2026-01-15 10:20:30.9Z])",
      "DateTime.diff(~U[2026-01-15 10:21:30.0Z], ~U[2026-01-15 10:20:30.0001Z], :minute)",
      ~S("\u200b \u202e \u{a0} \ufeff 👨‍👩‍👧"),
      "Enum.map(1..60, &{&1})",
      "Enum.to_list(1..49) ++ [[50, 51, 52]]",
      "[Enum.to_list(1..25), Enum.to_list(26..75)]",
      "%{a: Enum.to_list(1..60), b: Enum.to_list(1..60)}",
      "Enum.to_list(1..100)",
      "[[Enum.to_list(1..40)], [Enum.to_list(1..40)]]",
      "Enum.map(1..30, &%{id: &1, name: \"item \#{&1}\"})",
      "Enum.map(1..30, &[&1, &1, &1])",
      "Enum.map(1..5, fn i -> Enum.map(1..5, fn j -> %{i => j, \"long key for width\" => [i, j]} end) end)",
      "for _ <- 1..40, into: \"\", do: <<0, 255>>",
      "Enum.to_list(1..201)",
      "Enum.map(1..220, &{&1})",
      "Enum.map(1..220, &Integer.to_string/1)",
      "[[Enum.to_list(1..195), 1, 2, 3], 4]",
      "for _ <- 1..250, into: \"\", do: <<1>>",
      "[for(_ <- 1..180, into: \"\", do: <<1>>), Enum.to_list(1..50)]",
      "Enum.reduce(1..90, [], fn _, inner -> [inner] end)"
    ]

    test "and what is too long", %{shell: shell} do
      compare(shell, @since_1_20, &by_elixir/1, & &1)
    end
  end

  test "lines are as wide as the terminal", %{shell: %{node: node}} do
    value = "Enum.to_list(1..30)"

    for columns <- [30, 120] do
      shown = RemoteShell.open!(node, columns: columns) |> RemoteShell.type(value)
      assert shown == inspect(Enum.to_list(1..30), pretty: true, width: columns)
    end
  end

  test "errors are said in Elixir's words", %{shell: shell} do
    compare(shell, lines(@errors), &by_elixir/1, &one_line/1)
  end

  test "errors are of the same kind", %{shell: shell} do
    compare(shell, lines(@kinds), &by_elixir/1, &kind/1)
  end

  test "names that are like those that there are are said", %{shell: shell} do
    for {call, hint} <- [
          {"Otturnaut.AppState.lst()", "Did you mean: list/0"},
          {"Otturnaut.AppState.get()", "Did you mean: get/1, get/2"},
          {"String.upcas(1)", "or private here. Did you mean: upcase/1"},
          {"Enum.quite_unlike()", "or private here, exports Enum lists what there is"},
          {"MapSet.new()", "MapSet.new/0 is not known in this shell"},
          {"File.read(1)", "File.read/1 is not known in this shell"},
          {"\"a\" =~ ~r/a/", "~r is not known in this shell: String.contains?/2"}
        ] do
      assert RemoteShell.type(shell, call) =~ hint
    end
  end

  test "what it does not know it says in one line", %{shell: shell} do
    answers = for line <- lines(@one_line), do: {line, RemoteShell.type(shell, line <> "\n#iex:break")}

    assert [] ==
             for({line, answer} <- answers, not (answer =~ ~r/\A\*\* \(\w+\) [^\n]+\z/), do: {line, answer})
  end

  defp lines(text), do: String.split(text, "\n", trim: true)

  # All differences at once.
  defp compare(shell, expressions, reference, normalize) do
    differences =
      for text <- expressions,
          expected = reference.(text),
          answer = RemoteShell.type(shell, text),
          normalize.(answer) != normalize.(expected),
          do: "#{text}\n  Elixir: #{expected}\n  agent:  #{answer}"

    assert [] == differences, "#{length(differences)} differ:\n" <> Enum.join(differences, "\n")
  end

  # What IEx would print. The order of a map's keys differs from release to release: they are sorted.
  defp by_elixir(text) do
    output =
      capture_io(fn ->
        capture_io(:stderr, fn -> send(self(), {:shown, shown(text)}) end)
      end)

    receive do
      {:shown, shown} -> String.trim_trailing(output <> shown, "\n")
    end
  end

  defp shown(text) do
    {value, _} = Code.eval_string(text)
    if String.trim_leading(text) =~ ~r/\A#/, do: "", else: pretty(value)
  catch
    kind, reason -> Exception.format_banner(kind, reason, __STACKTRACE__)
  end

  defp pretty(value) do
    inspect(value, pretty: true, width: 80, custom_options: [sort_maps: true])
  end

  defp one_line(text), do: text |> String.split() |> Enum.join(" ")

  defp kind(text), do: Regex.run(~r/\A\*\* \(\w+\)/, text)
end
