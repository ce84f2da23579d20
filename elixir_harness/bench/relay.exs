defmodule Bench.Relay do
  @moduledoc """
  Passes bytes between the agent and an engine or Caddy, and notes when a request was under way: what is left of a deploy's
  time is the agent's own.
  """

  def start(listen, target) do
    table = :ets.new(:relay, [:public, :ordered_set])
    {:ok, listener} = open(listen)
    owner = self()
    spawn_link(fn -> accept(listener, target, table, owner) end)
    table
  end

  @doc "The times (microseconds) in which something was asked and not yet answered: `[{from, to}]`, from all tables."
  def busy(tables) do
    tables
    |> Enum.flat_map(&:ets.tab2list/1)
    |> Enum.group_by(fn {{_, connection}, _} -> connection end)
    |> Enum.flat_map(fn {_, events} -> events |> Enum.sort() |> Enum.map(&flat/1) |> spans(nil, nil) end)
  end

  defp flat({{at, _connection}, kind}), do: {at, kind}

  # From the first byte of a request to the last of its answer.
  defp spans([], nil, _), do: []
  defp spans([], from, to), do: [{from, to || from}]
  defp spans([{at, :request} | rest], nil, _), do: spans(rest, at, nil)
  defp spans([{_, :request} | rest], from, nil), do: spans(rest, from, nil)
  defp spans([{at, :request} | rest], from, to), do: [{from, to} | spans(rest, at, nil)]
  defp spans([{_, :answer} | rest], nil, _), do: spans(rest, nil, nil)
  defp spans([{at, :answer} | rest], from, _), do: spans(rest, from, at)

  @doc "The length of the union of spans."
  def union(spans) do
    {total, _} =
      spans
      |> Enum.sort()
      |> Enum.reduce({0, 0}, fn {from, to}, {total, reached} ->
        from = max(from, reached)
        {total + max(to - from, 0), max(reached, to)}
      end)

    total
  end

  defp accept(listener, target, table, owner) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn_link(fn -> receive(do: (:go -> connect(socket, target, table))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, target, table, owner)
  end

  defp connect(client, target, table) do
    {:ok, server} = dial(target)
    :inet.setopts(client, active: true)
    pass(client, server, table)
  end

  defp pass(client, server, table) do
    receive do
      {:tcp, ^client, data} ->
        note(table, :request)
        :gen_tcp.send(server, data)
        pass(client, server, table)

      {:tcp, ^server, data} ->
        :gen_tcp.send(client, data)
        note(table, :answer)
        pass(client, server, table)

      {:tcp_closed, _} ->
        :gen_tcp.close(client)
        :gen_tcp.close(server)
    end
  end

  # Two events of a connection never share a microsecond that matters.
  defp note(table, kind), do: :ets.insert(table, {{now(), self()}, kind})
  def now, do: System.monotonic_time(:microsecond)

  @settings [:binary, active: false, packet: :raw, nodelay: true]

  defp open({:unix, path}), do: :gen_tcp.listen(0, (@settings -- [nodelay: true]) ++ [ifaddr: {:local, path}])
  defp open({:tcp, port}), do: :gen_tcp.listen(port, @settings ++ [ip: {127, 0, 0, 1}])
  defp dial({:unix, path}), do: :gen_tcp.connect({:local, path}, 0, [:binary, active: true, packet: :raw])
  defp dial({:tcp, port}), do: :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: true, nodelay: true])
end
