defmodule Harness.Hoard do
  @moduledoc "A process that counts the lines of many log streams, and whether each is the one after the line before."

  def start, do: spawn(fn -> loop(%{}) end)

  @doc "How many lines of a stream have come."
  def count(hoard, stream), do: hoard |> of(stream) |> elem(0)

  @doc "`{:ok, lines}` if none was missing and none came twice, else the first two that do not follow one another."
  def in_order(hoard, stream) do
    case of(hoard, stream) do
      {count, _, nil} -> {:ok, count}
      {_, _, broken} -> {:error, broken}
    end
  end

  defp of(hoard, stream) do
    ref = make_ref()
    send(hoard, {:of, stream, self(), ref})

    receive do
      {^ref, found} -> found
    after
      30_000 -> raise "the hoard does not answer"
    end
  end

  defp loop(streams) do
    receive do
      {:of, stream, from, ref} ->
        send(from, {ref, Map.get(streams, stream, {0, nil, nil})})
        loop(streams)

      {:log_output, stream, {:stdout, line}} ->
        loop(Map.update(streams, stream, {1, number(line), nil}, &next(&1, number(line))))

      {:log_marker, stream, {:dropped, _} = dropped} ->
        loop(Map.update(streams, stream, {0, nil, dropped}, &put_elem(&1, 2, dropped)))

      _ ->
        loop(streams)
    end
  end

  defp next({count, nil, broken}, number), do: {count + 1, number, broken}
  defp next({count, last, nil}, number) when number != last + 1, do: {count + 1, number, {last, number}}
  defp next({count, _, broken}, number), do: {count + 1, number, broken}

  # Of the line `17 and so on`; of another none.
  defp number(line) do
    case Integer.parse(line) do
      {number, _} -> number
      :error -> nil
    end
  end
end
