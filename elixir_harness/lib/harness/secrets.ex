defmodule Harness.Secrets do
  @moduledoc "Random words that nobody may see, and the search for them in any bytes, in each form in which they might be there."

  @doc "A secret, with characters that urls encode."
  def make, do: "S#{Harness.Agent.unique()}+#{Harness.Agent.unique()}/#{Harness.Agent.unique()}"

  @doc "The names of those of `secrets` (`%{name => secret}`) that are in the text in any form."
  def found(text, secrets) do
    for {name, secret} <- secrets,
        form <- forms(secret),
        :binary.match(text, form) != :nomatch,
        uniq: true,
        do: name
  end

  @doc "A secret as it stands, in a url, in base64 at each place that it may have there, as numbers, and escaped in JSON."
  def forms(secret) do
    numbers = secret |> String.to_charlist() |> Enum.join(",")

    [
      secret,
      URI.encode_www_form(secret),
      String.replace(secret, "/", "\\/"),
      Base.encode16(secret, case: :lower),
      numbers,
      String.replace(numbers, ",", ", ")
    ] ++ Enum.flat_map(0..2, &base64(secret, &1))
  end

  # What base64 makes of it behind so many bytes: without the characters that its neighbours have part in.
  defp base64(secret, before) do
    bytes = String.duplicate("x", before) <> secret
    whole = Base.encode64(binary_part(bytes, 0, div(byte_size(bytes), 3) * 3))
    plain = binary_part(whole, 4, byte_size(whole) - 4)
    Enum.uniq([plain, plain |> String.replace("+", "-") |> String.replace("/", "_")])
  end

  @doc "Any term as text, nothing of it left out."
  def text(term),
    do: inspect(term, limit: :infinity, printable_limit: :infinity, charlists: :as_lists) <> strings(term)

  # Lists of numbers may be texts, and an exception is read by people.
  defp strings(%{__exception__: true} = error), do: " " <> Exception.message(error)
  defp strings(term) when is_tuple(term), do: term |> Tuple.to_list() |> Enum.map_join(&strings/1)
  defp strings([head | tail]), do: strings(head) <> strings(tail)
  defp strings(%_{} = struct), do: struct |> Map.from_struct() |> strings()
  defp strings(%{} = map), do: map |> Map.to_list() |> strings()
  defp strings(_), do: ""

  @doc "All files below a directory that are read now, as `{path, content}`; what goes meanwhile is left out."
  def files(dir) do
    for path <- Path.wildcard(Path.join(dir, "**"), match_dot: true),
        {:ok, content} <- [File.read(path)],
        do: {path, content}
  end
end
