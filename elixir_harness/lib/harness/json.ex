defmodule Harness.Json do
  @moduledoc "JSON enough for the engine's and Caddy's answers; the oldest Elixir served here has none of its own."

  def encode(nil), do: "null"
  def encode(true), do: "true"
  def encode(false), do: "false"
  def encode(number) when is_number(number), do: to_string(number)
  def encode(atom) when is_atom(atom), do: encode(Atom.to_string(atom))
  def encode(list) when is_list(list), do: "[" <> Enum.map_join(list, ",", &encode/1) <> "]"

  def encode(map) when is_map(map) do
    "{" <>
      Enum.map_join(map, ",", fn {key, value} -> encode(to_string(key)) <> ":" <> encode(value) end) <> "}"
  end

  def encode(text) when is_binary(text) do
    escaped =
      for <<char::utf8 <- text>>, into: "" do
        if char < 32 or char in [?", ?\\], do: "\\u" <> hex(char), else: <<char::utf8>>
      end

    "\"" <> escaped <> "\""
  end

  def decode(text) do
    {value, _rest} = value(blank(text))
    value
  end

  @doc "The values of newline-separated JSON."
  def decode_lines(text), do: text |> String.split(["\r\n", "\n"], trim: true) |> Enum.map(&decode/1)

  defp value("null" <> rest), do: {nil, rest}
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("\"" <> rest), do: text(rest, [])
  defp value("[" <> rest), do: list(blank(rest), [])
  defp value("{" <> rest), do: map(blank(rest), %{})

  defp value(text) do
    [number] = Regex.run(~r/^-?[0-9.eE+-]+/, text)
    rest = binary_part(text, byte_size(number), byte_size(text) - byte_size(number))

    case Integer.parse(number) do
      {integer, ""} -> {integer, rest}
      _ -> {number |> Float.parse() |> elem(0), rest}
    end
  end

  defp list("]" <> rest, values), do: {Enum.reverse(values), rest}
  defp list("," <> rest, values), do: list(blank(rest), values)

  defp list(text, values) do
    {value, rest} = value(text)
    list(blank(rest), [value | values])
  end

  defp map("}" <> rest, pairs), do: {pairs, rest}
  defp map("," <> rest, pairs), do: map(blank(rest), pairs)

  defp map("\"" <> text, pairs) do
    {key, rest} = text(text, [])
    ":" <> rest = blank(rest)
    {value, rest} = value(blank(rest))
    map(blank(rest), Map.put(pairs, key, value))
  end

  defp text("\"" <> rest, parts), do: {IO.iodata_to_binary(parts), rest}

  defp text("\\u" <> <<hex::binary-size(4), rest::binary>>, parts),
    do: unicode(String.to_integer(hex, 16), rest, parts)

  defp text("\\n" <> rest, parts), do: text(rest, [parts, "\n"])
  defp text("\\r" <> rest, parts), do: text(rest, [parts, "\r"])
  defp text("\\t" <> rest, parts), do: text(rest, [parts, "\t"])
  defp text("\\b" <> rest, parts), do: text(rest, [parts, "\b"])
  defp text("\\f" <> rest, parts), do: text(rest, [parts, "\f"])
  defp text("\\" <> <<char, rest::binary>>, parts), do: text(rest, [parts, char])
  defp text(<<char, rest::binary>>, parts), do: text(rest, [parts, char])

  # A pair of surrogates is one character.
  defp unicode(high, "\\u" <> <<hex::binary-size(4), rest::binary>>, parts) when high in 0xD800..0xDBFF do
    low = String.to_integer(hex, 16)
    text(rest, [parts, <<0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00)::utf8>>])
  end

  defp unicode(char, rest, parts), do: text(rest, [parts, <<char::utf8>>])

  defp blank(<<char, rest::binary>>) when char in [32, 9, 13, 10], do: blank(rest)
  defp blank(text), do: text

  defp hex(char), do: char |> Integer.to_string(16) |> String.pad_leading(4, "0")
end
