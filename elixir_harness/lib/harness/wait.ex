defmodule Harness.Wait do
  @moduledoc "Waiting on conditions, with a deadline; never on time alone."

  @pause 20

  @doc "The first true value that `condition` gives; raises with `what` when the deadline (ms) is over."
  def until(what, condition, deadline \\ 30_000) do
    loop(what, condition, now() + deadline)
  end

  defp loop(what, condition, deadline) do
    cond do
      value = condition.() ->
        value

      now() > deadline ->
        raise "waited in vain for: #{what}"

      true ->
        Process.sleep(@pause)
        loop(what, condition, deadline)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
