defmodule Bench.Report do
  @moduledoc "Lines of figures, each beside its bound, and small sums."

  def report(name, value, target, met?) do
    IO.puts(
      "#{String.pad_trailing(name, 46)} #{String.pad_leading(value, 28)}   #{String.pad_trailing(target, 26)} #{if met?, do: "OK", else: "MISS"}"
    )
  end

  @doc "A figure without a bound."
  def note(name, value), do: IO.puts("#{String.pad_trailing(name, 46)} #{String.pad_leading(value, 28)}")

  def median(values), do: quantile(values, 0.5)

  def quantile(values, part) do
    sorted = Enum.sort(values)
    Enum.at(sorted, min(length(sorted) - 1, trunc(length(sorted) * part)))
  end

  def ms(microseconds), do: "#{Float.round(microseconds / 1000, 2)} ms"
  def mib(kib), do: "#{Float.round(kib / 1024, 1)} MiB"
  def ratio(a, b), do: Float.round(a / b, 2)
end
