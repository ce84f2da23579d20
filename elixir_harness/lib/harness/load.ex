defmodule Harness.Load do
  @moduledoc "Requests in a loop from several workers, each on a new connection, none tried again; every failure counted."

  @doc "Starts the workers."
  def start(caddy, domain, workers \\ 4) do
    counters = :counters.new(3, [])
    stop = :atomics.new(1, [])
    reasons = :ets.new(:reasons, [:public, :bag])
    where = {"127.0.0.1", caddy.http_port}

    tasks =
      for _ <- 1..workers do
        Task.async(fn -> work(where, domain, {counters, reasons}, stop) end)
      end

    %{tasks: tasks, stop: stop, counters: counters, reasons: reasons}
  end

  @doc "How many were answered so far."
  def total(load), do: :counters.get(load.counters, 1)

  @doc """
  Ends the workers: `%{total: n, failed: n, broken: n, reasons: list}`. `broken` are those of the failed ones whose
  connection broke; the others got a wrong answer.
  """
  def stop(load) do
    :atomics.put(load.stop, 1, 1)
    Task.await_many(load.tasks, 120_000)

    %{
      total: :counters.get(load.counters, 1),
      failed: :counters.get(load.counters, 2),
      broken: :counters.get(load.counters, 3),
      reasons: load.reasons |> :ets.tab2list() |> Enum.map(&elem(&1, 1)) |> Enum.uniq() |> Enum.take(10)
    }
  end

  defp work(where, domain, {counters, reasons} = results, stop) do
    if :atomics.get(stop, 1) == 0 do
      result = Harness.Http.get(where, "/", host: domain, timeout: 10_000)
      :counters.add(counters, 1, 1)

      unless match?({:ok, 200, _}, result) do
        :counters.add(counters, 2, 1)
        if match?({:error, _}, result), do: :counters.add(counters, 3, 1)
        :ets.insert(reasons, {:failed, result})
      end

      work(where, domain, results, stop)
    end
  end
end
