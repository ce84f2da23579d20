defmodule Bench.Meter do
  @moduledoc """
  A proxy between the agent and a server (the engine's socket, Caddy's admin API) that adds up how long the server had a
  request: from the first byte of a request to the last byte of its answer. Times during which two requests were under
  way count once.
  """
  use GenServer

  def start!(listen, target) do
    {:ok, pid} = GenServer.start_link(__MODULE__, {listen, target})
    pid
  end

  @doc "The spans since the last call: `[{from, to}]` in microseconds."
  def take(meter), do: GenServer.call(meter, :take)

  @doc "How long the spans cover together, within the given window."
  def covered(spans, from, to) do
    spans
    |> Enum.map(fn {a, b} -> {max(a, from), min(b, to)} end)
    |> Enum.filter(fn {a, b} -> b > a end)
    |> Enum.sort()
    |> Enum.reduce({0, from}, fn {a, b}, {sum, until} ->
      {sum + max(0, b - max(a, until)), max(b, until)}
    end)
    |> elem(0)
  end

  @impl true
  def init({listen, target}) do
    {:ok, socket} = :gen_tcp.listen(port(listen), [:binary, active: false, backlog: 64] ++ address(listen))
    meter = self()
    spawn_link(fn -> accept(socket, target, meter) end)
    {:ok, []}
  end

  @impl true
  def handle_call(:take, _from, spans), do: {:reply, spans, []}

  @impl true
  def handle_cast({:span, span}, spans), do: {:noreply, [span | spans]}

  defp accept(listener, target, meter) do
    {:ok, client} = :gen_tcp.accept(listener)

    pid =
      spawn(fn ->
        receive do: (:go -> :ok)

        {:ok, server} =
          :gen_tcp.connect(
            host(target),
            port(target),
            [:binary, active: true, nodelay: true] |> plain(target)
          )

        :inet.setopts(client, active: true)
        relay(client, server, meter, nil)
      end)

    :gen_tcp.controlling_process(client, pid)
    send(pid, :go)
    accept(listener, target, meter)
  end

  # `span` is the request under way: when it began and when its answer was last heard of.
  defp relay(client, server, meter, span) do
    receive do
      {:tcp, ^client, data} ->
        now = System.monotonic_time(:microsecond)
        # A byte of the client after one of the server begins the next request.
        span = if match?({_, heard} when heard != nil, span), do: close(span, meter), else: span
        :gen_tcp.send(server, data)
        relay(client, server, meter, span || {now, nil})

      {:tcp, ^server, data} ->
        :gen_tcp.send(client, data)
        {from, _} = span || {System.monotonic_time(:microsecond), nil}
        span = {from, System.monotonic_time(:microsecond)}
        GenServer.cast(meter, {:span, span})
        relay(client, server, meter, span)

      {:tcp_closed, _} ->
        :gen_tcp.close(client)
        :gen_tcp.close(server)
    end
  end

  defp close(_span, _meter), do: nil

  defp address({:unix, path}), do: [ifaddr: {:local, path}]
  defp address({_host, _port}), do: [ip: {127, 0, 0, 1}]
  defp host({:unix, path}), do: {:local, path}
  defp host({host, _port}), do: to_charlist(host)
  defp port({:unix, _}), do: 0
  defp port({_, port}), do: port
  defp plain(options, {:unix, _}), do: List.delete(options, {:nodelay, true})
  defp plain(options, _), do: options
end
