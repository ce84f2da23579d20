defmodule Harness.Inside do
  @moduledoc "What tests do inside a `Harness.Peer`."

  def no_server(node) do
    GenServer.call({Nobody, node}, :hello)
  catch
    :exit, reason -> reason
  end

  def many(node, callers, each) do
    call = fn _ -> for n <- 1..each, do: ^n = :rpc.call(node, :application, :get_env, [:a, :b, n]) end

    1..callers
    |> Task.async_stream(call, max_concurrency: callers, timeout: 60_000)
    |> Enum.map(&length(elem(&1, 1)))
    |> Enum.sum()
  end

  def stream(node, count) do
    {:ok, runner} = :rpc.call(node, Otturnaut.Command, :run_async, ["seq", ["1", "#{count}"]])
    for n <- 1..count, do: take(runner, "#{n}")

    receive do
      {:command_done, ^runner, %{exit_code: 0}} -> :ok
    after
      20_000 -> :no_end
    end
  end

  defp take(runner, line) do
    receive do
      {:command_output, ^runner, {:stdout, ^line}} -> :ok
    after
      20_000 -> raise "line #{line} is missing"
    end
  end
end
